"""The command line of the replicas, and the same flags as the arguments of `serve run`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from app.errors import SettingsError
from app.flags import add_decoding_flags, add_model_flags, option_defaults, pop_decoding_flags
from app.parsing import Parser
from app.replicas.plan import ROUTINGS, Plan
from app.sampling import OPTIONS
from app.settings import Settings, parse_hosts, parse_size
from app.texts import Phrase
from app.texts.languages import Locale, command_locale

MODEL = "openbmb/MiniCPM-V-2_6"
PORT = 8000
OWN = tuple(field.name for field in fields(Plan) if field.name != "settings")  # of a flag and of the field it fills


def build_parser(locale: Locale = "en") -> argparse.ArgumentParser:
    """All flags; those that say what answers are the page's."""
    parser = Parser(Phrase("about.replicas"), locale, prog="python -m app.replicas")
    add_model_flags(parser, MODEL)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help=Phrase("help.host"))
    add("--port", type=int, default=PORT, help=Phrase("help.port"))
    add("--allow-url-hosts", type=parse_hosts, default="", metavar="HOST,*.HOST",
        help=Phrase("help.replicas.allow-url-hosts"))  # fmt: skip
    add("--max-file-size", default="500mb", metavar="SIZE", help=Phrase("help.replicas.max-file-size"))
    _add_replica_flags(parser)
    add_decoding_flags(parser, Phrase("about.replicas_decoding"))
    return parser


def _add_replica_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group(Phrase("help.replicas_group")).add_argument
    add("--replicas", type=int, metavar="N", help=Phrase("help.replicas"))
    add("--min-replicas", type=int, metavar="N",
        help=Phrase("help.min-replicas"))  # fmt: skip
    add("--max-replicas", type=int, metavar="N", help=Phrase("help.max-replicas"))
    add("--target-ongoing-requests", type=float, default=16, metavar="X",
        help=Phrase("help.target-ongoing-requests"))  # fmt: skip
    add("--max-ongoing-requests", type=int, default=64, metavar="N", help=Phrase("help.max-ongoing-requests"))
    add("--max-queued-requests", type=int, default=256, metavar="N", help=Phrase("help.max-queued-requests"))
    add("--gpus-per-replica", type=float, metavar="X",
        help=Phrase("help.gpus-per-replica"))  # fmt: skip
    add("--cpus-per-replica", type=float, default=1, metavar="X", help=Phrase("help.cpus-per-replica"))
    add("--ingress-replicas", type=int, default=1, metavar="N", help=Phrase("help.ingress-replicas"))
    add("--drain-timeout", type=float, default=600, metavar="SECONDS",
        help=Phrase("help.drain-timeout"))  # fmt: skip
    add("--routing", default="conversation", metavar="|".join(ROUTINGS),
        help=Phrase("help.routing"))  # fmt: skip
    add("--address", default="", metavar="auto|HOST:PORT", help=Phrase("help.address"))


def parse_plan(argv: Sequence[str] | None = None) -> Plan:
    """The plan of a command line (default: this process').

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
        SystemExit: `--help` was asked for and printed.
    """
    locale = command_locale(sys.argv[1:] if argv is None else argv, os.environ)
    flags = vars(build_parser(locale).parse_args(argv))
    options = pop_decoding_flags(flags)
    own = {name: flags.pop(name) for name in OWN}
    settings = Settings(
        **flags | {"max_file_size": parse_size(flags["max_file_size"])},
        api_only=True,
        option_defaults=option_defaults(options),
    )
    if own["replicas"] is not None and (own["min_replicas"] or own["max_replicas"]):
        raise SettingsError(Phrase("replicas_both"), Phrase("do_one_or_others"))
    own["replicas"] = 1 if own["replicas"] is None else own["replicas"]
    if own["gpus_per_replica"] is None:
        own["gpus_per_replica"] = 0 if settings.device in ("cpu", "mps") or settings.backend == "echo" else 1
    return Plan(settings=settings, **own)


def plan_of(arguments: Mapping[str, Any]) -> Plan:
    """The plan of `serve run` arguments, or of a YAML's `args`: the flags without their dashes.

    Args:
        arguments: by flag; true is a flag without a value, a list gives it several times.

    Raises:
        SettingsError: see `parse_plan`.
    """
    return parse_plan([word for name, value in arguments.items() for word in _words(name, value)])


SWITCHES = frozenset(option.name for option in OPTIONS if option.type is bool)


def _words(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    for one in value if isinstance(value, list) else [value]:
        if str(one).lower() == "true":
            yield flag
        elif str(one).lower() != "false":
            yield from (flag, str(one))
        elif name.replace("-", "_") in SWITCHES:  # the others are off unless they are given
            yield f"--no-{flag[2:]}"
