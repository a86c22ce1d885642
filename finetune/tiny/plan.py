"""The sittings of a training as commands, which do all of them again in their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.errors import CheckpointError
from finetune.tiny.record import Sitting, read_sittings


def read(path: Path) -> list[Sitting]:
    """The sittings that a training's record holds.

    Raises:
        CheckpointError: it cannot be read, or lacks some of them.
    """
    sittings = read_sittings(path)
    if lacking := gap(sittings):
        raise CheckpointError(f"{path} cannot be done again: it lacks {lacking}.")
    return sittings


def gap(sittings: Sequence[Sitting]) -> str:
    """What is missing to do them again; empty if nothing is."""
    done = {"towers": 0, "learn": 0}
    if not sittings or sittings[0].stage != "towers" or sittings[0].published:
        return "how it began"
    for sitting in sittings:
        begun = 0 if sitting.stage == "towers" and sitting.start == 0 else done[sitting.stage]
        if sitting.start != begun:
            return f"what {sitting.stage} learned from picture {begun:,} to {sitting.start:,}"
        done[sitting.stage] = sitting.stop
    return ""


def runs(sittings: Sequence[Sitting]) -> list[list[Sitting]]:
    """The sittings by the folder they share: a tower begins one, and answers that go on from a published model."""
    grouped: list[list[Sitting]] = []
    for sitting in sittings:
        tower = sitting.stage == "towers" and sitting.start == 0
        if tower or not grouped or (sitting.published and grouped[-1][-1].stage == "learn"):
            grouped.append([])
        grouped[-1].append(sitting)
    return grouped


def commands(sittings: Sequence[Sitting], cache: str, out: str) -> list[list[str]]:
    """What stands behind `python` for each sitting.

    The last run is in OUT, those before it are in OUT/1, OUT/2 ...; one that was not recorded is called BEFORE.
    """
    grouped = runs(sittings)
    folders = [*(str(Path(out) / str(number)) for number in range(1, len(grouped))), out]
    found = []
    for before, folder, run in zip(["BEFORE", *folders], folders, grouped, strict=False):
        for sitting in run:
            words = [*launch(sitting), "--cache", cache, "--out", folder, *flags(sitting)]
            if sitting.published:
                words += ["--published", str(Path(before) / "checkpoint")]
            found.append(words)
    return found


def launch(sitting: Sitting) -> list[str]:
    """How its command is started."""
    together = f"torch.distributed.run --standalone --nproc-per-node {sitting.processes} -m".split()
    return ["-m", *(together if sitting.processes > 1 else ()), f"finetune.tiny.{sitting.stage}"]


def flags(sitting: Sitting) -> list[str]:
    """Its flags as words, and where it stops if that is before its end."""
    words: list[str] = []
    for name, value in sitting.flags.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *(() if value is True else (str(value),))]
    return words if sitting.stop >= sitting.flags["pictures"] else [*words, "--until", str(sitting.stop)]
