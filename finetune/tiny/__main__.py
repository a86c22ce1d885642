"""Make the embedded checkpoint from nothing: downloads, tower, answers, measurement, card.

    python -m finetune.tiny --cache DIR --out DIR --processes 2
    python -m finetune.tiny --cache DIR --out DIR --plan training.json      every sitting of a record again, in order

Every step goes on where it was stopped. OUT/checkpoint is then what `assets/tiny-minicpm-v` holds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from app.errors import AppError
from app.flags import report
from finetune.tiny import plan, record


def steps(arguments: argparse.Namespace) -> list[list[str]]:
    """The commands, in order.

    Raises:
        CheckpointError: the plan cannot be read, or is not whole.
    """
    cache, out = str(arguments.cache), str(arguments.out)
    checkpoint: Path = arguments.out / "checkpoint"
    model = ["--model", str(checkpoint)]
    evaluation, training = str(arguments.out / "evaluation.json"), str(checkpoint / record.NAME)
    sittings = plan.read(arguments.plan) if arguments.plan else usual(arguments)
    words = [
        ["-m", "finetune.tiny.icons", "--cache", cache],
        ["-m", "finetune.tiny.fonts", "--cache", cache],
        ["-m", "finetune.tiny.photographs", "--cache", cache],
        *plan.commands(sittings, cache, out),
        ["-m", "finetune.tiny.evaluate", *model, "--cache", cache, "--json", evaluation],
        ["-m", "finetune.tiny.card", *model, "--evaluation", evaluation, "--training", training],
    ]
    return [[sys.executable, *some] for some in words]


def usual(arguments: argparse.Namespace) -> list[record.Sitting]:
    """One sitting of each stage, their other flags as they are by default."""
    first, second = arguments.tower_pictures, arguments.pictures
    return [
        record.Sitting("towers", 0, first, 0.0, arguments.processes, {"pictures": first}),
        record.Sitting(
            "learn", 0, second, 0.0, arguments.processes, {"pictures": second, "compile": arguments.compile}
        ),
    ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cache", type=Path, required=True, help="folder for what is downloaded to draw with")
    made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument("--plan", type=Path, help="record of a training to do again; it has what the flags below say")
    made.add_argument("--tower-pictures", type=int, default=165_000, help="pictures of the first stage (165000)")
    made.add_argument("--pictures", type=int, default=300_000, help="pictures of the second stage (300000)")
    made.add_argument("--processes", type=int, default=2, help="as many as there are cores (2)")
    made.add_argument("--compile", action="store_true", help="faster after a minute; needs a C++ compiler")
    return made


def main() -> int:
    """Run the steps; the first that fails ends it."""
    try:
        commands = steps(parser().parse_args())
    except AppError as error:
        return report(error, 1)
    together = any("torch.distributed.run" in command for command in commands)
    environment = os.environ | {"OMP_NUM_THREADS": "1"} if together else dict(os.environ)
    for command in commands:
        code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
