from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.settings import (
    Settings,
    parse_adapters,
    parse_auth,
    parse_base_url,
    parse_cache_size,
    parse_size,
    parse_vision_table,
)


def make(**changes: Any) -> Settings:
    return Settings(**{"model": "m", "port": 8885} | changes)


def test_the_defaults_are_closed_to_others():
    settings = make()
    assert (settings.host, settings.share, settings.auth, settings.device) == ("127.0.0.1", False, None, "auto")
    assert not settings.open_to_others


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        make().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": " "}, ["--model", "hub id"]),
        ({"port": 0}, ["--port", "0", "1 to 65535"]),
        ({"port": 70000}, ["--port", "70000"]),
        ({"device": "tpu"}, ["--device", "'tpu'", "auto, cuda, cuda:N, mps or cpu"]),
        ({"device": "cuda:x"}, ["--device", "'cuda:x'"]),
        ({"dtype": "fp8"}, ["--dtype", "'fp8'", "auto, bf16, fp16, fp32, int4 or int8"]),
        ({"backend": "magic"}, ["--backend", "'magic'", "local", "echo"]),
        ({"source": "ftp"}, ["--source", "huggingface or modelscope"]),
        ({"video_reader": "vlc"}, ["--video-reader", "pyav or decord"]),
        ({"host": ""}, ["--host"]),
        ({"root_path": "demo"}, ["--root-path", "'demo'", "/PATH"]),
        ({"max_file_size": 0}, ["--max-file-size"]),
        ({"option_defaults": {"temperature": 9}}, ["--temperature", "9", "0.01 to 2.0"]),
        ({"option_defaults": {"beam.max_new_tokens": 0}}, ["--max-new-tokens", "1 to 8192"]),
        ({"option_defaults": {"heat": 1}}, ["heat", "temperature"]),
        ({"adapters": {"base": "out"}}, ["--adapter", "'base'", "NAME=DIR"]),
        ({"adapters": {" ": "out"}}, ["--adapter", "any name but base"]),
    ],
)
def test_a_bad_value_names_the_flag_and_what_is_allowed(changes: dict[str, Any], words: list[str]):
    with pytest.raises(SettingsError) as caught:
        make(**changes)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


REMOTE = {"backend": "openai", "base_urls": ["http://gpu:8000"]}


@pytest.mark.parametrize("engine", ["auto", "vllm", "sglang", "llama-server", "ollama", "transformers", "lmdeploy"])
def test_engines_of_other_servers(engine: str):
    settings = make(**REMOTE, engine=engine, served_model="m")
    assert (settings.engine, settings.base_urls) == (engine, ["http://gpu:8000"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "vllm"}, ["--engine", "'vllm'", "--backend local", "--backend openai"]),
        ({**REMOTE, "engine": "batched"}, ["--engine", "'batched'", "--backend openai", "--backend local"]),
        ({**REMOTE, "engine": "tgi"}, ["--engine", "'tgi'", "auto, vllm, sglang", "minicpm"]),
        ({"backend": "openai"}, ["--base-url", "URL of each server"]),
        ({"base_urls": ["http://gpu:8000"]}, ["--base-url", "no effect", "--backend openai"]),
        ({"served_model": "x"}, ["--served-model", "no effect"]),
        ({**REMOTE, "base_urls": ["http://gpu:8000", "http://gpu:8000/v1/"]}, ["--base-url", "each server once"]),
        ({**REMOTE, "base_urls": ["gpu:8000"]}, ["--base-url", "http://127.0.0.1:8000"]),
        ({**REMOTE, "base_urls": ["http://gpu:port"]}, ["--base-url", "http://127.0.0.1:8000"]),
        ({**REMOTE, "base_urls": ["http://me:geheim@gpu"]}, ["--base-url", "--api-key-env"]),
        ({**REMOTE, "multi_gpus": True}, ["--multi-gpus", "no effect"]),
        ({**REMOTE, "adapters": {"a": "x"}}, ["--adapter", "no effect"]),
        ({**REMOTE, "device": "cuda:3"}, ["--device", "no effect"]),
        ({**REMOTE, "dtype": "int4"}, ["--dtype", "no effect"]),
        ({**REMOTE, "source": "modelscope"}, ["--source", "no effect"]),
        ({**REMOTE, "cache_size": 0}, ["--cache-size", "no effect"]),
        ({**REMOTE, "vision_table": 2**20}, ["--vision-table", "no effect"]),
        ({"engine": "plain", "vision_table": 2**20}, ["--vision-table", "no effect", "--engine batched"]),
        ({"api_key_env": "KEY", "host": "0.0.0.0"}, ["--api-key-env", "no effect", "--auth", "--api"]),
        ({"api_only": True, "feedback": "likes.jsonl"}, ["--feedback", "page"]),
    ],
)
def test_what_does_not_go_together_is_said(changes: dict[str, Any], words: list[str]):
    with pytest.raises(SettingsError) as caught:
        make(**changes)
    assert all(word in str(caught.value) for word in words) and "geheim" not in str(caught.value)


