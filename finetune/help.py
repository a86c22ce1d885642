"""What `python -m finetune --help` prints, without loading a library."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from app.parsing import Formatter
from finetune.arguments import COMMON, DEFAULTS, OWN

DESCRIPTION = "Teach a MiniCPM-V your task. The flags are those of the official scripts."
EPILOG = """\
Every field of transformers.TrainingArguments is a flag too; --help-all lists them.

python -m finetune --use_lora true --model_name_or_path MODEL --data_path train.json --output_dir OUT
python -m finetune --check --data_path train.json --model_name_or_path MODEL
accelerate launch --config_file finetune/configs/fsdp.yaml -m finetune ...
python -m finetune merge --adapter OUT --output MERGED
"""


class HelpFormatter(Formatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


def help_text() -> str:
    """The flags that most runs need, in groups."""
    parser = argparse.ArgumentParser(
        "python -m finetune",
        usage="python -m finetune [merge] --data_path FILE --model_name_or_path MODEL --output_dir OUT [...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpFormatter,
    )
    for arguments in OWN:
        group = parser.add_argument_group((arguments.__doc__ or "").rstrip("."))
        for entry in fields(arguments):
            _add(group, entry.name, entry.default, entry.metadata["help"])
    group = parser.add_argument_group("Training: the most used fields")
    for name, text in COMMON.items():
        _add(group, name, DEFAULTS.get(name), text)
    return parser.format_help()


def _add(group: Any, name: str, default: Any, text: str) -> None:
    group.add_argument(f"--{name}", default=default, help=text.replace("%", "%%"), metavar="")
