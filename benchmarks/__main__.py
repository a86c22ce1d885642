"""Measure: `python -m benchmarks NAME [--json] [--device cpu]`.

Each benchmark compares both ways in one run, in turn, and gives medians: on a shared machine the ratios count. With
--json the last line is one object, {"cases": {name: {...}}, "machine": {...}}.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from app.errors import AppError
from app.flags import report
from app.settings import DTYPES
from benchmarks.options import Cases, Options, machine

NAMES = (
    "turns", "concurrency", "decode", "vision", "preprocess", "video", "startup", "memory", "growth", "load",
    "replicas", "gpu", "smooth", "front",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Parse the flags, measure, print; returns 1 if the model or the device cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--model", help="checkpoint folder; a random one is made otherwise (startup: the embedded one)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    parser.add_argument("--repeats", type=int, help="how often each case is measured")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="growth alone: draw the figures, such as into x.svg")
    parser.add_argument("--compile", action="store_true", help="decode alone: in turn with compiled layers, on a CPU")
    parser.add_argument("--small", action="store_true", help="only to see that it runs: tiny sizes, no meaning")
    flags = parser.parse_args(arguments)
    if flags.plot and flags.name != "growth":
        parser.error(f"--plot: {flags.name} draws nothing; growth does.")
    if flags.compile and flags.name != "decode":
        parser.error(f"--compile: {flags.name} does not take it; decode does, and gpu measures both.")
    module: Any = importlib.import_module(f"benchmarks.{flags.name}")
    repeats = flags.repeats or (1 if flags.small else module.REPEATS)
    options = Options(
        flags.model, flags.device, flags.dtype, repeats, flags.small, plot=flags.plot, compiled=flags.compile
    )
    try:
        cases: Cases = module.run(options)
    except AppError as error:
        return report(error, 1)
    if flags.json:
        print(json.dumps({"cases": cases, "machine": machine(flags.device)}), flush=True)
    else:
        print(table(cases))
    return 0


def table(cases: Cases) -> str:
    """One line per case."""
    return "\n".join(
        f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()) for name, figures in cases.items()
    )


if __name__ == "__main__":
    sys.exit(main())
