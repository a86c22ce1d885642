"""The tokenizer of a run, learned from what is asked and answered; the names of things are a token each.

A Chinese name is else some five tokens, of parts of characters that many names share: spelled so, 15 of 100 things were
named wrong in Chinese, 6 in English.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from finetune.tiny import language, tokens
from finetune.tiny.curriculum import QUESTIONS, SCENES
from finetune.tiny.lessons import lessons
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.wording import thing_names

SIZE = 2000
# Scenes that are asked about.
TOLD = 6000


def tokenizer_for(supplies: Supplies, path: Path) -> Tokenizer:
    """The tokenizer of a run: read if it is there, else made and written."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    made = tokens.with_words(tokens.train(_texts(supplies), SIZE), names(supplies.words))
    made.save(str(path))
    return made


def names(things: Iterable[str]) -> dict[str, str]:
    """What is a token by itself: the name of each thing in Chinese, and in English, word by word, as in a sentence.

    Each with the English words that it stands for.
    """
    known = thing_names()
    english = {f" {word}": f" {word}" for thing in things for word in thing.split()}
    characters = {one: f" {thing}" for thing in things for one in known[thing].chinese}
    return english | characters | {known[thing].chinese: f" {thing}" for thing in things}


def _texts(supplies: Supplies) -> list[str]:
    """Questions and answers about several thousand scenes; what is to be read letter by letter is left out."""
    rng = Random(7)
    texts = [
        "system\nYou are a helpful assistant.",
        *(text for reply, asked in language.HELLO.items() for text in (reply, *asked) for _ in range(8)),
    ]
    for _ in range(TOLD):
        texts += language.outside(rng)
        canvas = canvas_for((12, 12), rng, supplies, 1.0)
        rng.choices(*zip(*SCENES, strict=True))[0](canvas, rng, supplies)
        made = lessons(canvas.objects, rng, QUESTIONS)
        texts += [text for lesson in made for text in (lesson.question, lesson.answer) if lesson.skill != "reading"]
    # So that the words between the marks of a turn are tokens too.
    return [f"assistant\nuser\n{text}" for text in texts]
