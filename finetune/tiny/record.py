"""How a run went and what it cost, for the model card and to do it again."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.errors import CheckpointError

NAME = "training.json"
STAGES = ("towers", "learn")
# Flags that name a place on one machine, or follow from what else is recorded.
NOT_RECORDED = frozenset({"cache", "out", "published", "until"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training: how many pictures it saw and how many seconds it took."""

    name: str
    pictures: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sitting:
    """What one stage learned by the same flags, without another sitting in between.

    Attributes:
        stage: "towers" or "learn", whose command it was.
        start, stop: pictures of the stage before and after.
        seconds: that it took.
        processes: that learned together.
        flags: of the command, by name.
        published: it began a run with the checkpoint of the run before.
    """

    stage: str
    start: int
    stop: int
    seconds: float
    processes: int
    flags: Mapping[str, Any]
    published: bool = False

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Sitting:
        """From its JSON.

        Raises:
            CheckpointError: it lacks a field, or a field is none of a sitting.
        """
        try:
            numbers = int(data["from"]), int(data["to"]), float(data["hours"]) * 3600, int(data["processes"])
            flags = dict(data["flags"]) | {"pictures": int(data["flags"]["pictures"])}
            read = cls(data["stage"], *numbers, flags, bool(data.get("published")))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"A sitting of the training's record lacks or misuses the field {error}.") from None
        if read.stage not in STAGES:
            allowed = " or ".join(STAGES)
            raise CheckpointError(
                f"A sitting of the training's record: the stage is {read.stage!r}, allowed is {allowed}."
            )
        return read

    def data(self) -> dict[str, Any]:
        """As JSON."""
        counts = {"from": self.start, "to": self.stop, "hours": round(self.seconds / 3600, 3)}
        return {
            "stage": self.stage, **counts, "processes": self.processes, "published": self.published,
            "flags": dict(self.flags),
        }  # fmt: skip


def flags_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """All flags of a stage's command that decide what it learns."""
    return {name: value for name, value in vars(arguments).items() if name not in NOT_RECORDED}


def extended(sittings: Sequence[Sitting], now: Sitting) -> list[Sitting]:
    """The sittings and one that follows them; by the same flags it makes the last one longer."""
    last = sittings[-1] if sittings and not now.published else None
    if last and (last.stage, last.stop, last.processes, last.flags) == (now.stage, now.start, now.processes, now.flags):
        return [*sittings[:-1], replace(last, stop=now.stop, seconds=last.seconds + now.seconds)]
    return [*sittings, now]


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def write(path: Path, stages: Sequence[Stage], sittings: Sequence[Sitting]) -> None:
    """The record as JSON."""
    data: dict[str, Any] = {
        "hours": round(sum(stage.seconds for stage in stages) / 3600, 2),
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "stages": [
            {"name": stage.name, "pictures": stage.pictures, "hours": round(stage.seconds / 3600, 3)}
            for stage in stages
        ],
        "sittings": [sitting.data() for sitting in sittings],
    }
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


def read(path: Path) -> list[Stage]:
    """The stages of a record."""
    stages = json.loads(path.read_text("utf-8"))["stages"]
    return [Stage(stage["name"], stage["pictures"], stage["hours"] * 3600) for stage in stages]


def read_sittings(path: Path) -> list[Sitting]:
    """The sittings of a record; none where they were not recorded.

    Raises:
        CheckpointError: there is no such record, or one of them is not as it should be.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({type(error).__name__}).") from None
    return [Sitting.read(one) for one in data.get("sittings", ())]
