"""`python -m finetune`: train, `--check` a data set, or `merge` an adapter into its model."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import AppError, SettingsError
from app.flags import report
from app.parsing import Parser
from finetune.help import help_text

if TYPE_CHECKING:
    from finetune.parsing import Arguments

INTERRUPTED = 130  # what shells report for Ctrl+C


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line (default: this process') says.

    Returns:
        Exit code: 0 when done, 1 if it could not be done or a check found something, 2 if a flag is wrong, 130 after
        Ctrl+C. Errors are one line on stderr.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _quiet()
    try:
        if words[:1] == ["merge"]:
            return _merge(words[1:])
        if not words or {"-h", "--help"} & set(words):
            print(help_text(), end="")
            return 0
        return _train(words)
    except SettingsError as error:
        return report(error, 2)
    except AppError as error:
        return report(error, 1)
    except KeyboardInterrupt:
        print("Stopped; --resume_from_checkpoint true goes on from the last checkpoint.", file=sys.stderr)
        return INTERRUPTED


def _train(words: list[str]) -> int:
    # Imported late: what follows loads PyTorch, which takes seconds.
    from transformers.utils.logging import disable_progress_bar

    from finetune.parsing import build_parser, parse_arguments

    if "--help-all" in words:
        build_parser().print_help()
        return 0
    arguments = parse_arguments(words)
    main_process = arguments.training.process_index == 0

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def say(text: str) -> None:
        if main_process:
            tell(text)

    if not (main_process and sys.stderr.isatty()):
        disable_progress_bar()
    for note in arguments.notes:
        say(f"Note: {note}")
    if arguments.data.check:
        return _check(arguments)
    from finetune.train import train

    train(arguments, say, tell)
    return 0


def _check(arguments: Arguments) -> int:
    """Read all samples and print what is wrong with them; 1 if something is."""
    from finetune.check import check_samples, read_processor
    from finetune.encoding import Encoder
    from finetune.loading import context_length, find_model
    from finetune.samples import read_samples
    from finetune.slices import configured_slices

    folder, family = find_model(arguments)
    data = arguments.data
    length = min(data.model_max_length, context_length(folder))
    slices = data.max_slice_nums or configured_slices(folder)
    encoder = Encoder(read_processor(folder, family), family, length, slices)
    faults = 0
    for path in filter(None, (data.data_path, data.eval_data_path)):
        found = check_samples(read_samples(path, data.media_root), encoder)
        print(f"{path}:\n{found.text()}")
        faults += len(found.faults)
    return 1 if faults else 0


def _merge(words: Sequence[str]) -> int:
    parser = Parser("Write a plain checkpoint: a model with an adapter's change in its weights.",
                    prog="python -m finetune merge")  # fmt: skip
    parser.add_argument("--adapter", required=True, type=Path, help="folder of the adapter")
    parser.add_argument("--output", required=True, type=Path, help="folder to write; new or empty")
    parser.add_argument("--model", help="the model it was trained from; by default the one it names")
    parser.add_argument("--source", default="huggingface", help="hub to fetch that from: huggingface or modelscope")
    flags = parser.parse_args(words)
    from finetune.merge import merge

    merge(flags.adapter, flags.output, flags.model, flags.source)
    print(f"{flags.output} has the merged model.")
    return 0


def _quiet() -> None:
    """Leave out what libraries say of themselves; what matters to the user is said here."""
    warnings.filterwarnings("ignore", module=r"(torch|transformers|peft|accelerate|bitsandbytes)(\.|$)")
    for name in ("bitsandbytes", "accelerate", "peft", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


if __name__ == "__main__":
    raise SystemExit(main())
