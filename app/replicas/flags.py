"""The command line of the replicas, and the same flags as the arguments of `serve run`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from app.errors import SettingsError
from app.flags import Parser, add_decoding_flags, add_model_flags, option_defaults, pop_decoding_flags
from app.replicas.plan import ROUTINGS, Plan
from app.settings import Settings, parse_hosts, parse_size

MODEL = "openbmb/MiniCPM-V-2_6"
PORT = 8000
OWN = tuple(field.name for field in fields(Plan) if field.name != "settings")  # of a flag and of the field it fills


def build_parser() -> argparse.ArgumentParser:
    """All flags; those that say what answers are the page's."""
    parser = Parser(
        "Serve several copies of the model under one address, behind the OpenAI protocol.",
        prog="python -m app.replicas",
    )
    add_model_flags(parser, MODEL)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is every interface")
    add("--port", type=int, default=PORT, help="port to listen on")
    add("--allow-url-hosts", type=parse_hosts, default="", metavar="HOST,*.HOST",
        help="hosts from which images and videos may be read; else data URLs alone")  # fmt: skip
    add("--max-file-size", default="500mb", metavar="SIZE", help="largest image or video, such as 200mb or 1gb")
    _add_replica_flags(parser)
    add_decoding_flags(parser, "What is taken where a request does not say; else the model's own defaults.")
    return parser


def _add_replica_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("replicas").add_argument
    add("--replicas", type=int, metavar="N", help="copies of the model (1 unless --min-replicas says otherwise)")
    add("--min-replicas", type=int, metavar="N",
        help="copies when nobody asks; with --max-replicas, instead of --replicas")  # fmt: skip
    add("--max-replicas", type=int, metavar="N", help="copies when many ask")
    add("--target-ongoing-requests", type=float, default=16, metavar="X",
        help="requests per copy, waiting ones counted, that copies are added or ended to come to")  # fmt: skip
    add("--max-ongoing-requests", type=int, default=64, metavar="N", help="requests a copy takes at once; more wait")
    add("--max-queued-requests", type=int, default=256, metavar="N", help="requests that may wait; more get 429")
    add("--gpus-per-replica", type=float, metavar="X",
        help="GPUs of each copy: 0.5 is half of one (1; with --device cpu 0)")  # fmt: skip
    add("--cpus-per-replica", type=float, default=1, metavar="X", help="CPU cores of each copy, which are its threads")
    add("--ingress-replicas", type=int, default=1, metavar="N", help="processes that take requests and hand them on")
    add("--drain-timeout", type=float, default=600, metavar="SECONDS",
        help="how long answers may go on when their copy is replaced or ended")  # fmt: skip
    add("--routing", default="conversation", metavar="|".join(ROUTINGS),
        help="whether each turn of a conversation goes to the copy that has its cache")  # fmt: skip
    add("--address", default="", metavar="auto|HOST:PORT", help="Ray cluster to deploy into; one is started otherwise")


def parse_plan(argv: Sequence[str] | None = None) -> Plan:
    """The plan of a command line (default: this process').

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
        SystemExit: `--help` was asked for and printed.
    """
    flags = vars(build_parser().parse_args(argv))
    options = pop_decoding_flags(flags)
    own = {name: flags.pop(name) for name in OWN}
    settings = Settings(
        **flags | {"max_file_size": parse_size(flags["max_file_size"])},
        api_only=True,
        option_defaults=option_defaults(options),
    )
    if own["replicas"] is not None and (own["min_replicas"] or own["max_replicas"]):
        raise SettingsError("--replicas does not go with --min-replicas and --max-replicas.", "Give one or the others.")
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


def _words(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    for one in value if isinstance(value, list) else [value]:
        if str(one).lower() == "true":
            yield flag
        elif str(one).lower() != "false":
            yield from (flag, str(one))
