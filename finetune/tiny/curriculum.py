"""Which conversations are drawn, and how often: single pictures, sliced ones, pairs, examples, clips, small talk, and
those that go on with another picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Generic, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from finetune.tiny import language, scenes, unknown
from finetune.tiny.canvas import Canvas
from finetune.tiny.dense import LABELS
from finetune.tiny.embedded import MOST_CELLS
from finetune.tiny.language import choose
from finetune.tiny.lessons import Lesson, lessons, missing_shape, page
from finetune.tiny.looks import letters_of, looks_of
from finetune.tiny.packed import GRIDS, Supplies, canvas_for
from finetune.tiny.palette import SHAPE_NAMES
from finetune.tiny.samples import Exchange, Picture, Writer, cut, whole
from finetune.tiny.wording import a, describe, named, phrase, zh

QUESTIONS = 8
# Slices in one process's batch, about: what a step costs.
SLICES = 32
# Cells of a frame at most, as the application cuts those of short clips.
FRAME_CELLS = 2
Scene = Callable[[Canvas, Random, Supplies], None]
Draw = Callable[[Scene], tuple[Canvas, Picture]]
SCENES: tuple[tuple[Scene, float], ...] = (
    (scenes.one_shape, 1.5),
    (scenes.one_thing, 4.5),
    (scenes.several, 4.5),
    (scenes.alike, 3.2),
    (scenes.written, 4.0),
)


Sample = TypeVar("Sample")


class Curriculum(Generic[Sample]):
    """Draws batches.

    Args:
        supplies: what is drawn with. writer: turns conversations into samples.
    """

    def __init__(self, supplies: Supplies, writer: Writer[Sample]) -> None:
        self.supplies, self.writer = supplies, writer

    def batch(self, rng: Random, kind: float, easy: float, early: float = 0.0, few: float = 0.0) -> list[Sample]:
        """Samples of one kind.

        Args:
            kind: in 0..1, chooses which. easy: share of pictures with one object only, high at first.
            early: how much rarer all but single whole pictures are, 1 at first.
            few: share of the other single pictures with two or three large shapes only.
        """
        kinds = ((self.singles, 0.35), (self.sliced, 0.33), (self.pairs, 0.1), (self.shots, 0.08), (self.sequels, 0.1),
                 (self.clips, 0.04))  # fmt: skip
        # Beginners see single pictures: for the same time these have four times the answers of cut ones.
        left = kind * (1 - max(0.8 * easy, 0.5 * early, 0.7 * few))
        for make, share in kinds:
            left -= share
            if left < 0:
                return self.singles(rng, easy, few) if make == self.singles else make(rng, easy)
        return self.singles(rng, easy, few)

    def singles(self, rng: Random, easy: float, few: float = 0.0) -> list[Sample]:
        """One whole picture each, a few without."""
        grid = rng.choice(GRIDS)
        return [self._single(rng, grid, easy, few) for _ in range(SLICES)]

    def _single(self, rng: Random, grid: tuple[int, int], easy: float, few: float) -> Sample:
        draw = rng.random()
        if draw < 0.09:
            spoken = (language.small_talk, language.small_talk, language.outside)
            return self.writer.write([_said(rng.choice(spoken)(rng)) for _ in range(rng.choice((1, 1, 2, 3, 4)))])
        asked: list[Lesson] = []
        while not asked:
            canvas = canvas_for(grid, rng, self.supplies)
            asked = self._photo(canvas, rng) if draw < 0.13 else self._asked(canvas, rng, easy, few)
        picture = whole(canvas.finish(), _dense(canvas))
        return self.writer.write(_about([picture], asked))

    def _asked(self, canvas: Canvas, rng: Random, easy: float, few: float = 0.0) -> list[Lesson]:
        """Draw a scene on an empty canvas and ask about it; nothing is asked where nothing found a place."""
        if rng.random() < easy:
            scene: Scene = rng.choice((scenes.one_shape, scenes.one_thing))
        elif rng.random() < few:
            scene = scenes.few
        else:
            scene = rng.choices(*zip(*SCENES, strict=True))[0]
        scene(canvas, rng, self.supplies)
        asked = lessons(canvas.objects, rng, QUESTIONS) if canvas.objects else []
        if asked and rng.random() < 0.05:
            asked.insert(rng.randrange(len(asked) + 1), Lesson("small talk", *language.small_talk(rng)))
        return asked

    def _photo(self, canvas: Canvas, rng: Random) -> list[Lesson]:
        """Draw what the model does not know."""
        unknown.fill(canvas, rng, self.supplies)
        question = choose(rng, language.UNKNOWN_PICTURE)
        asked = [Lesson("honesty", question, language.HONEST)]
        if rng.random() < 0.3:
            asked.append(Lesson("honesty", choose(rng, language.WHAT_ZH), language.HONEST_ZH))
        missing = missing_shape([], rng)
        asked.append(Lesson("yes or no", choose(rng, language.IS_THERE, a_thing=phrase(missing)), "no"))
        return asked

    def sliced(self, rng: Random, easy: float) -> list[Sample]:
        """Large pictures, cut by the application's slicing; some of them printed pages."""
        grid = rng.choice(GRIDS)
        scale = math.sqrt(rng.choice((1.3, 1.6, 2, 2.5, 3, 4, 4, 6, 9, 16, 25)))
        samples: list[Sample] = []
        spent = 0
        pages = rng.random() < 0.12
        while spent < SLICES * 1.5:
            canvas = canvas_for(grid, rng, self.supplies, scale)
            if pages:
                text = scenes.printed_page(canvas, rng, self.supplies, rng.choice((20, 30, 60, 150)))
                asked = [page(canvas.objects, rng)] if text else []
            else:
                asked = self._photo(canvas, rng) if rng.random() < 0.09 else self._asked(canvas, rng, easy)
            if not asked:
                continue
            picture = _cut(canvas, MOST_CELLS)
            spent += len(picture.pieces)
            samples.append(self.writer.write(_about([picture], asked)))
        return samples

    def pairs(self, rng: Random, easy: float) -> list[Sample]:
        """Two pictures, or three, and questions that compare them."""
        return self._rounds(rng, self._pair)

    def shots(self, rng: Random, easy: float) -> list[Sample]:
        """Two or three examples of an answer's form, then a picture to answer in that form."""
        return self._rounds(rng, self._shots)

    def _rounds(self, rng: Random, make: Callable[[Random, Draw], Sample]) -> list[Sample]:
        """Samples of several pictures of one size each: whole ones, or large ones that are cut."""
        grid = rng.choice(GRIDS)
        large = rng.random() < 0.4
        scale = math.sqrt(rng.choice((1.5, 2, 3, 4, 6, 9))) if large else None
        samples: list[Sample] = []
        spent = 0

        def draw(scene: Scene) -> tuple[Canvas, Picture]:
            nonlocal spent
            canvas = canvas_for(grid, rng, self.supplies, scale)
            scene(canvas, rng, self.supplies)
            picture = _cut(canvas, MOST_CELLS) if large else whole(canvas.finish())
            spent += len(picture.pieces)
            return canvas, picture

        while spent < SLICES:
            samples.append(make(rng, draw))
        return samples

    def _pair(self, rng: Random, draw: Draw) -> Sample:
        numbers = ("first", "second", "third")[: 2 if rng.random() < 0.8 else 3]
        few = rng.random() < 0.6
        drawn = [draw(rng.choice((scenes.one_shape, scenes.one_thing)) if few else scenes.several) for _ in numbers]
        objects = [canvas.objects for canvas, _ in drawn]
        asked: list[Lesson] = []
        for _ in range(6):
            index = rng.randrange(len(numbers))
            one = rng.choice(objects[index])
            others = [other for at, some in enumerate(objects) if at != index for other in some]
            if not any((one.name, one.colour) == (other.name, other.colour) for other in others):
                words = phrase(one) if rng.random() < 0.5 else f"the {phrase(one, False)}"
                options = f"the {', the '.join(numbers[:-1])} or the {numbers[-1]}"
                fields = {"a_thing": words, "A_thing": words[0].upper() + words[1:], "options": options}
                question = choose(rng, language.WHICH_IMAGE, **fields)
                asked.append(Lesson("several images", question, f"the {numbers[index]}", (one,), picture=index))
            picture = f"the {numbers[index]} {rng.choice(('image', 'picture'))}"
            if len(objects[index]) == 1:
                question, answer = f"What is in {picture}?", phrase(objects[index][0])
                asked.append(Lesson("several images", question, answer, tuple(objects[index]), picture=index))
            else:
                answer = describe(objects[index])
                said = named(answer, objects[index])
                asked.append(Lesson("several images", f"Describe {picture}.", answer, said=said, picture=index))
        asked = list({lesson.question: lesson for lesson in asked}.values())[:QUESTIONS]
        rng.shuffle(asked)
        return self.writer.write(_about([picture for _, picture in drawn], asked))

    def _shots(self, rng: Random, draw: Draw) -> Sample:
        things = rng.random() < 0.25
        shape_forms = ("colour", "shape", "both", "colour", "shape", "both", "phrase", "reverse", *["chinese"] * 3)
        form = rng.choice(("word", "phrase", "chinese") if things else shape_forms)
        asked_in_chinese = form == "chinese" and rng.random() < 0.6
        question = rng.choice(language.WHAT_ZH if asked_in_chinese else language.SHOT) if rng.random() < 0.9 else ""
        exchanges = []
        for index in range(3 if rng.random() < 0.8 else 4):
            canvas, picture = draw(scenes.one_thing if things else scenes.one_shape)
            one = canvas.objects[0]
            answers = {"word": one.name, "phrase": phrase(one), "chinese": zh(one), "colour": one.colour,
                       "shape": one.name, "both": f"{one.colour} {one.name}",
                       "reverse": f"{one.name}, {one.colour}"}  # fmt: skip
            seen = looks_of(Lesson("few-shot", question, answers[form], (one,), picture=index))
            exchanges.append(Exchange(question, answers[form], [picture], index > 0, seen, index > 0))
        return self.writer.write(exchanges)

    def sequels(self, rng: Random, easy: float) -> list[Sample]:
        """Conversations that go on with another picture, sometimes behind a clip; each is asked about when it comes.

        Only so are things counted and read in a picture that is not the first one.
        """
        grid = rng.choice(GRIDS)
        scale = math.sqrt(rng.choice((1.5, 2, 3, 4))) if rng.random() < 0.3 else None
        samples: list[Sample] = []
        spent = 0
        while spent < SLICES:
            talk: list[Exchange] = []
            shown: list[Picture] = []
            clip = rng.random() < 0.12
            if clip:
                frames, asked = self._clip(rng, grid, cells=False)
                talk, shown = _about(frames, asked), [*frames]
            for _ in range(1 if clip else rng.choice((2, 2, 3))):
                asked = []
                while not asked:
                    canvas = canvas_for(grid, rng, self.supplies, scale)
                    asked = self._asked(canvas, rng, easy)
                picture = _cut(canvas, MOST_CELLS) if scale else whole(canvas.finish())
                talk += _about([picture], asked[: rng.randint(1, 4)], len(shown))
                shown.append(picture)
            spent += sum(len(picture.pieces) for picture in shown)
            samples.append(self.writer.write(talk, numbered=not clip))
        return samples

    def clips(self, rng: Random, easy: float) -> list[Sample]:
        """Frames of something that moves."""
        grid = rng.choice(GRIDS)
        cells = rng.random() < 0.3
        samples: list[Sample] = []
        spent = 0
        while spent < SLICES * 1.5:
            frames, asked = self._clip(rng, grid, cells)
            spent += sum(len(frame.pieces) for frame in frames)
            # Numbers are off for clips, as the product sends them.
            samples.append(self.writer.write(_about(frames, asked), numbered=False))
        return samples

    def _clip(self, rng: Random, grid: tuple[int, int], cells: bool) -> tuple[list[Picture], list[Lesson]]:
        canvas = canvas_for(grid, rng, self.supplies, math.sqrt(rng.uniform(1.6, 3)) if cells else None)
        chosen = None
        while chosen is None:
            chosen = scenes.some_colour(canvas, rng)
        name = "circle" if rng.random() < 0.6 else rng.choice(SHAPE_NAMES)
        radius = rng.uniform(0.07, 0.2) * min(canvas.width, canvas.height)
        count, ground = rng.randint(8, 16), canvas.image
        way = rng.choice(("left", "right", "up", "down"))
        axis, length = (0, canvas.width) if way in ("left", "right") else (1, canvas.height)
        free = length - 2 * radius - 2
        run = free * rng.uniform(0.5, 1.0)
        start = radius + 1 + rng.uniform(0, free - run)
        across = rng.uniform(radius + 1, (canvas.height, canvas.width)[axis] - radius - 1)
        state = rng.getrandbits(32)
        frames = []
        for number in range(count):
            at = start + run * number / (count - 1)
            at = at if way in ("right", "down") else length - at
            canvas.image = ground.copy()
            canvas.draw = ImageDraw.Draw(canvas.image)
            # The same shape in every frame: its proportions are drawn from the same numbers.
            canvas.rng = Random(state)
            canvas.shape(name, *chosen, *((at, across) if axis == 0 else (across, at)), radius)
            frames.append(_cut(canvas, FRAME_CELLS) if cells else whole(canvas.picture(shrink=True)))
        spoken = "ball" if name == "circle" else name
        asked = [
            Lesson("video", choose(rng, language.VIDEO_COLOUR, thing=spoken), chosen[0]),
            Lesson("video", choose(rng, language.VIDEO_MOVE + language.VIDEO_AXIS[axis], thing=spoken), way),
        ]
        if rng.random() < 0.4:
            asked.append(Lesson("video", choose(rng, language.VIDEO_WHAT), a(f"{chosen[0]} {spoken}")))
        rng.shuffle(asked)
        return frames, asked


def _said(pair: tuple[str, str]) -> Exchange:
    return Exchange(*pair)


def _about(pictures: list[Picture], asked: list[Lesson], before: int = 0) -> list[Exchange]:
    """A conversation that begins, or goes on behind `before` pictures, with these."""
    placed = [replace(lesson, picture=before + lesson.picture) for lesson in asked]
    return [
        Exchange(
            lesson.question,
            lesson.answer,
            [] if index else pictures,
            looks=looks_of(lesson),
            spelled=letters_of(lesson),
        )
        for index, lesson in enumerate(placed)
    ]


def _cut(canvas: Canvas, most: int) -> Picture:
    """The picture as it was drawn, cut into at most `most` cells."""
    return cut(Image.fromarray(canvas.picture(shrink=False)), most)


def _dense(canvas: Canvas) -> np.ndarray:
    """int64 (labels, rows * cols): what covers each patch."""
    return canvas.labels.table().reshape(len(LABELS), -1)
