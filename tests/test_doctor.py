"""The report on machine and models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import doctor
from app.engine.scheduler import PAGE

GIB = 1024**3
ROOT = Path(__file__).parents[1]


def test_the_report_from_the_command_line() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "app.doctor", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    report = json.loads(output.stdout)
    assert output.returncode == (1 if report["problems"] else 0)
    assert report["devices"][-1]["name"] == "cpu"
    assert {model["name"] for model in report["models"]} >= {"MiniCPM-V 2.6", "MiniCPM-Llama3-V 2.5"}
    assert all(report["versions"].values())


def model(bf16: float, int4: float) -> dict[str, Any]:
    sizes = {"bf16": bf16, "fp16": bf16, "fp32": 2 * bf16, "int8": 0.6 * bf16, "int4": int4}
    return {"name": "M", "needs": {dtype: needs_of(size) for dtype, size in sizes.items()}}


def needs_of(size: float) -> dict[str, Any]:
    return {"total": int(size * GIB), "batched": int((size + 1.5) * GIB)}


@pytest.mark.parametrize(
    ("free", "expected"),
    [(40, ["bf16", "fp16", "fp32", "int8", "int4"]), (17, ["bf16", "fp16", "int8", "int4"]), (7, ["int4"]), (2, [])],
)
def test_what_fits_follows_from_free_memory(free: float, expected: list[str]) -> None:
    assert doctor.what_fits([model(16, 6.5)], {"name": "cuda:0", "free": free * GIB}) == {"M": expected}


@pytest.mark.parametrize(
    ("free", "expected"), [(18, ["bf16", "fp16", "int8", "int4"]), (17, ["int8", "int4"]), (6, [])]
)
def test_answering_many_at_once_takes_more(free: float, expected: list[str]) -> None:
    device = {"name": "cuda:0", "free": free * GIB}
    assert doctor.what_fits([model(16, 6.5)], device, "batched") == {"M": expected}


def test_where_nothing_is_batched_nothing_is_said_of_it() -> None:
    unbatched = model(16, 6.5)
    for needs in unbatched["needs"].values():
        needs["batched"] = None
    assert doctor.what_fits([unbatched], {"name": "cuda:0", "free": 80 * GIB}, "batched") == {}
    assert doctor.what_fits([model(16, 6.5)], {"name": "mps", "free": 80 * GIB}, "batched") == {}


def test_the_batched_engine_is_counted_with_a_whole_context() -> None:
    for found in doctor.list_models():
        context = {"MiniCPM-V 2.6": 32768, "MiniCPM-V 1.0": 2048}.get(found["name"])
        for needs in found["needs"].values():
            assert needs["batched"] is None or needs["batched"] >= needs["total"]
            if context:
                more = (context + PAGE - min(doctor.CONVERSATION, context)) * needs["kv_per_1000"] / 1000
                assert needs["batched"] - needs["total"] == pytest.approx(more, abs=2)


def test_the_report_says_how_the_cache_is_divided_and_what_many_at_once_take() -> None:
    report = doctor.examine()
    report["caches"] = {"cpu": doctor.divide_cache(80 * GIB)}
    report["devices"] = [device for device in report["devices"] if device["name"] == "cpu"]
    report["models"] = [model(16, 6.5) | {"name": "M"}]
    for needs in report["models"][0]["needs"].values():
        needs |= {"weights": 0, "kv_per_1000": 0, "image": 0, "frames": 0}
    device = {"name": "cpu", "free": 17 * GIB}
    for key, need in (("fits", "total"), ("fits_batched", "batched")):
        report[key] = {"cpu": doctor.what_fits(report["models"], device, need)}
    text = doctor.render(report)
    assert "6.00 keys and values of the batch, 1.00 of beam searches, 0.50 image features, 0.50" in text
    assert "0.50 image features that are being read (--vision-table auto)" in text
    assert "7.00 keys and values, 1.00 image features" in text
    assert "M on cpu: bf16, fp16, int8, int4\nM on cpu, many at once: int8, int4; else one after another" in text
    report["fits_batched"]["cpu"]["M"] = []
    assert "M on cpu: only one after another" in doctor.render(report)


def test_a_mac_is_offered_only_what_works_there() -> None:
    assert doctor.what_fits([model(16, 6.5)], {"name": "mps", "free": 64 * GIB}) == {"M": ["fp16", "fp32"]}


def test_problems_name_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 5 * GIB}))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    problems = doctor.find_problems({"av": None, "torch": "2.0.0+cpu"}, [{"name": "cpu"}])
    assert any("av is not installed" in line and "pip install" in line for line in problems)
    assert any("torch is 2.0.0+cpu" in line and "pip install torch==" in line for line in problems)
    assert any("no CUDA" in line for line in problems)
    assert any("5 GiB" in line for line in problems)


def test_the_text_has_every_model_and_precision() -> None:
    text = doctor.render(doctor.examine())
    for name in ("MiniCPM-V 2.6", "MiniCPM-Llama3-V 2.5"):
        for dtype in doctor.DTYPES:
            assert any(line.startswith(name) and dtype in line for line in text.splitlines())
