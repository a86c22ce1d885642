"""The languages there are, and which one a reader wants.

Another language is another name here and another column of texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

Locale: TypeAlias = Literal["en", "zh"]

LANGUAGES: tuple[Locale, ...] = ("en", "zh")  # in the order of the columns; the first is what programs and logs read
AUTO = "auto"
VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set counts


def column_of(locale: Locale) -> int:
    """Where a language stands in the tables of texts."""
    return LANGUAGES.index(locale)


def known(name: str) -> Locale | None:
    """The language of a name such as zh, zh-CN or zh_CN.UTF-8, if there is one."""
    plain = name.strip().lower().replace("_", "-").split("-")[0].split(".")[0]
    return next((language for language in LANGUAGES if language == plain), None)


def locale_of(accept_language: str | None) -> Locale:
    """The first language of an Accept-Language header that there is, else English."""
    names = (entry.split(";")[0] for entry in (accept_language or "").split(","))
    return next(filter(None, map(known, names)), LANGUAGES[0])


def command_locale(words: Sequence[str], environment: Mapping[str, str]) -> Locale:
    """The language in which a command speaks: that of `--lang`, else of the environment, else English.

    Args:
        words: of the command line, not parsed yet: what is wrong with them is said in this language.
    """
    asked = [word.removeprefix("--lang=") for word in words if word.startswith("--lang=")]
    asked += [after for word, after in pairwise(words) if word == "--lang"]
    told = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    return next(filter(None, map(known, [*asked[-1:], told])), LANGUAGES[0])
