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


def steps(arguments: argparse.Namespace) -> list[list[str]]:
    """The commands, in order."""
    python = [sys.executable, "-m"]
    cache, out = str(arguments.cache), str(arguments.out)
    team = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(arguments.processes), "-m"]
    trained = [*python, *team] if arguments.processes > 1 else python
    compiled = ["--compile"] if arguments.compile else []
    checkpoint = str(arguments.out / "checkpoint")
    evaluation, record = str(arguments.out / "evaluation.json"), str(arguments.out / "record.json")
    return [
        [*python, "finetune.tiny.icons", "--cache", cache],
        [*python, "finetune.tiny.fonts", "--cache", cache],
        [*trained, "finetune.tiny.towers", "--cache", cache, "--out", out, "--pictures", str(arguments.tower_pictures)],
        [
            *trained,
            "finetune.tiny.learn",
            "--cache",
            cache,
            "--out",
            out,
            "--pictures",
            str(arguments.pictures),
            *compiled,
        ],
        [*python, "finetune.tiny.evaluate", "--model", checkpoint, "--cache", cache, "--json", evaluation],
        [*python, "finetune.tiny.card", "--model", checkpoint, "--evaluation", evaluation, "--training", record],
    ]


def main() -> int:
    """Run the steps; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is downloaded to draw with")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--tower-pictures", type=int, default=165_000)
    parser.add_argument("--pictures", type=int, default=300_000)
    parser.add_argument("--processes", type=int, default=2, help="as many as there are cores")
    parser.add_argument("--compile", action="store_true", help="faster after a minute; needs a C++ compiler")
    arguments = parser.parse_args()
    environment = os.environ | {"OMP_NUM_THREADS": "1"} if arguments.processes > 1 else dict(os.environ)
    for command in steps(arguments):
        code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
