"""The report on machine and models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import doctor

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
    return {"name": "M", "needs": {dtype: {"total": int(size * GIB)} for dtype, size in sizes.items()}}


@pytest.mark.parametrize(
    ("free", "expected"),
    [(40, ["bf16", "fp16", "fp32", "int8", "int4"]), (17, ["bf16", "fp16", "int8", "int4"]), (7, ["int4"]), (2, [])],
)
def test_what_fits_follows_from_free_memory(free: float, expected: list[str]) -> None:
    assert doctor.what_fits([model(16, 6.5)], {"name": "cuda:0", "free": free * GIB}) == {"M": expected}


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
