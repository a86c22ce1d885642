"""Parts of a long answer: nothing lost, nothing moved by what comes later, and no Markdown cut in two."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.ui.answer_parts import LONG, LONGEST, parts_of

PARAGRAPH = "A line of words that says something. " * 12 + "\n\n"
CODE = "```python\n" + "print('hello')\n\n" * 400 + "```\n\n"
FORMULA = "$$\n" + "a + b\n\n" * 800 + "$$\n\n"
SIGNS = ["word ", "\n", "\n\n", "```", "~~~~\n", "$$", "\\[", "\\]", "- a\n", "| a | b |\n", "  ", "`", "*"]


def test_a_short_answer_is_one_part() -> None:
    assert parts_of("") == [""]
    assert parts_of("One.\n\nTwo.") == ["One.\n\nTwo."]


def test_paragraphs_are_parts_of_some_thousand_characters() -> None:
    parts = parts_of(PARAGRAPH * 100)
    assert all(LONG <= len(part) < LONG + 2 * len(PARAGRAPH) for part in parts[:-1])
    assert all(part.startswith("A line") and part.endswith("\n\n") for part in parts[:-1])


def test_code_formulas_and_what_is_set_in_are_never_cut() -> None:
    for whole in (CODE, FORMULA, "- a\n\n" + "  set in\n\n" * 900):
        text = PARAGRAPH + whole + PARAGRAPH
        starts = list(accumulate(len(part) for part in parts_of(text)))
        assert not set(starts) & set(range(len(PARAGRAPH) + 1, len(PARAGRAPH) + len(whole)))


def test_a_paragraph_without_an_end_is_cut_between_words() -> None:
    parts = parts_of("word " * 20_000)
    assert len(parts) > 5
    assert all(len(part) <= LONGEST and part.endswith("word ") for part in parts)
    assert parts_of("`code` " + "word " * 20_000)[0].startswith("`code`")


@given(st.lists(st.sampled_from([*SIGNS, PARAGRAPH, CODE]), max_size=60), st.integers(0, 40_000))
def test_the_parts_are_the_text_and_stay_as_it_grows(pieces: list[str], at: int) -> None:
    text = "".join(pieces)
    whole, begun = parts_of(text), parts_of(text[:at])
    assert "".join(whole) == text
    assert begun[:-1] == whole[: len(begun) - 1]
