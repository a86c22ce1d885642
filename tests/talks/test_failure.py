"""Why a turn failed, and what to try, are known after it was kept; a stranger's word for either counts for nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.errors import AppError, ContextLengthError, GenerationError, MediaError, OutOfMemoryError, RequestError
from app.meter import Fix
from app.talks.failure import MAX_FIX, error_json, fixes_json, read_error, read_fixes
from app.texts import Phrase, translated

FIXES = (Fix("max_slice_nums", 4), Fix("max_frames", 32), Fix("leave_out", 2))


def kept(error: AppError) -> AppError:
    back = read_error(json.loads(json.dumps(error_json(error))))
    assert back is not None
    return back


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError(Phrase("echo_no_memory"), Phrase("do_fewer_images")), OutOfMemoryError),
        (ContextLengthError(1500, 1000), ContextLengthError),
        (GenerationError(Phrase("answer_unexpected", name="KeyError"), Phrase("do_try_again")), GenerationError),
        (MediaError("Words of another.", Phrase("do_attach_again")), GenerationError),
    ],
)
def test_an_error_keeps_its_kind_and_its_words_in_both_languages(error: AppError, kind: type[AppError]) -> None:
    back = kept(error)
    assert type(back) is kind and str(back) == str(error)
    assert translated(back.said, "zh") == translated(error.said, "zh") != str(error)
    assert error_json(back) == error_json(error)


def test_a_context_length_error_keeps_its_numbers() -> None:
    back = kept(ContextLengthError(1500, 1000))
    assert isinstance(back, ContextLengthError) and (back.tokens, back.limit) == (1500, 1000)


def test_words_that_are_no_phrase_stay_what_they_are() -> None:
    assert "phrases" not in error_json(GenerationError("Theirs.", "Try."))
    assert str(kept(GenerationError("Theirs.", "Try."))) == "Theirs. Try."


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "SystemExit"},
        {"kind": ["out_of_memory"]},
        {"kind": "context_length"},
        {"kind": "context_length", "tokens": "1", "limit": 1},
        {"kind": "context_length", "tokens": -1, "limit": 10**30},
        {"kind": "context_length", "tokens": True, "limit": 1},
        {"phrases": [1]},
        {"phrases": {"message": {"key": "no_such_key", "fields": {}}, "hint": 7}},
    ],
)
def test_what_is_of_no_known_kind_or_no_phrase_leaves_the_words(change: dict[str, Any]) -> None:
    back = read_error({"message": "It broke.", "hint": "Try.", **change})
    assert type(back) is GenerationError and str(back) == "It broke. Try."


def test_words_that_are_none_are_refused() -> None:
    assert read_error("It broke.") is None
    for words in (7, "a" * 5000):
        with pytest.raises(RequestError):
            read_error({"message": words})


def test_what_to_try_comes_back() -> None:
    assert read_fixes(json.loads(json.dumps(fixes_json(FIXES)))) == FIXES


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"kind": "max_frames", "value": 1},
        [7],
        [{"kind": "max_frames"}],
        [{"kind": "rm", "value": 1}],
        [{"kind": [], "value": 1}],
        [{"kind": "max_frames", "value": True}],
        [{"kind": "max_frames", "value": -1}],
        [{"kind": "max_frames", "value": MAX_FIX + 1}],
        [{"kind": "max_frames", "value": 1.5}],
        [{"kind": "max_frames", "value": '"><script>'}],
    ],
)
def test_what_cannot_be_tried_is_left_out(data: Any) -> None:
    assert read_fixes(data) == ()


def test_no_more_is_tried_than_there_is() -> None:
    assert len(read_fixes([{"kind": "leave_out", "value": 1}] * 100)) == 3
