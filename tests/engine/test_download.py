from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.engine import modelscope
from app.engine.download import resolve_config, resolve_model
from app.engine.huggingface import explain
from app.engine.wanted_files import wanted_files
from app.errors import CheckpointError, ModelNotFoundError, SettingsError
from tests.engine.hub_server import COMMIT, Hub, serving

ROOT = Path(__file__).parents[2]
SOURCES = ("huggingface", "modelscope")
CONFIG = {"model_type": "minicpmv", "version": 2.6}
INDEX = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": b"{}",
    "vocab.txt": b"a\nb",
    "model.safetensors.index.json": json.dumps(INDEX).encode(),
    "model-1.safetensors": bytes(700_000),
    "model-2.safetensors": bytes(range(256)) * 1000,
}
UNWANTED = {
    "modeling_minicpmv.py": b"raise SystemExit",
    "pytorch_model.bin": b"pickle",
    "README.md": b"#",
    "a.png": b"p",
}
CLIENT = """
import json, sys
from app.engine.download import resolve_config, resolve_model
from app.errors import AppError
function, model, source = sys.argv[1:]
progress = []
try:
    if function == "config":
        result = resolve_config(model, source)
    else:
        result = str(resolve_model(model, source, lambda *step: progress.append(step)))
    print(json.dumps({"result": result, "progress": progress}))
except AppError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    repositories = {
        "me/tiny": FILES | UNWANTED,
        "me/pickled": {"config.json": b"{}", "pytorch_model.bin": b"pickle"},
        "me/empty": {"README.md": b"#"},
        "me/gated": FILES,
        "me/broken": FILES | {"config.json": b"{"},
    }
    with serving(Hub(repositories, gated=frozenset({"me/gated"}))) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub, tmp_path: Path):
    """Runs the real client in a process of its own: the libraries read their environment when imported."""

    def run(model: str, source: str, function: str = "model", **changes: str) -> dict[str, Any]:
        environment = os.environ | {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": "",
            "HF_HUB_DISABLE_TELEMETRY": "1", "MODELSCOPE_ENDPOINT": hub.url, "MODELSCOPE_CACHE": str(tmp_path / "ms"),
            "MODELSCOPE_HOME": str(tmp_path / "home"),
        } | changes  # fmt: skip
        command = [sys.executable, "-c", CLIENT, function, model, source]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=240)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9", "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9"}


# --- folders


def test_a_folder_is_used_as_it_is(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert resolve_model(str(tmp_path)) == tmp_path
    assert resolve_config(str(tmp_path)) == CONFIG


def test_a_folder_without_config_is_refused(tmp_path: Path):
    with pytest.raises(ModelNotFoundError, match=r"holds no config\.json"):
        resolve_model(str(tmp_path))


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "one/two/three", "name", "a b/c", ""])
def test_what_is_neither_folder_nor_hub_id_is_refused_without_network(model: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"does not exist; allowed is a folder or a hub id|holds no config"):
        resolve_model(model)


def test_a_file_is_refused(tmp_path: Path):
    (tmp_path / "model.gguf").write_text("x")
    with pytest.raises(ModelNotFoundError, match="is a file"):
        resolve_model(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, text: str):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        resolve_config(str(tmp_path))


def test_an_unknown_source_is_refused():
    with pytest.raises(SettingsError, match="'ftp', allowed is huggingface or modelscope"):
        resolve_model("me/tiny", "ftp")


# --- which files


def test_code_and_pickles_beside_safetensors_are_not_wanted():
    assert wanted_files([*FILES, *UNWANTED]) == list(FILES)


def test_pickles_are_wanted_where_nothing_else_is():
    assert wanted_files(["config.json", "pytorch_model.bin", "x.py"]) == ["config.json", "pytorch_model.bin"]


# --- hubs


@pytest.mark.parametrize("source", SOURCES)
def test_a_model_is_fetched_with_progress(client, hub: Hub, source: str):
    answer = client("me/tiny", source)
    folder = Path(answer["result"])
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES} == FILES
    assert sorted(hub.fetched) == sorted(FILES)
    fractions = [fraction for fraction, _ in answer["progress"]]
    assert 0 < fractions[0] <= 1 and fractions[-1] == 1.0
    assert answer["progress"][-1][1] == "956 of 956 KB"


@pytest.mark.parametrize("source", SOURCES)
def test_a_second_time_nothing_is_fetched(client, hub: Hub, source: str):
    first = client("me/tiny", source)["result"]
    hub.fetched.clear()
    assert client("me/tiny", source)["result"] == first and hub.fetched == []


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_fetched_works_without_the_hub(client, source: str):
    first = client("me/tiny", source)["result"]
    assert client("me/tiny", source, **NOWHERE)["result"] == first
    assert client("me/tiny", source, "config", **NOWHERE)["result"] == CONFIG


@pytest.mark.parametrize("source", SOURCES)
def test_the_config_alone_is_fetched(client, hub: Hub, source: str):
    assert client("me/tiny", source, "config")["result"] == CONFIG
    assert hub.fetched == ["config.json"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_config_alone_is_no_model_without_the_hub(client, source: str):
    client("me/tiny", source, "config")
    answer = client("me/tiny", source, **NOWHERE)
    assert answer["error"] == "ModelNotFoundError" and "not complete" in answer["text"]


@pytest.mark.parametrize("source", SOURCES)
def test_pickled_weights_are_fetched_where_nothing_else_is(client, hub: Hub, source: str):
    client("me/pickled", source)
    assert sorted(hub.fetched) == ["config.json", "pytorch_model.bin"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("function", ["model", "config"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("me/missing", ["me/missing", "neither a folder here nor a repository", "spelling"]),
        ("me/gated", ["me/gated", "given access", "Ask for it"]),
    ],
)
def test_an_error_names_the_cause_and_the_way_out(client, hub: Hub, source: str, function: str, model: str, words):
    answer = client(model, source, function)
    assert answer["error"] == "ModelNotFoundError"
    assert all(word in answer["text"] for word in [*words, hub.url])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("function", ["model", "config"])
def test_a_repository_without_a_model_is_refused(client, source: str, function: str):
    answer = client("me/empty", source, function)
    assert answer["error"] == "ModelNotFoundError" and "me/empty" in answer["text"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("function", ["model", "config"])
def test_an_unreachable_hub_is_named(client, source: str, function: str):
    answer = client("me/tiny", source, function, **NOWHERE)
    assert answer["error"] == "ModelNotFoundError"
    assert "http://127.0.0.1:9 cannot be reached" in answer["text"] and "--model" in answer["text"]


@pytest.mark.parametrize("function", ["model", "config"])
def test_offline_mode_asks_nobody(client, hub: Hub, function: str):
    answer = client("me/tiny", "huggingface", function, HF_HUB_OFFLINE="1")
    assert answer["error"] == "ModelNotFoundError" and "HF_HUB_OFFLINE is set" in answer["text"]
    assert hub.fetched == []


def test_offline_mode_uses_what_was_fetched(client):
    first = client("me/tiny", "huggingface")["result"]
    assert client("me/tiny", "huggingface", HF_HUB_OFFLINE="1")["result"] == first
    assert COMMIT in first


@pytest.mark.parametrize("source", SOURCES)
def test_a_broken_config_from_a_hub_is_a_checkpoint_error(client, source: str):
    assert client("me/broken", source, "config")["error"] == "CheckpointError"


def test_a_cache_that_cannot_be_written_is_named(client, tmp_path: Path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    answer = client("me/tiny", "huggingface", HF_HOME=str(tmp_path / "taken"))
    assert answer["error"] == "ModelNotFoundError" and "cannot be stored" in answer["text"]


def test_a_full_disk_is_named():
    full = OSError(errno.ENOSPC, "No space left on device")
    for message, hint in (explain("me/tiny", full), modelscope.explain("me/tiny", full, "hub")):
        assert message.startswith("The disk is full: me/tiny") and "larger disk" in hint


def test_a_missing_modelscope_package_names_the_install_command():
    code = (
        "import sys; sys.modules['modelscope_hub'] = None\n"
        "from app.engine.download import resolve_model\n"
        "from app.errors import ModelNotFoundError\n"
        "try: resolve_model('me/tiny', 'modelscope')\n"
        "except ModelNotFoundError as error: print(error)"
    )
    text = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert "pip install modelscope-hub" in text
