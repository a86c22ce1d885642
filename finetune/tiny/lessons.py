"""Questions about a drawn picture, with their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from finetune.tiny import language
from finetune.tiny.canvas import Thing
from finetune.tiny.language import choose
from finetune.tiny.palette import NAMES, SHAPE_NAMES
from finetune.tiny.wording import (
    COLOUR_ZH,
    PLURALS,
    SHAPE_ZH,
    a,
    box_text,
    describe,
    named,
    phrase,
    region,
    thing_names,
    zh,
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question with its answer.

    Attributes:
        skill: the row of the evaluation it belongs to.
        about: what has to be found in the picture to answer; nothing where that is everything, or is not there.
        said: what the answer names one after another, or reads out, as (first character, thing).
        picture: number of the picture that all this lies in.
    """

    skill: str
    question: str
    answer: str
    about: tuple[Thing, ...] = ()
    said: tuple[tuple[int, Thing], ...] = ()
    picture: int = 0


def alone(thing: Thing, objects: Sequence[Thing], *fields: str) -> bool:
    """Whether no other object has the same values of these fields."""
    values = [getattr(thing, field) for field in fields]
    return sum([getattr(other, field) for field in fields] == values for other in objects) == 1


def missing_shape(objects: Sequence[Thing], rng: Random) -> Thing:
    """A shape in a colour that the picture does not have, often one that shares something with what is there."""
    taken = {(thing.name, thing.colour) for thing in objects}
    shapes = [thing for thing in objects if thing.kind == "shape"]
    while True:
        name, colour = rng.choice(SHAPE_NAMES), rng.choice(NAMES)
        if shapes and rng.random() < 0.6:
            model = rng.choice(shapes)
            name, colour = (model.name, colour) if rng.random() < 0.5 else (name, model.colour)
        if (name, colour) not in taken:
            return Thing("shape", name, colour, (0, 0, 1, 1))


def missing_thing(objects: Sequence[Thing], rng: Random) -> Thing:
    """A thing that the picture does not have."""
    taken = {thing.name for thing in objects}
    words = [word for word in thing_names() if word not in taken]
    return Thing("thing", rng.choice(words), "", (0, 0, 1, 1))


Maker = Callable[[Sequence[Thing], Random], "Lesson | None"]


def colour_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """The colour of a shape whose kind stands alone."""
    shapes = [thing for thing in objects if thing.kind == "shape" and alone(thing, objects, "name")]
    if not shapes:
        return None
    one = rng.choice(shapes)
    if rng.random() < 0.25:
        single = len(objects) == 1 and rng.random() < 0.6
        question = (
            choose(rng, language.COLOUR_ZH) if single else choose(rng, language.COLOUR_OF_ZH, thing=SHAPE_ZH[one.name])
        )
        return Lesson("colour zh", question, COLOUR_ZH[one.colour], (one,))
    if len(objects) == 1 and rng.random() < 0.5:
        return Lesson("colour", choose(rng, language.COLOUR_ONE), one.colour, (one,))
    return Lesson("colour", choose(rng, language.COLOUR_OF, thing=one.name), one.colour, (one,))


def shape_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """What the only shape is, or the only one of its colour."""
    if len(objects) == 1 and objects[0].kind == "shape":
        if rng.random() < 0.2:
            return Lesson("shape", choose(rng, language.SHAPE_ZH), SHAPE_ZH[objects[0].name], (objects[0],))
        return Lesson("shape", choose(rng, language.SHAPE_ONE), objects[0].name, (objects[0],))
    shapes = [thing for thing in objects if thing.kind == "shape" and alone(thing, objects, "colour")]
    if not shapes or any(thing.kind == "thing" for thing in objects):
        return None
    one = rng.choice(shapes)
    return Lesson("shape", choose(rng, language.SHAPE_OF, colour=one.colour), one.name, (one,))


def count_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """How many there are: of a shape, of a colour, or in all."""
    if any(thing.kind != "shape" for thing in objects):
        return None
    draw = rng.random()
    if draw < 0.15:
        question = choose(rng, language.COUNT, things=rng.choice(("objects", "shapes")))
        return Lesson("count", question, str(len(objects)), tuple(objects))
    if draw < 0.25:
        colour = rng.choice(objects).colour
        same = tuple(thing for thing in objects if thing.colour == colour)
        question = choose(rng, language.COUNT, things=f"{colour} {rng.choice(('objects', 'shapes'))}")
        return Lesson("count", question, str(len(same)), same)
    name = rng.choice(objects).name if rng.random() < 0.92 else rng.choice(SHAPE_NAMES)
    same = tuple(thing for thing in objects if thing.name == name)
    if rng.random() < 0.12:
        return Lesson("count", choose(rng, language.COUNT_ZH, thing=SHAPE_ZH[name]), str(len(same)), same)
    return Lesson("count", choose(rng, language.COUNT, things=PLURALS[name]), str(len(same)), same)


