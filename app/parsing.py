"""A parser of command lines that speaks the reader's language, and whose errors are `SettingsError`s."""

from __future__ import annotations

import argparse
import re
import unicodedata
from collections.abc import Iterable
from functools import partial
from typing import Any, NoReturn

from app.errors import SettingsError
from app.texts import Phrase, translated
from app.texts.languages import Locale

# argparse's own words; what it says in English is what is looked for.
_WORDS = {
    "options": "parser.options",
    "positional arguments": "parser.positional",
    "show this help message and exit": "parser.help",
}
_ERRORS = {
    r"unrecognized arguments: (?P<got>.*)": "parser.unknown",
    r"the following arguments are required: (?P<names>.*)": "parser.required",
    r"argument (?P<name>[^:]+): expected one argument": "parser.one_value",
    r"argument (?P<name>[^:]+): invalid (?P<type>\w+) value: (?P<got>.*)": "parser.wrong_type",
    r"argument (?P<name>[^:]+): invalid choice: (?P<got>.*) \(choose from (?P<allowed>.*)\)": "parser.choice",
    r"argument (?P<name>[^:]+): ignored explicit argument (?P<got>.*)": "parser.no_value",
}
_CHINESE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60"
_CLOSING = "[，。；：、）！？]*"  # never begins a line
_WIDE = re.compile(f"[{_CHINESE}]")
_PIECES = re.compile(rf"\s+|[{_CHINESE}]{_CLOSING}|[^\s{_CHINESE}]+{_CLOSING}")


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help in one language, with the defaults that say something."""

    def __init__(self, prog: str, locale: Locale = "en") -> None:
        super().__init__(prog, max_help_position=32)
        self._locale = locale

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """The first line."""
        super().add_usage(usage, actions, groups, prefix or self._say(Phrase("parser.usage")))

    def start_section(self, heading: str | None) -> None:
        """A group's title."""
        super().start_section(self._say(heading) or heading)

    def add_text(self, text: str | None) -> None:
        """A description."""
        super().add_text(self._say(text) or text)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default in (False, "", {}, [], argparse.SUPPRESS)
        behind = "" if silent or not action.help else self._say(Phrase("parser.default"))
        return self._say(action.help).replace("%", "%%") + behind

    def _say(self, text: str | None) -> str:
        return translated(Phrase(_WORDS[text]) if text in _WORDS else text or "", self._locale)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(text, width) if _WIDE.search(text) else super()._split_lines(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not _WIDE.search(text):
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in wrapped(text, width - len(indent)))


class Parser(argparse.ArgumentParser):
    """A parser whose flags are written out in full.

    Args:
        locale: of its help; its errors are phrases, which can be had in any.
    """

    def __init__(self, description: str, locale: Locale = "en", **options: Any) -> None:
        formatter = partial(Formatter, locale=locale)
        super().__init__(description=description, formatter_class=formatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line."""
        for pattern, key in _ERRORS.items():
            if found := re.fullmatch(pattern, message, re.DOTALL):
                raise SettingsError(Phrase(key, **found.groupdict()), Phrase("do_see_help"))
        raise SettingsError(Phrase("flag_message", message=message), Phrase("do_see_help"))


def wrapped(text: str, width: int) -> list[str]:
    """Lines no wider than `width` columns, where Chinese characters take two and may stand at the end of a line."""
    lines, used = [""], 0
    for piece in _PIECES.findall(text):
        wide = columns(piece)
        if used and used + wide > width:
            lines.append("")
            used, piece = 0, piece.lstrip()
        lines[-1] += piece if piece.strip() else " " * bool(used)
        used = columns([lines[-1]])
    return [line.rstrip() for line in lines]


def columns(text: Iterable[str]) -> int:
    """How many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in "".join(text))
