"""`python -m app.export gguf --model DIR --out DIR`: GGUF files and a Modelfile for llama.cpp and Ollama."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.errors import AppError, SettingsError
from app.flags import Parser, report

PRECISIONS = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
INTERRUPTED = 130  # what shells report for Ctrl+C


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line (default: this process') says.

    Returns:
        Exit code: 0 when done, 1 if it could not be done, 2 if a flag is wrong, 130 after Ctrl+C.
    """
    try:
        flags = _parse(argv)
        # Imported late: what follows loads PyTorch, which takes seconds.
        from app.engine.download import resolve_model
        from app.export.gguf import export

        for path in export(resolve_model(flags.model, flags.source), flags.out, flags.precision):
            print(path)
    except SettingsError as error:
        return report(error, 2)
    except AppError as error:
        return report(error, 1)
    except KeyboardInterrupt:
        print("Stopped; the files are not complete.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__ or "", prog="python -m app.export")
    commands = parser.add_subparsers(dest="command", metavar="gguf", required=True, parser_class=Parser)
    gguf = commands.add_parser("gguf", description="Write MODEL as GGUF, its vision tower apart, and a Modelfile.")
    gguf.add_argument("--model", required=True, help="folder of a checkpoint, or its name on the hub")
    gguf.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to")
    gguf.add_argument("--type", dest="precision", default="f16", choices=PRECISIONS, metavar="|".join(PRECISIONS),
                      help="precision of the language model; the tower stays in f16 unless it is f32")  # fmt: skip
    gguf.add_argument("--source", default="huggingface", metavar="huggingface|modelscope",
                      help="hub to fetch the model from")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