@pytest.mark.parametrize("text", ["http://gpu:8000", "http://gpu:8000/", "http://gpu:8000/v1", " http://gpu:8000/v1/ "])
def test_a_base_url_goes_with_or_without_the_version(text: str):
    assert parse_base_url(text) == "http://gpu:8000"


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:11"])
def test_devices(device: str):
    assert make(device=device).device == device


@pytest.mark.parametrize("root_path", ["", "/demo", "https://example.org/demo"])
def test_root_paths(root_path: str):
    assert make(root_path=root_path).root_path == root_path


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({"host": "0.0.0.0"}, True),
        ({"host": "192.168.1.5"}, True),
        ({"host": "::"}, True),
        ({"share": True}, True),
        ({"host": "localhost"}, False),
        ({"host": "127.0.0.2"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0", "share": True, "auth": ("u", "p")}, False),
    ],
)
def test_open_to_others(changes: dict[str, Any], is_open: bool):
    assert make(**changes).open_to_others is is_open


def test_the_password_is_not_in_the_repr():
    assert "geheim" not in repr(make(auth=("u", "geheim")))


def test_a_password_may_hold_colons():
    assert parse_auth("me:a:b") == ("me", "a:b")


@pytest.mark.parametrize("text", ["me", "me:", ":geheim", ":"])
def test_a_login_needs_both_and_is_not_repeated(text: str):
    with pytest.raises(SettingsError, match="USER:PASS") as caught:
        parse_auth(text)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("1kb", 1024), ("200MB", 200 * 1024**2), ("1.5 gb", 1536 * 1024**2), ("7b", 7)],
)
def test_sizes(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("texts", "folders"),
    [
        ([], {}),
        (["out/menu"], {"menu": "out/menu"}),
        (["out/menu/"], {"menu": "out/menu/"}),
        (["menu=out/a", "other=b=c"], {"menu": "out/a", "other": "b=c"}),
        (["runs/lr=1e-4"], {"lr=1e-4": "runs/lr=1e-4"}),
    ],
)
def test_adapters_by_name(texts: list[str], folders: dict[str, str]):
    assert parse_adapters(texts) == folders


def test_a_folder_with_the_mark_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "lr=1e-4").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_adapters(["lr=1e-4"]) == {"lr=1e-4": "lr=1e-4"}


@pytest.mark.parametrize("texts", [["a=x", "a=y"], ["out/checkpoint-5", "other/checkpoint-5"]])
def test_two_adapters_of_one_name(texts: list[str]):
    with pytest.raises(SettingsError, match=r"--adapter: got two of the name .* NAME=DIR"):
        parse_adapters(texts)


@pytest.mark.parametrize("text", ["", "big", "-1mb", "1tb", "1m b"])
def test_no_size(text: str):
    with pytest.raises(SettingsError, match="--max-file-size"):
        parse_size(text)


def test_a_cache_size_is_a_size_or_left_to_the_application() -> None:
    assert parse_cache_size("auto") is parse_cache_size(" AUTO ") is None
    assert parse_cache_size("0") == 0 and parse_cache_size("1.5 GB") == 1.5 * 1024**3
    with pytest.raises(SettingsError, match=r"--cache-size: got 'much', allowed is auto, or a size such as 2gb\."):
        parse_cache_size("much")


def test_a_vision_table_has_a_size_or_takes_its_part() -> None:
    assert parse_vision_table("auto") is make().vision_table is None
    assert parse_vision_table("64mb") == 64 * 1024**2
    with pytest.raises(SettingsError, match=r"--vision-table: got 'some', allowed is auto, or a size such as 2gb\."):
        parse_vision_table("some")
