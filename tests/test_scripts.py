"""The three entry scripts: any member of the family behind each of them.

The real commands run in tests/browser/test_members.py.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from app.backends.local import LocalBackend
from app.cli import parse_settings
from app.engine.device import pick_dtype
from app.sampling import SamplingParams
from app.settings import Settings
from tests.checkpoints import CHECKPOINTS, family_of, folder

SCRIPTS = {path.name: path for path in Path(__file__).parents[1].glob("web_demo*.py")}


def parse(script: str, monkeypatch: pytest.MonkeyPatch, *argv: str) -> Settings:
    """The settings that a script makes of a command line."""
    made: list[Settings] = []

    def main(**defaults: Any) -> int:
        made.append(parse_settings(**defaults, argv=argv))
        return 0

    monkeypatch.setattr("app.cli.main", main)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS[script]), run_name="__main__")
    assert end.value.code == 0
    return made[0]


def test_there_are_three() -> None:
    assert sorted(SCRIPTS) == ["web_demo.py", "web_demo_2.5.py", "web_demo_2.6.py"]


@pytest.mark.parametrize("script", sorted(SCRIPTS))
@pytest.mark.parametrize("model", CHECKPOINTS)
def test_every_script_takes_every_member(script: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse(script, monkeypatch, "--model", str(folder(model)), "--device", "cpu")
    shown, family = LocalBackend(settings).capabilities, family_of(model)
    assert shown.model == family.name
    assert (shown.max_images, shown.video, shown.system_prompt) == (
        family.max_images,
        family.video,
        family.system_prompt,
    )
    assert shown.context > 0
    assert SamplingParams.of({}, shown.defaults) == SamplingParams.of({}, family.defaults)


@pytest.mark.parametrize("script", sorted(SCRIPTS))
@pytest.mark.parametrize(("device", "dtype"), [("cuda", "bf16"), ("cuda", "fp16"), ("mps", "fp16"), ("mps", "bf16")])
def test_the_documented_flags(script: str, device: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse(script, monkeypatch, "--device", device, "--dtype", dtype)
    assert (settings.device, settings.dtype) == (device, dtype)


def test_bf16_on_mps_is_said_and_fp16_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse("web_demo.py", monkeypatch, "--device", "mps", "--dtype", "bf16")
    choice = pick_dtype(settings.dtype, settings.device, bf16=True, quantized_checkpoint=False)
    assert choice.torch_dtype is torch.float16
    assert len(choice.notes) == 1 and "bf16" in choice.notes[0] and "fp16 is used" in choice.notes[0]
    assert not pick_dtype("fp16", "mps", bf16=True, quantized_checkpoint=False).notes
