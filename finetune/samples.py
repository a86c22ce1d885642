"""A data file to samples; media are named, not decoded.

Taken are a JSON list or JSON Lines of entries in the forms that `finetune.entries` knows, mixed as they come.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.messages import Message
from finetune.entries import InlineImage, parse_entry
from finetune.errors import DataError, SampleError

__all__ = ["DataError", "InlineImage", "Sample", "SampleError", "read_samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One conversation to learn from.

    Attributes:
        id: the entry's own, else its number in the file, from 0.
        line: where the entry begins in the data file, from 1.
        messages: perhaps a system message, then the user's and the assistant's in turn, an answer last.
        learn_from: answers before this index of `messages` are context; there is no loss on them.
        notes: what the entry's author should know though it can be used.
        fault: why the entry cannot be used; `messages` is empty then.
    """

    id: str
    line: int
    messages: tuple[Message, ...]
    learn_from: int = 0
    notes: tuple[str, ...] = ()
    fault: SampleError | None = None


def read_samples(path: Path | str, media_root: Path | str | None = None) -> list[Sample]:
    """All entries of a data file, those that cannot be used with their `fault`.

    Args:
        path: a JSON list, or JSON Lines.
        media_root: the folder that relative paths of media start from; None is the data file's own. Absolute paths
            and paths that leave the folder are taken as they are.

    Raises:
        DataError: the file cannot be read, is not JSON, or has no entry.
    """
    path = Path(path)
    root = Path(media_root) if media_root is not None else path.parent
    samples = [_sample(number, line, entry, root) for number, (line, entry) in enumerate(_entries(_read(path)))]
    if not samples:
        raise DataError("The data file has no entry.", "Give a JSON list, or one JSON object per line.")
    return samples


def _sample(number: int, line: int, entry: Any, root: Path) -> Sample:
    name = str(entry["id"]) if isinstance(entry, dict) and "id" in entry else str(number)
    try:
        if isinstance(entry, SampleError):
            raise entry
        messages, notes = parse_entry(entry, root, line)
    except SampleError as fault:
        return Sample(name, line, (), fault=fault)
    return Sample(name, line, messages, notes=notes)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"The data file {path} cannot be read: {error.strerror}.", "Check --data_path.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"The data file {path} is not UTF-8 at byte {error.start}.", "Save it as UTF-8.") from None


def _entries(text: str) -> Iterator[tuple[int, Any]]:
    """The entries with the lines they begin in; a line of JSON Lines that is not JSON comes as its error."""
    if text.lstrip().startswith("["):
        yield from _list_entries(text)
        return
    # Only "\n" separates lines: JSON texts may hold the other characters that Python takes for line ends.
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            try:
                yield line, json.loads(row)
            except json.JSONDecodeError as error:
                yield line, SampleError(line, "form", f"Not JSON ({error.msg} at column {error.colno}).")


def _list_entries(text: str) -> Iterator[tuple[int, Any]]:
    """The items of a JSON list, decoded one after the other so that the line of each is known."""
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    at = _skip(text, text.index("[") + 1)
    try:
        while text[at : at + 1] != "]":
            line, counted = line + text.count("\n", counted, at), at
            entry, at = decoder.raw_decode(text, at)
            yield line, entry
            at = _skip(text, at)
            if text[at : at + 1] == ",":
                at = _skip(text, at + 1)
            elif text[at : at + 1] != "]":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
        if (behind := _skip(text, at + 1)) < len(text):
            raise json.JSONDecodeError("Extra data", text, behind)
    except json.JSONDecodeError as error:
        raise DataError(
            f"The data file is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.",
            "Repair it there, or use one JSON object per line, of which bad ones are skipped.",
        ) from None


def _skip(text: str, at: int) -> int:
    """The position of the next character that is no space."""
    while text[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at
