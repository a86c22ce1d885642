"""Make the embedded checkpoint from nothing: downloads, tower, answers, measurement, card.

    python -m finetune.tiny --cache DIR --out DIR --processes 2

Every step goes on where it was stopped. OUT/checkpoint is then what `assets/tiny-minicpm-v` holds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from finetune.tiny import record


def steps(arguments: argparse.Namespace) -> list[list[str]]:
    """The commands, in order."""
    python = [sys.executable, "-m"]
    team = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(arguments.processes), "-m"]
    trained = [*python, *team] if arguments.processes > 1 else python
    cache, out = ["--cache", str(arguments.cache)], ["--out", str(arguments.out)]
    checkpoint: Path = arguments.out / "checkpoint"
    model = ["--model", str(checkpoint)]
    evaluation, training = str(arguments.out / "evaluation.json"), str(checkpoint / record.NAME)
    first, second = (["--pictures", str(count)] for count in (arguments.tower_pictures, arguments.pictures))
    compiled = ["--compile"] if arguments.compile else []
    return [
        [*python, "finetune.tiny.icons", *cache],
        [*python, "finetune.tiny.fonts", *cache],
        [*trained, "finetune.tiny.towers", *cache, *out, *first],
        [*trained, "finetune.tiny.learn", *cache, *out, *second, *compiled],
        [*python, "finetune.tiny.evaluate", *model, *cache, "--json", evaluation],
        [*python, "finetune.tiny.card", *model, "--evaluation", evaluation, "--training", training],
    ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cache", type=Path, required=True, help="folder for what is downloaded to draw with")
    made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument("--tower-pictures", type=int, default=165_000, help="pictures of the first stage (165000)")
    made.add_argument("--pictures", type=int, default=300_000, help="pictures of the second stage (300000)")
    made.add_argument("--processes", type=int, default=2, help="as many as there are cores (2)")
    made.add_argument("--compile", action="store_true", help="faster after a minute; needs a C++ compiler")
    return made


def main() -> int:
    """Run the steps; the first that fails ends it."""
    arguments = parser().parse_args()
    environment = os.environ | {"OMP_NUM_THREADS": "1"} if arguments.processes > 1 else dict(os.environ)
    for command in steps(arguments):
        code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
