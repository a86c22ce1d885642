"""`python -m app.export gguf --model DIR --out DIR`: GGUF files and a Modelfile for llama.cpp and Ollama."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.errors import AppError, SettingsError
from app.flags import add_language_flag, report, say
from app.parsing import Parser
from app.texts import Phrase
from app.texts.languages import Locale, command_locale

PRECISIONS = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
INTERRUPTED = 130  # what shells report for Ctrl+C


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line (default: this process') says.

    Returns:
        Exit code: 0 when done, 1 if it could not be done, 2 if a flag is wrong, 130 after Ctrl+C.
    """
    words = sys.argv[1:] if argv is None else argv
    locale = command_locale(words, os.environ)
    try:
        flags = _parse(words, locale)
        # Imported late: what follows loads PyTorch, which takes seconds.
        from app.engine.download import resolve_model
        from app.export.gguf import export

        for path in export(resolve_model(flags.model, flags.source), flags.out, flags.precision):
            print(path)
    except SettingsError as error:
        return report(error, 2, locale)
    except AppError as error:
        return report(error, 1, locale)
    except KeyboardInterrupt:
        say(Phrase("stopped_incomplete"), locale)
        return INTERRUPTED
    return 0


def _parse(argv: Sequence[str], locale: Locale) -> argparse.Namespace:
    parser = Parser(Phrase("about.export"), locale, prog="python -m app.export")
    commands = parser.add_subparsers(dest="command", metavar="gguf", required=True, parser_class=Parser)
    gguf = commands.add_parser("gguf", description=Phrase("about.gguf"), locale=locale)
    gguf.add_argument("--model", required=True, help=Phrase("help.model"))
    gguf.add_argument("--out", required=True, type=Path, metavar="DIR", help=Phrase("help.out"))
    gguf.add_argument("--type", dest="precision", default="f16", choices=PRECISIONS, metavar="|".join(PRECISIONS),
                      help=Phrase("help.type"))  # fmt: skip
    gguf.add_argument("--source", default="huggingface", metavar="huggingface|modelscope",
                      help=Phrase("help.source"))  # fmt: skip
    add_language_flag(gguf)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
