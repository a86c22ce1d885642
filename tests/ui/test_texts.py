"""Both languages have every text, and the accessible names are those that are promised."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from app.texts import options
from app.ui.texts import TEXTS, locale_of, say, static_key, translations


def test_every_text_in_both_languages_with_the_same_fields() -> None:
    for key, (english, chinese) in TEXTS.items():
        assert english.strip() and chinese.strip(), key
        fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1], key


def test_tables_have_the_same_keys() -> None:
    tables = translations()
    assert set(tables["en"]) == set(tables["zh"])
    assert all(re.fullmatch(r"page_\w+", key) for key in tables["en"])
    assert tables["zh"][static_key("option.top_k.help")] == options.TEXTS["option.top_k.help"][1]


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB", "en"),
        ("de-DE,de;q=0.9,zh;q=0.1", "zh"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_locale(header: str | None, locale: str) -> None:
    assert locale_of(header) == locale


def test_numbers_are_filled_in() -> None:
    assert say("new_tokens", "en", count=1234) == "1,234 tokens"
    assert say("ttft", "zh", seconds=0.5) == "首 token 0.50 秒"


def test_one_is_not_many() -> None:
    assert say("new_tokens", "en", count=1) == "1 token"
    assert say("new_tokens", "en", count=11) == "11 tokens"
    assert say("new_tokens", "en", count=1001) == "1,001 tokens"
    assert say("fix_max_slice_nums", "en", value=1) == "1 slice per image"
    assert say("saw_frame_parts", "en", slices=1, count=64) == "1 slice and 64 tokens per frame"
    assert say("new_tokens", "zh", count=1) == "1 个 token"
