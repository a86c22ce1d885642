"""Flags that every command shares: which model, where it runs, and one flag per decoding option."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from app.backends.table import BACKENDS
from app.errors import AppError
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
    parse_vision_table,
)
from app.texts import Phrase, translated
from app.texts.languages import AUTO, LANGUAGES, Locale


class _AddAdapter(argparse.Action):
    """Collects folders by name."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, parse_adapters([values], getattr(namespace, self.dest)))


def add_model_flags(parser: argparse.ArgumentParser, default_model: str) -> None:
    """The flags that say what answers and where it runs, and the language; their names are fields of `Settings`."""
    add = parser.add_argument
    add("--model", default=default_model, help=Phrase("help.model"))
    add("--device", default="auto", metavar="auto|cuda|cuda:N|mps|cpu", help=Phrase("help.device"))
    add("--dtype", default="auto", metavar="|".join(DTYPES), help=Phrase("help.dtype"))
    add("--adapter", dest="adapters", action=_AddAdapter, default={}, metavar="[NAME=]DIR",
        help=Phrase("help.adapter"))  # fmt: skip
    add("--backend", default="local", metavar="|".join(BACKENDS), help=Phrase("help.backend"))
    add("--base-url", dest="base_urls", action="append", type=parse_base_url, default=[], metavar="URL",
        help=Phrase("help.base-url"))  # fmt: skip
    add("--served-model", default="", metavar="NAME",
        help=Phrase("help.served-model"))  # fmt: skip
    add("--api-key-env", default="", metavar="NAME",
        help=Phrase("help.api-key-env"))  # fmt: skip
    add("--multi-gpus", action="store_true", help=Phrase("help.multi-gpus"))
    add("--max-memory", type=parse_max_memory, default={}, metavar="0=10GiB,1=10GiB",
        help=Phrase("help.max-memory"))  # fmt: skip
    add("--cpu-offload", action="store_true", help=Phrase("help.cpu-offload"))
    add("--engine", default="auto", metavar="|".join(dict.fromkeys((*ENGINES, *REMOTE_ENGINES))),
        help=Phrase("help.engine"))  # fmt: skip
    add("--cache-size", type=parse_cache_size, default="auto", metavar="auto|SIZE",
        help=Phrase("help.cache-size"))  # fmt: skip
    add("--vision-table", type=parse_vision_table, default="auto", metavar="auto|SIZE",
        help=Phrase("help.vision-table"))  # fmt: skip
    add("--compile", action="store_true", help=Phrase("help.compile"))
    add("--source", default="huggingface", metavar="|".join(SOURCES), help=Phrase("help.source"))
    add("--video-reader", default="pyav", metavar="|".join(VIDEO_READERS), help=Phrase("help.video-reader"))
    add_language_flag(parser)


def add_decoding_flags(parser: argparse.ArgumentParser, explanation: str) -> None:
    """One flag per decoding option, made from its declaration; what is not given is None."""
    group = parser.add_argument_group(Phrase("help.decoding"), explanation)
    for option in OPTIONS:
        _add_option(group, option)


def pop_decoding_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Take the decoding options out of parsed flags; returns those that were given, by option name."""
    options = {option.name: flags.pop(option.name) for option in OPTIONS}
    return {name: value for name, value in options.items() if value is not None}


def option_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options as defaults of both decode types, as `Settings.option_defaults` takes them."""
    return dict(given) | {f"beam.{name}": value for name, value in given.items()}


def add_language_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that names the language; see `app.texts.languages.command_locale`."""
    metavar = "|".join((*LANGUAGES, AUTO))
    parser.add_argument("--lang", default=AUTO, metavar=metavar, help=Phrase("help.lang"))


def report(error: AppError, code: int, locale: Locale = "en") -> int:
    """Say in one line on stderr what went wrong; returns the exit code."""
    say(Phrase("error_line", words=error.said), locale)
    return code


def say(words: str, locale: Locale) -> None:
    """Print words to stderr."""
    print(translated(words, locale), file=sys.stderr, flush=True)


def _add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    flag = f"--{option.name.replace('_', '-')}"
    if option.type is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=_help(option))
        group.set_defaults(**{option.name: None})
        return
    metavar = "|".join(option.choices) or {int: "N", float: "X"}.get(option.type, "TEXT")
    group.add_argument(flag, type=option.type, default=None, metavar=metavar, help=_help(option))


def _help(option: Option) -> str:
    if option.minimum is None:
        return option.help
    return Phrase("help.range", help=option.help, minimum=option.minimum, maximum=option.maximum)
