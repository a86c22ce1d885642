"""Flags that every command shares: which model, where it runs, and one flag per decoding option."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from app.backends.table import BACKENDS
from app.errors import AppError, SettingsError
from app.sampling import OPTIONS, Option
from app.settings import (
    DTYPES,
    ENGINES,
    REMOTE_ENGINES,
    SOURCES,
    VIDEO_READERS,
    parse_adapters,
    parse_base_url,
    parse_cache_size,
    parse_max_memory,
)


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help with the defaults that say something."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default in (False, "", {}, argparse.SUPPRESS)
        return action.help if silent else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `SettingsError`s and whose flags are written out in full."""

    def __init__(self, description: str, **options: Any) -> None:
        super().__init__(description=description, formatter_class=Formatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line."""
        raise SettingsError(f"{message}.", "See --help.")


class _AddAdapter(argparse.Action):
    """Collects folders by name."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        before = [f"{name}={folder}" for name, folder in getattr(namespace, self.dest).items()]
        setattr(namespace, self.dest, parse_adapters([*before, values]))


def add_model_flags(parser: argparse.ArgumentParser, default_model: str) -> None:
    """The flags that say what answers and where it runs; their names are fields of `Settings`."""
    add = parser.add_argument
    add("--model", default=default_model, help="folder of a checkpoint, or its name on the hub")
    add("--device", default="auto", metavar="auto|cuda|cuda:N|mps|cpu", help="where the model runs")
    add("--dtype", default="auto", metavar="|".join(DTYPES), help="precision of the weights")
    add("--adapter", dest="adapters", action=_AddAdapter, default={}, metavar="[NAME=]DIR",
        help="folder of fine-tuned weights (LoRA) for the model; may be repeated")  # fmt: skip
    add("--backend", default="local", metavar="|".join(BACKENDS), help="what answers; only local needs weights")
    add("--base-url", dest="base_urls", action="append", type=parse_base_url, default=[], metavar="URL",
        help="server of --backend openai, such as http://127.0.0.1:8000; may be repeated")  # fmt: skip
    add("--served-model", default="", metavar="NAME",
        help="model to ask the servers for; what they serve if they serve one")  # fmt: skip
    add("--api-key-env", default="", metavar="NAME",
        help="environment variable that holds the API key: sent to another engine, asked for by --api")  # fmt: skip
    add("--multi-gpus", action="store_true", help="spread the model over all GPUs")
    add("--max-memory", type=parse_max_memory, default={}, metavar="0=10GiB,1=10GiB",
        help="memory for weights by GPU, where it shall not be measured")  # fmt: skip
    add("--cpu-offload", action="store_true", help="put what does not fit on the GPUs into main memory")
    add("--engine", default="auto", metavar="|".join(dict.fromkeys((*ENGINES, *REMOTE_ENGINES))),
        help="whether many are answered at once (batched) or one after another (plain); with --backend openai what the "
             "servers are (auto asks them)")  # fmt: skip
    add("--cache-size", type=parse_cache_size, default="auto", metavar="auto|SIZE",
        help="memory for what is kept between answers, so that the next one starts at once")  # fmt: skip
    add("--source", default="huggingface", metavar="|".join(SOURCES), help="hub to fetch the model from")
    add("--video-reader", default="pyav", metavar="|".join(VIDEO_READERS), help="library that decodes videos")


def add_decoding_flags(parser: argparse.ArgumentParser, explanation: str) -> None:
    """One flag per decoding option, made from its declaration; what is not given is None."""
    group = parser.add_argument_group("decoding", explanation)
    for option in OPTIONS:
        _add_option(group, option)


def pop_decoding_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Take the decoding options out of parsed flags; returns those that were given, by option name."""
    options = {option.name: flags.pop(option.name) for option in OPTIONS}
    return {name: value for name, value in options.items() if value is not None}


def option_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options as defaults of both decode types, as `Settings.option_defaults` takes them."""
    return dict(given) | {f"beam.{name}": value for name, value in given.items()}


def report(error: AppError, code: int) -> int:
    """Say in one line on stderr what went wrong; returns the exit code."""
    print(f"error: {error}", file=sys.stderr)
    return code


def _add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    flag = f"--{option.name.replace('_', '-')}"
    if option.type is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=_help(option))
        group.set_defaults(**{option.name: None})
        return
    metavar = "|".join(option.choices) or {int: "N", float: "X"}.get(option.type, "TEXT")
    group.add_argument(flag, type=option.type, default=None, metavar=metavar, help=_help(option))


def _help(option: Option) -> str:
    allowed = "" if option.minimum is None else f" ({option.minimum} to {option.maximum})"
    return f"{option.help}{allowed}".replace("%", "%%")
