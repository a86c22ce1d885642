"""Objects that lie apart, in the picture, and as many as the scene promises."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from finetune.tiny.canvas import Canvas
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.scenes import (
    AMBIGUOUS,
    alike,
    few,
    one_shape,
    one_thing,
    printed_page,
    radius_range,
    several,
    written,
)  # fmt: skip

Scene = Callable[[Canvas, Random, Supplies], None]


def drawn(scene: Scene, supplies: Supplies, count: int = 12) -> list[Canvas]:
    canvases = [canvas_for((12, 12), Random(seed), supplies, 1.0) for seed in range(count)]
    for canvas in canvases:
        scene(canvas, canvas.rng, supplies)
    return canvases


@pytest.mark.parametrize(("scene", "kind"), [(one_shape, "shape"), (one_thing, "thing")])
def test_single_objects(supplies: Supplies, scene: Scene, kind: str) -> None:
    for canvas in drawn(scene, supplies):
        assert [thing.kind for thing in canvas.objects] == [kind]


def test_several_are_all_different_and_apart(supplies: Supplies) -> None:
    canvases = drawn(several, supplies, 25)
    for canvas in canvases:
        names = [(thing.name, thing.colour) for thing in canvas.objects]
        assert len(set(names)) == len(names) >= 1
        assert not any(thing.kind == "thing" and thing.name in AMBIGUOUS for thing in canvas.objects)
        for index, thing in enumerate(canvas.objects):
            for other in canvas.objects[:index]:
                overlap = [min(thing.box[i + 2], other.box[i + 2]) - max(thing.box[i], other.box[i]) for i in (0, 1)]
                assert min(overlap) < 0.02
    assert {len(canvas.objects) for canvas in canvases} >= {1, 2, 3, 5}
    assert {thing.kind for canvas in canvases for thing in canvas.objects} == {"shape", "thing"}


def test_few_are_told_apart_by_name_and_by_colour(supplies: Supplies) -> None:
    for canvas in drawn(few, supplies, 25):
        assert 1 <= len(canvas.objects) <= 3 and {thing.kind for thing in canvas.objects} == {"shape"}
        assert len({thing.name for thing in canvas.objects}) == len({thing.colour for thing in canvas.objects})
        assert len({thing.name for thing in canvas.objects}) == len(canvas.objects)
    assert {len(canvas.objects) for canvas in drawn(few, supplies, 25)} >= {2, 3}


def test_alike_are_one_shape_with_others_between(supplies: Supplies) -> None:
    counts = []
    for canvas in drawn(alike, supplies, 25):
        names = [thing.name for thing in canvas.objects]
        first = names.count(names[0])
        assert names[:first] == [names[0]] * first and names[0] not in names[first:]
        counts.append(first)
    assert set(counts) >= {1, 2, 3, 4}


def test_written_is_one_text_inside_the_picture(supplies: Supplies) -> None:
    texts = [canvas.objects for canvas in drawn(written, supplies)]
    assert sum(len(objects) == 1 for objects in texts) >= 10 and all(len(objects) <= 1 for objects in texts)
    for (thing,) in filter(None, texts):
        assert thing.kind == "text" and 1 <= len(thing.name) <= 6
        assert 0 < thing.box[0] < thing.box[2] < 1 and thing.box[3] < 1


def test_a_printed_page_gives_its_lines(supplies: Supplies) -> None:
    texts = []
    for seed in range(12):
        canvas = canvas_for((12, 12), Random(seed), supplies, 3.0)
        text = printed_page(canvas, canvas.rng, supplies, 80)
        assert text.split("\n") == [thing.name for thing in canvas.objects] or not text
        # A line is begun below the limit and written to its end.
        assert len(text) < 80 + 80 and all(thing.box[2] < 1 for thing in canvas.objects)
        texts.append(text)
    # Some in the order of a text, others with words between that only the picture tells.
    known = {word for line in supplies.lines for word in line.split()}
    assert {set(text.split()) <= known for text in texts if text} == {True, False}
    assert all(len(word) <= 7 for text in texts for word in set(text.split()) - known)
    assert max(text.count("\n") for text in texts) >= 2 and sum(map(bool, texts)) >= 8


def test_more_objects_are_smaller(supplies: Supplies) -> None:
    canvas = canvas_for((12, 12), Random(0), supplies, 1.0)
    most = [radius_range(canvas, count)[1] for count in (1, 2, 4, 6)]
    assert most == sorted(most, reverse=True) and most[0] < 84
    assert all(low < high for low, high in (radius_range(canvas, count) for count in (1, 2, 4, 6)))
