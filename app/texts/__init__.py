"""What is said outside of the page: errors and the command line, in every language, from one table.

Each file beside this one holds the part of one subject, by key, a column per language. A `Phrase` is such a text with
its fields; it is English to everything that reads it as a string: logs, the API and programs. Who shows it to
somebody asks for it in their language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from app.texts import command_line, doctor, engines, export, help, hubs, media, models, options, python_api, requests
from app.texts.languages import LANGUAGES, Locale, column_of

PARTS = (command_line, doctor, engines, export, help, hubs, media, models, options, python_api, requests)
TEXTS: Mapping[str, tuple[str, ...]] = {key: texts for part in PARTS for key, texts in part.TEXTS.items()}


class Phrase(str):
    """A text of the table, in English, that can be had in the other languages.

    Attributes:
        key: of `TEXTS`.
        fields: what stands in its `{names}`; phrases among them are said in the same language.

    Raises:
        KeyError: there is no such text, or one of its fields is missing.
    """

    key: str
    fields: dict[str, Any]

    def __new__(cls, key: str, /, **fields: Any) -> Phrase:
        """The text of this key."""
        made = super().__new__(cls, _filled(key, fields, LANGUAGES[0]))
        made.key, made.fields = key, fields
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.key, self.fields)

    def but(self, **fields: Any) -> Phrase:
        """The same text with other fields."""
        return Phrase(self.key, **self.fields | fields)

    def to(self, locale: Locale) -> str:
        """The text in a language."""
        return _filled(self.key, self.fields, locale)


def translated(text: str, locale: Locale) -> str:
    """A text in a language; words that are not ours, such as another server's, stay what they are."""
    return text.to(locale) if isinstance(text, Phrase) else text


def listed(items: Sequence[str], key: str) -> str:
    """Several texts as one, each two joined by the text of this key, which has the fields before and after."""
    return reduce(lambda before, after: Phrase(key, before=before, after=after), items) if items else ""


def _again(key: str, fields: dict[str, Any]) -> Phrase:
    return Phrase(key, **fields)


def _filled(key: str, fields: Mapping[str, Any], locale: Locale) -> str:
    values = {name: translated(value, locale) if isinstance(value, str) else value for name, value in fields.items()}
    return TEXTS[key][column_of(locale)].format(**values)