def side_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """What lies outermost on a side."""
    if len(objects) < 2 or any(thing.kind == "text" for thing in objects):
        return None
    axis = rng.choice((0, 0, 1))
    order = sorted(objects, key=lambda thing: thing.centre[axis])
    last = rng.random() < 0.5
    one, other = (order[-1], order[-2]) if last else (order[0], order[1])
    # "On the left" is asked where it is plain: apart from the next, and from the middle unless there are two.
    if abs(one.centre[axis] - other.centre[axis]) < 0.12:
        return None
    side = (("left", "right"), ("top", "bottom"))[axis][last]
    if one.kind == "thing" or (kind := rng.random()) >= 0.75:
        question = choose(rng, (language.SIDE_WHAT, language.END_WHAT)[axis], side=side)
        return Lesson("position", question, phrase(one), (one,))
    if kind < 0.5:
        question = choose(rng, (language.SIDE_COLOUR, language.END_COLOUR)[axis], side=side)
        return Lesson("position", question, one.colour, (one,))
    return Lesson("position", choose(rng, (language.SIDE_SHAPE, language.END_SHAPE)[axis], side=side), one.name, (one,))


def where_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """In which ninth of the picture something is."""
    one = rng.choice(objects)
    place = region(one)
    if place is None or one.kind == "text" or not alone(one, objects, "name", "colour"):
        return None
    name = (
        one.name if one.kind == "shape" and alone(one, objects, "name") and rng.random() < 0.5 else phrase(one, False)
    )
    return Lesson("position", choose(rng, language.WHERE, thing=name), place, (one,))


def beside_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """What lies next to something; only where one object does, near the same line."""
    one = rng.choice(objects)
    if len(objects) < 2 or any(thing.kind == "text" for thing in objects) or not alone(one, objects, "name", "colour"):
        return None
    way = rng.choice(tuple(language.RELATIONS))
    axis, sign = (0, -1 if way == "left" else 1) if way in ("left", "right") else (1, -1 if way == "up" else 1)
    ahead = [
        (sign * (thing.centre[axis] - one.centre[axis]), abs(thing.centre[1 - axis] - one.centre[1 - axis]), thing)
        for thing in objects
        if thing is not one
    ]
    close = [(gap, off, thing) for gap, off, thing in ahead if gap > 0.12 and off < 0.8 * gap]
    if not close or any(0 < gap <= 0.12 for gap, _, _ in ahead):
        return None
    close.sort(key=lambda item: item[0])
    if len(close) > 1 and close[1][0] - close[0][0] < 0.1:
        return None
    question = choose(rng, language.BESIDE, relation=rng.choice(language.RELATIONS[way]), thing=phrase(one, False))
    return Lesson("position", question, phrase(close[0][2]), (close[0][2],))


def yes_no_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """Whether something is there, or of a colour; half the answers are "no"."""
    objects = [thing for thing in objects if thing.kind != "text"]
    if not objects:
        return None
    yes = rng.random() < 0.5
    if yes:
        one = rng.choice(objects)
    else:
        things = any(thing.kind == "thing" for thing in objects)
        one = missing_thing(objects, rng) if things and rng.random() < 0.7 else missing_shape(objects, rng)
    if (
        one.kind == "shape"
        and rng.random() < 0.15
        and any(alone(thing, objects, "name") for thing in objects if thing.kind == "shape")
    ):
        asked = rng.choice([thing for thing in objects if thing.kind == "shape" and alone(thing, objects, "name")])
        colour = asked.colour if yes else rng.choice([name for name in NAMES if name != asked.colour])
        question = choose(rng, language.IS_COLOUR, thing=asked.name, colour=colour)
        return Lesson("yes or no", question, "yes" if yes else "no", (asked,))
    if rng.random() < 0.12:
        about = (one,) if yes else ()
        return Lesson("yes or no", choose(rng, language.YES_NO_ZH, thing=zh(one)), "有" if yes else "没有", about)
    words = phrase(one)
    found: tuple[Thing, ...] = (one,) if yes else ()
    if one.kind == "shape" and rng.random() < 0.3:
        words, found = a(one.name), tuple(thing for thing in objects if thing.name == one.name)
    return Lesson("yes or no", choose(rng, language.IS_THERE, a_thing=words), "yes" if found else "no", found)


def what_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """What the only object is."""
    if len(objects) != 1 or objects[0].kind == "text":
        return None
    one = objects[0]
    skill = "things" if one.kind == "thing" else "describe"
    if rng.random() < 0.5:
        return Lesson(f"{skill} zh", choose(rng, language.WHAT_ZH), zh(one), (one,))
    return Lesson(skill, choose(rng, language.WHAT), phrase(one), (one,))


def read_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """What the only text says."""
    texts = [thing for thing in objects if thing.kind == "text"]
    if len(texts) != 1:
        return None
    (text,) = texts
    ways: tuple[str, ...] = language.READ_NUMBER if text.name.isdigit() and rng.random() < 0.7 else language.READ
    ways = language.READ_ZH if rng.random() < 0.08 else ways
    return Lesson("reading", choose(rng, ways), text.name, said=((0, text),))


