"""What is drawn lies where its box and its labels say."""

from __future__ import annotations

from itertools import groupby
from random import Random

import numpy as np
import pytest
from PIL import Image

from finetune.tiny import canvas as module
from finetune.tiny.canvas import CHARACTERS, COUNTED, IGNORED, LETTERS, PATCH, STEPS, Canvas, Thing, background, vary
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.palette import NAMES, SHAPE_NAMES, distance

RED = (220, 20, 40)


@pytest.fixture
def canvas(supplies: Supplies, monkeypatch: pytest.MonkeyPatch) -> Canvas:
    """12 x 12 patches, drawn twice as large, grey."""
    monkeypatch.setattr(module, "background", lambda size, rng: ([(90, 90, 90)], Image.new("RGB", size, (90, 90, 90))))
    return canvas_for((12, 12), Random(4), supplies, 2.0)


def changed(canvas: Canvas) -> np.ndarray:
    """Bool (H, W), in the size of the grid: where there is more than the ground."""
    small = canvas.image.resize((canvas.width, canvas.height), Image.Resampling.BOX)
    return np.abs(np.asarray(small).astype(int) - 90).sum(-1) > 60


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def pixels_of(thing: Thing, canvas: Canvas) -> tuple[float, ...]:
    return tuple(value * side for value, side in zip(thing.box, (canvas.width, canvas.height) * 2, strict=True))


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_the_box_of_a_shape_is_its_extent(canvas: Canvas, name: str) -> None:
    thing = canvas.shape(name, "red", RED, 80, 70, 40)
    assert pixels_of(thing, canvas) == pytest.approx(extent(changed(canvas)), abs=2)
    assert canvas.objects == [thing] and thing.kind == "shape"


def test_labels_of_a_shape_lie_where_its_colour_is(canvas: Canvas) -> None:
    canvas.rng = Random(0)
    while len(canvas.image.getcolors() or ()) != 2:  # one that is filled, without a rim
        canvas.image.paste((90, 90, 90), (0, 0, *canvas.image.size))
        canvas.labels.what[:] = canvas.labels.colour[:] = 0
        canvas.shape("circle", "red", RED, 80, 70, 40)
    share = changed(canvas).reshape(12, PATCH, 12, PATCH).mean((1, 3))
    labelled = canvas.labels.what == SHAPE_NAMES.index("circle") + 1
    assert labelled[share > 0.6].all() and not labelled[share < 0.15].any() and labelled.sum() > 15
    assert (canvas.labels.colour[labelled] == NAMES.index("red") + 1).all()
    assert not canvas.labels.colour[~labelled].any() and not canvas.labels.left.any()


def test_the_box_and_labels_of_a_thing(canvas: Canvas) -> None:
    thing = canvas.thing("owl", "flat", 90, 80, 100)
    assert pixels_of(thing, canvas) == pytest.approx(extent(changed(canvas)), abs=3)
    share = changed(canvas).reshape(12, PATCH, 12, PATCH).mean((1, 3))
    labelled = canvas.labels.what == 1 + len(SHAPE_NAMES) + canvas.words.index("owl")
    assert labelled[share > 0.8].all() and not labelled[share < 0.1].any() and labelled.any()
    # A thing has no one colour, so none is learned.
    assert (canvas.labels.colour[labelled] == -100).all()


