"""A .zip of chat-completions messages alone."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.errors import RequestError
from app.messages import Image, Text
from app.sampling import SamplingParams
from app.talks.archive import read_archive
from app.talks.completions import completion_messages
from app.turn import Turn

TALK = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "and?"},
]


def imported(folder: Path, messages: list[Any]) -> list[Turn]:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("messages.json", json.dumps({"messages": messages}))
    return read_archive(path, lambda data: Image(folder / "none"), 10**6)[1].path()


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("content", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_the_systems_message_becomes_the_system_prompt(tmp_path: Path, role: str, content: Any) -> None:
    turns = imported(tmp_path, [{"role": role, "content": content}, *TALK])
    assert [turn.params for turn in turns] == [SamplingParams(system_prompt="Be brief.")] * 2
    assert completion_messages(turns, str)[0] == {"role": "system", "content": "Be brief."}


def test_several_are_one_per_line(tmp_path: Path) -> None:
    system = [{"role": "system", "content": text} for text in ("Be brief.", "Be kind.")]
    turns = imported(tmp_path, [*system, *TALK])
    assert turns[-1].params == SamplingParams(system_prompt="Be brief.\nBe kind.")


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": " "}]])
def test_without_one_nothing_is_said_of_the_options(tmp_path: Path, system: list[Any]) -> None:
    assert [turn.params for turn in imported(tmp_path, [*system, *TALK])] == [None, None]


def test_a_system_message_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="without content"):
        imported(tmp_path, [{"role": "system", "content": 7}, *TALK])


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_medium_that_is_gone_is_called_what_it_was(tmp_path: Path, kind: str) -> None:
    item = {"type": f"{kind}_url", f"{kind}_url": {"url": "http://elsewhere/x"}}
    (turn,) = imported(tmp_path, [{"role": "user", "content": [item]}])
    assert turn.user.content == (Text(f"[missing {kind}]"),)
