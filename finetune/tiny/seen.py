"""Questions of the training generator, with seeds that training never used, as cases of the evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from finetune.tiny import lessons, scenes, scoring, unknown
from finetune.tiny.canvas import Canvas
from finetune.tiny.case import VIDEO_OPTIONS, Case
from finetune.tiny.curriculum import Curriculum, Scene
from finetune.tiny.language import HELLO, HONEST, READ, choose, outside
from finetune.tiny.lessons import Lesson, Maker
from finetune.tiny.packed import GRIDS, Supplies, canvas_for
from finetune.tiny.samples import Exchange
from finetune.tiny.supplies import gather

# Pictures measure about 168 pixels times the roots of these.
AREAS = (1.0, 1.5, 2.5, 4, 6, 9, 16, 25)
ONE_QUESTION: dict[str, tuple[tuple[Scene, ...], Maker, str]] = {
    "colour": ((scenes.one_shape, scenes.several), lessons.colour_lesson, "colour"),
    "colour_zh": ((scenes.one_shape, scenes.several), lessons.colour_lesson, "colour zh"),
    "shape": ((scenes.one_shape, scenes.several), lessons.shape_lesson, "shape"),
    "count": ((scenes.alike,), lessons.count_lesson, "count"),
    "yes_no": ((scenes.several, scenes.one_shape, scenes.one_thing), lessons.yes_no_lesson, "yes or no"),
    "things": ((scenes.one_thing,), lessons.what_lesson, "things"),
    "things_zh": ((scenes.one_thing,), lessons.what_lesson, "things zh"),
    "reading": ((scenes.written,), lessons.read_lesson, "reading"),
    "describe": ((scenes.several, scenes.one_shape), lessons.describe_lesson, "describe"),
    "boxes": ((scenes.several, scenes.one_shape, scenes.one_thing), lessons.box_lesson, "boxes"),
}
POSITION = (lessons.side_lesson, lessons.where_lesson, lessons.beside_lesson)


class _Exchanges:
    """A `Writer` that leaves conversations as they are."""

    def write(self, exchanges: Sequence[Exchange], numbered: bool = True) -> list[Exchange]:
        return list(exchanges)


class Seen:
    """A `CaseSource` that draws as training does.

    Args:
        cache: folder of icons and fonts.
    """

    def __init__(self, cache: Path) -> None:
        self._supplies: Supplies = gather(cache)
        self._curriculum = Curriculum(self._supplies, _Exchanges())
        self._own: dict[str, Callable[[Random], Case]] = {
            "position": self._position,
            "things_twemoji": self._nothing,
            "page": self._page,
            "images": self._images,
            "few_shot": self._few_shot,
            "video": self._video,
            "turns": self._turns,
            "small_talk": lambda rng: self._small_talk(rng, chinese=False),
            "small_talk_zh": lambda rng: self._small_talk(rng, chinese=True),
            "honesty": self._honesty,
        }

    def __call__(self, skill: str, rng: Random) -> Case:
        """A new case of a skill.

        Raises:
            LookupError: the skill is not one that training draws.
        """
        if skill in self._own:
            return self._own[skill](rng)
        some, maker, name = ONE_QUESTION[skill]
        return self._question(skill, rng, some, (maker,), name)

    def _nothing(self, rng: Random) -> Case:
        raise LookupError("Training does not draw this style.")

    def _canvas(self, rng: Random) -> Canvas:
        return canvas_for(rng.choice(GRIDS), rng, self._supplies, math.sqrt(rng.choice(AREAS)))

    def _question(self, skill: str, rng: Random, some: Sequence[Scene], makers: Sequence[Maker], name: str) -> Case:
        while True:
            canvas = self._canvas(rng)
            rng.choice(some)(canvas, rng, self._supplies)
            made = rng.choice(makers)(canvas.objects, rng)
            if made and made.skill == name:
                return _case(skill, canvas, made)

    def _position(self, rng: Random) -> Case:
        return self._question("position", rng, (scenes.several,), POSITION, "position")

    def _page(self, rng: Random) -> Case:
        text = ""
        while len(text) < 20:
            canvas = self._canvas(rng)
            text = scenes.printed_page(canvas, rng, self._supplies)
        content = [Image.fromarray(canvas.picture(shrink=False)), choose(rng, READ)]
        message = {"role": "user", "content": content}
        return Case("page", [message], scoring.transcribes(text), text, max_new_tokens=400)

    def _images(self, rng: Random) -> Case:
        while True:
            for exchange in rng.choice(self._curriculum.pairs(rng, 0.0)):
                if exchange.pictures and exchange.answer.startswith("the "):
                    return _conversation("images", [exchange])

    def _few_shot(self, rng: Random) -> Case:
        return _conversation("few_shot", rng.choice(self._curriculum.shots(rng, 0.0)))

    def _video(self, rng: Random) -> Case:
        exchanges = rng.choice(self._curriculum.clips(rng, 0.0))
        return _conversation("video", exchanges[:1], VIDEO_OPTIONS)

    def _turns(self, rng: Random) -> Case:
        if rng.random() < 0.2:
            return self._next_picture(rng)
        while True:
            canvas = self._canvas(rng)
            rng.choice((scenes.one_shape, scenes.several))(canvas, rng, self._supplies)
            first = rng.choice((lessons.colour_lesson, lessons.shape_lesson))(canvas.objects, rng)
            after = lessons.follow_up(first, canvas.objects, rng) if first else None
            if first and after:
                picture = Image.fromarray(canvas.picture(shrink=False))
                messages: list[dict[str, Any]] = [
                    {"role": "user", "content": [picture, first.question]},
                    {"role": "assistant", "content": [first.answer]},
                    {"role": "user", "content": [after.question]},
                ]
                return Case("turns", messages, _same(after.answer), after.answer)

    def _next_picture(self, rng: Random) -> Case:
        """A question about another picture than the first; descriptions and boxes have scores of their own."""
        while True:
            talk = rng.choice(self._curriculum.sequels(rng, 0.0))
            last = max(index for index, exchange in enumerate(talk) if exchange.pictures)
            if not talk[last].answer.startswith(("There is", "<box>")):
                options = VIDEO_OPTIONS if len(talk[0].pictures) > 1 else None
                return replace(_conversation("turns", talk[: last + 1], options), group="next picture")

    def _small_talk(self, rng: Random, chinese: bool) -> Case:
        reply = rng.choice([reply for reply in HELLO if reply.isascii() != chinese])
        message = {"role": "user", "content": [rng.choice(HELLO[reply])]}
        skill = "small_talk_zh" if chinese else "small_talk"
        return Case(skill, [message], _same(reply), reply)

    def _honesty(self, rng: Random) -> Case:
        question, answer = outside(rng)
        canvas = self._canvas(rng)
        if rng.random() < 0.5:
            unknown.fill(canvas, rng, self._supplies)
            question, answer = "What is in this photo?", HONEST
        else:
            scenes.one_shape(canvas, rng, self._supplies)
        content = [Image.fromarray(canvas.picture(shrink=False)), question]
        return Case("honesty", [{"role": "user", "content": content}], scoring.says("I am a small|小型模型"), answer)


def _case(skill: str, canvas: Canvas, made: Lesson) -> Case:
    score = _same(made.answer)
    if skill == "describe":
        pairs = [(thing.colour, thing.name) for thing in canvas.objects]
        score = scoring.lists(*pairs)
    if skill == "boxes":
        numbers = [float(number) for number in made.answer[5:-6].split()]
        score = scoring.overlaps((numbers[0], numbers[1], numbers[2], numbers[3]))
    picture = Image.fromarray(canvas.picture(shrink=False))
    return Case(skill, [{"role": "user", "content": [picture, made.question]}], score, made.answer)


def _conversation(skill: str, exchanges: Sequence[Exchange], options: Mapping[str, Any] | None = None) -> Case:
    """The last answer is asked for, those before are given."""
    messages: list[dict[str, Any]] = []
    for exchange in exchanges:
        pictures = [one.image or Image.fromarray(one.pieces[0]) for one in exchange.pictures]
        text = [exchange.question] if exchange.question else []
        messages.append({"role": "user", "content": [*pictures, *text]})
        messages.append({"role": "assistant", "content": [exchange.answer]})
    answer = exchanges[-1].answer
    return Case(skill, messages[:-1], _same(answer), answer, options=options or {})


def _same(expected: str) -> scoring.Score:
    """The answer is this one, case and a full stop aside."""
    return lambda answer: float(answer.strip().rstrip(".").lower() == expected.rstrip(".").lower())