def test_patches_know_where_the_middle_and_the_edges_of_their_object_are(canvas: Canvas) -> None:
    thing = canvas.shape("square", "red", RED, 80, 70, 40)
    labels = canvas.labels
    covered = labels.what > 0
    assert (labels.centre > 0).tolist() == covered.tolist()
    assert np.argwhere(labels.centre == 2).tolist() == [[70 // PATCH, 80 // PATCH]]
    for name, edge in zip(("x0", "y0", "x1", "y1"), thing.box, strict=True):
        table = getattr(labels, name)
        assert not table[~covered].any()
        (step,) = set(table[covered].tolist())
        assert (step - 1) / STEPS <= edge <= step / STEPS
    canvas.text("hello", canvas.fonts[0], 24, "blue", (0, 0, 255), 9, 120)
    assert (labels.x0[labels.left > 0] == 1 + int(9.5 / 168 * STEPS)).all(), "all letters know where the text begins"
    assert labels.table().shape == (14, 12, 12) and (labels.table()[4] == labels.centre).all()


@pytest.mark.parametrize(("size", "text"), [(40, "B4g"), (24, "Hello"), (15, "a line, with marks!")])
def test_labels_of_letters_spell_the_text(canvas: Canvas, size: int, text: str) -> None:
    thing = canvas.text(text, canvas.fonts[0], size, "blue", (0, 0, 255), 9, 50)
    left, top, right, bottom = extent(changed(canvas))
    # A letter's box has the space to its neighbours.
    assert pixels_of(thing, canvas) == pytest.approx((left, top, right, bottom), abs=2 + 0.1 * size)
    row = (top + bottom) // 2 // PATCH
    halves = np.stack([canvas.labels.left[row], canvas.labels.right[row]], 1).reshape(-1)
    spelled = "".join(CHARACTERS[label - 1] for label in halves if label)
    letters = iter(text)
    assert all(letter in letters for letter, _ in groupby(spelled)), "not in the order of the text"
    if size >= 24:  # wide enough that every letter covers the middle of a half patch
        assert set(spelled) == set(text)
    assert len(set(spelled)) > 0.6 * len(set(text))
    numbers = np.stack([canvas.labels.left_nth[row], canvas.labels.right_nth[row]], 1).reshape(-1)
    for label, number in zip(halves, numbers, strict=True):
        assert not label or number == IGNORED or text[number - 1] == CHARACTERS[label - 1]
    told = numbers[numbers > 0]
    assert (np.diff(told) >= 0).all() and told.max() <= min(len(text), LETTERS)
    assert ((numbers == IGNORED).any() or told.max() == len(text)) and ((numbers == 0) >= (halves == 0)).all()
    columns = np.nonzero(halves)[0] * PATCH / 2
    assert columns.min() >= left - PATCH and columns.max() <= right
    covered = (canvas.labels.left > 0) | (canvas.labels.right > 0)
    assert (canvas.labels.colour[covered] == NAMES.index("blue") + 1).all()
    assert not canvas.labels.left[: top // PATCH].any() and not canvas.labels.left[bottom // PATCH + 1 :].any()


def test_shapes_know_how_many_there_are(canvas: Canvas) -> None:
    for x, name, colour in ((30, "star", "red"), (80, "star", "blue"), (130, "circle", "red")):
        canvas.shape(name, colour, RED, x, 40, 20)
    word, style = next((word, style) for style, words in canvas.sprites.items() for word in words)
    canvas.thing(word, style, 84, 130, 40)
    labels = canvas.labels
    star, circle = (labels.what == SHAPE_NAMES.index(name) + 1 for name in ("star", "circle"))
    red, blue = (labels.colour == NAMES.index(name) + 1 for name in ("red", "blue"))
    assert set(labels.of_name[star]) == {2} and set(labels.of_name[circle]) == {1}
    assert set(labels.of_colour[red]) == {2} and set(labels.of_colour[blue]) == {1}
    assert set(labels.of_all[star | circle]) == {3}, "things are no shapes"
    assert not any(table[~(star | circle)].any() for table in (labels.of_name, labels.of_colour, labels.of_all))
    for _ in range(COUNTED - 1):
        canvas.shape("circle", "green", RED, 130, 120, 15)
    assert set(labels.of_name[circle]) == {COUNTED} and set(labels.of_all[star]) == {IGNORED}


def test_boxes_end_at_the_edge(canvas: Canvas) -> None:
    assert canvas.shape("square", "red", RED, 0, 0, 30).box[:2] == (0, 0)
    assert canvas.shape("square", "red", RED, 168, 168, 30).box[2:] == (1, 1)


def test_colours_stand_out_from_the_ground(supplies: Supplies) -> None:
    for seed in range(60):
        canvas = canvas_for((12, 12), Random(seed), supplies, 1.0)
        chosen = canvas.choose_colour(("red", "white"), 130)
        if chosen:
            assert chosen[0] in ("red", "white")
            assert all(distance(chosen[1], ground) > 130 for ground in canvas.ground)
        green = canvas.shade_of("green")
        assert green is None or all(distance(green, ground) > 130 for ground in canvas.ground)


def test_the_ground_is_made_of_the_colours_it_names() -> None:
    for seed in range(60):
        named, image = background((40, 30), Random(seed))
        pixels = np.asarray(image).reshape(-1, 3).astype(int)
        low, high = np.min(named, axis=0), np.max(named, axis=0)
        # Bicubic enlargement overshoots a little.
        assert image.size == (40, 30) and (pixels >= low - 12).all() and (pixels <= high + 12).all()


@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_pictures_are_of_the_grid_or_as_they_were_drawn(supplies: Supplies, scale: float) -> None:
    for seed in range(12):
        canvas = canvas_for((9, 16), Random(seed), supplies, scale)
        assert canvas.picture(shrink=False).shape == (round(126 * scale), round(224 * scale), 3)
        finished = canvas.finish()
        assert finished.shape == (126, 224, 3) and finished.dtype == np.uint8


def test_a_drawing_is_varied_but_keeps_its_size() -> None:
    drawing = Image.new("RGBA", (96, 96), (200, 30, 60, 255))
    varied = [vary(drawing, Random(seed), 50) for seed in range(30)]
    assert all(one.height == 50 and 42 <= one.width <= 59 for one in varied)
    assert len({one.getpixel((one.width // 2, 25)) for one in varied}) > 8