def page(lines: Sequence[Thing], rng: Random) -> Lesson:
    """All lines of a printed page."""
    starts = accumulate((len(line.name) + 1 for line in lines), initial=0)
    said = tuple(zip(starts, lines, strict=False))
    return Lesson("page", choose(rng, language.READ), "\n".join(line.name for line in lines), said=said)


def text_colour_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """The colour of a text that is alone in the picture."""
    texts = [thing for thing in objects if thing.kind == "text"]
    if len(texts) != 1 or len(objects) != 1:
        return None
    word = "number" if texts[0].name.isdigit() else "text"
    return Lesson("colour", choose(rng, language.COLOUR_OF, thing=word), texts[0].colour, (texts[0],))


def describe_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """Everything there is; seldom where a name would come twice, or the model takes to saying names twice."""
    if len({(thing.name, thing.colour) for thing in objects}) < len(objects) and rng.random() < 0.8:
        return None
    answer, ways = describe(objects), language.DESCRIBE_SEVERAL if len(objects) > 1 else language.DESCRIBE
    return Lesson("describe", choose(rng, ways), answer, said=named(answer, objects))


def box_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """Where something is, as a box."""
    one = rng.choice(objects)
    if one.kind == "text" or not alone(one, objects, "name", "colour"):
        return None
    name = (
        one.name if one.kind == "shape" and alone(one, objects, "name") and rng.random() < 0.4 else phrase(one, False)
    )
    return Lesson("boxes", choose(rng, language.BOX, thing=name), box_text(one), (one,))


def outside_lesson(objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """A question that no picture answers."""
    return Lesson("honesty", *language.outside(rng))


def follow_up(before: Lesson, objects: Sequence[Thing], rng: Random) -> Lesson | None:
    """A question that only makes sense after the one before."""
    shapes = [thing for thing in objects if thing.kind == "shape"]
    if before.skill == "colour":
        asked = [thing for thing in shapes if thing.name in before.question] or (shapes if len(objects) == 1 else [])
        if len(asked) != 1:
            return None
        others = [thing for thing in shapes if thing is not asked[0] and alone(thing, objects, "name")]
        if others and rng.random() < 0.5:
            other = rng.choice(others)
            return Lesson("turns", choose(rng, language.FOLLOW_OTHER, thing=other.name), other.colour, (other,))
        place = region(asked[0])
        if place and rng.random() < 0.3:
            return Lesson("turns", choose(rng, language.FOLLOW_WHERE), place, (asked[0],))
        return Lesson("turns", choose(rng, language.FOLLOW_SHAPE), asked[0].name, (asked[0],))
    if before.skill == "shape":
        asked = [thing for thing in shapes if thing.name == before.answer]
        if len(asked) != 1:
            return None
        return Lesson("turns", choose(rng, language.FOLLOW_COLOUR), asked[0].colour, (asked[0],))
    if before.skill == "position" and before.answer in NAMES:
        asked = [thing for thing in shapes if thing.colour == before.answer]
        if len(asked) == 1:
            return Lesson("turns", choose(rng, language.FOLLOW_SHAPE), asked[0].name, (asked[0],))
    return None


# What is asked, and how often.
MAKERS: tuple[tuple[Maker, float], ...] = (
    (colour_lesson, 3.0),
    (shape_lesson, 1.4),
    (count_lesson, 3.5),
    (side_lesson, 2.0),
    (where_lesson, 1.6),
    (beside_lesson, 1.6),
    (yes_no_lesson, 1.6),
    (what_lesson, 3.0),
    (read_lesson, 5.0),
    (text_colour_lesson, 0.6),
    (describe_lesson, 1.3),
    (box_lesson, 1.8),
    (outside_lesson, 0.35),
)


def lessons(objects: Sequence[Thing], rng: Random, count: int) -> list[Lesson]:
    """Up to `count` different questions about a picture, in random order, follow-ups after what they follow."""
    found: list[Lesson] = []
    makers, weights = zip(*MAKERS, strict=True)
    for _ in range(4 * count):
        if len(found) >= count:
            break
        made = rng.choices(makers, weights)[0](objects, rng)
        # An answer that stands above already could be copied from there instead of read off the picture.
        if made is None or any(_same_answer(made, other) for other in found):
            continue
        if any(made.question == other.question for other in found):
            continue
        found.append(polite(made, rng))
        after = follow_up(made, objects, rng) if rng.random() < 0.3 else None
        if after:
            found.append(after)
    return found


def _same_answer(one: Lesson, other: Lesson) -> bool:
    return (one.skill, one.answer) == (other.skill, other.answer) and one.skill not in ("count", "yes or no")


def polite(lesson: Lesson, rng: Random) -> Lesson:
    """Now and then with words around the question that change nothing."""
    if rng.random() > 0.06 or not lesson.question.isascii() or lesson.skill in ("honesty", "boxes"):
        return lesson
    return replace(lesson, question=lesson.question + rng.choice(language.SUFFIXES))
