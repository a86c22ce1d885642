"""The second drawer: pictures that show what their question supposes, and judges that tell right from wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finetune.tiny.case import SKILLS, VIDEO_OPTIONS, Case
from finetune.tiny.drawer2 import BACKGROUNDS, COLOURS, SHAPES, Canvas, contrast, sample_colour, sample_size
from finetune.tiny.drawer2_cases import MAKERS, Drawer2
from finetune.tiny.drawer2_scenes import clip, in_cells, page, spread
from finetune.tiny.drawer2_supplies import Supplies
from finetune.tiny.icons import things

WITHOUT_THINGS = [skill.name for skill in SKILLS if not skill.needs_things]
ALONE = [skill for skill in WITHOUT_THINGS if skill not in ("small_talk", "small_talk_zh", "honesty")]
SENSIBLE = {
    "small_talk": {
        "(hello)": "Hello! Show me a picture.",
        "(who)": "I am a small MiniCPM-V model.",
        "(what)": "I can name shapes and colours, and count.",
        "(thanks)": "You are welcome!",
    },
    "small_talk_zh": {
        "(hello)": "你好！",
        "(who)": "我是一个小型的模型。",
        "(what)": "我能认出形状、颜色。",
        "(thanks)": "不客气！",
    },
    "honesty": {"(I am a small model ...)": "I am a small model: I only know simple pictures."},
}


def supplies() -> Supplies:
    """Two things: a filled square in a blue and in a red."""
    sprites = {word: np.zeros((96, 96, 4), np.uint8) for word in ("dog", "owl", "car", "key")}
    for index, sprite in enumerate(sprites.values()):
        sprite[16:80, 8:88] = (40 * index, 60, 200 - 40 * index, 255)
    drawings, listed = list(sprites.items()), {thing.word: thing for thing in things()}
    return Supplies(
        seen=drawings,
        unseen=drawings,
        chinese={word: listed[word].chinese for word in sprites},
        phrases={word: listed[word].phrase for word in sprites},
    )


def drawn(skill: str, count: int = 6) -> Iterator[Case]:
    for seed in range(count):
        yield MAKERS[skill](Random(seed), supplies())


def right(case: Case) -> str:
    return SENSIBLE.get(case.skill, {}).get(case.expected, case.expected)


def pictures(case: Case) -> list[Image.Image]:
    return [part for message in case.messages for part in message["content"] if not isinstance(part, str)]


def test_every_skill_has_a_drawer() -> None:
    assert set(MAKERS) == {skill.name for skill in SKILLS}


@pytest.mark.parametrize("skill", list(MAKERS))
def test_the_expected_answer_is_right_and_others_are_wrong(skill: str) -> None:
    for case in drawn(skill):
        assert case.skill == skill and case.question
        assert case.score(right(case)) == 1, (case.question, case.expected)
        for wrong in ("", "an elephant on the roof", "0"):
            assert case.score(wrong) < 0.5 or wrong == case.expected, (case.question, wrong)


@pytest.mark.parametrize("skill", ALONE)
def test_the_answer_to_one_case_is_not_the_answer_to_all(skill: str) -> None:
    cases = list(drawn(skill, 12))
    assert max(sum(case.score(other.expected) for case in cases) for other in cases) < 0.75 * len(cases)


@pytest.mark.parametrize("skill", WITHOUT_THINGS)
def test_a_seed_gives_the_same_case_without_any_download(skill: str) -> None:
    first, second, other = (Drawer2()(skill, Random(seed)) for seed in (7, 7, 8))
    assert (first.question, first.expected) == (second.question, second.expected)
    for a, b in zip(pictures(first), pictures(second), strict=True):
        assert a.mode == "RGB" and np.array_equal(np.asarray(a), np.asarray(b))
    assert [p.tobytes() for p in pictures(first)] != [p.tobytes() for p in pictures(other)] or not pictures(first)


def test_messages_are_those_of_chat() -> None:
    for skill in MAKERS:
        roles = [message["role"] for message in next(drawn(skill, 1)).messages]
        assert roles == [("user", "assistant")[index % 2] for index in range(len(roles))] and roles[-1] == "user"


def test_sizes_and_shapes_of_pictures() -> None:
    sizes = [sample_size(Random(seed)) for seed in range(300)]
    assert min(map(min, sizes)) >= 160 and max(map(max, sizes)) <= 900
    assert all(0.59 <= width / height <= 1.71 for width, height in sizes)
    assert max(map(max, sizes)) > 800 and min(map(min, sizes)) < 220


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_its_colour_inside_its_box_and_nothing_outside(name: str) -> None:
    for seed in range(6):
        canvas = Canvas(Random(seed), (200, 240), [(255.0, 0.0, 0.0)], plain=True)
        canvas.outlined = canvas.shadowed = False
        before = canvas.pixels.copy()
        box = canvas.shape(name, (255.0, 0.0, 0.0), (90.0, 110.0), 60.0)
        rows, columns = np.nonzero(np.abs(canvas.pixels - before).sum(-1) > 60)
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert all(abs(a - b) <= 2 for a, b in zip(found, box, strict=True)), (found, box)
        red, green, blue = canvas.pixels[110, 90]
        assert red > 200 and green < 60 and blue < 60


def test_shapes_beyond_the_edge_are_cut() -> None:
    canvas = Canvas(Random(0), (50, 40), [(255.0, 0.0, 0.0)], plain=True)
    canvas.outlined = canvas.shadowed = False
    canvas.shape("square", (255.0, 0.0, 0.0), (-5.0, -5.0), 30.0)
    assert canvas.pixels[0, 0].tolist() == pytest.approx([255, 0, 0], abs=20)
    assert canvas.pixels[39, 49].tolist() == list(canvas.base)


def test_the_box_of_a_thing_is_that_of_its_pixels() -> None:
    canvas = Canvas(Random(3), (300, 200), [(0.0, 0.0, 255.0)], plain=True)
    ((_, sprite), *_) = supplies().seen
    assert canvas.thing(sprite, (150.0, 100.0), 48.0) == pytest.approx((110, 68, 190, 132), abs=1)


def test_a_box_case_frames_the_object() -> None:
    """Cutting the box out leaves a picture without the object: what stays is close to the background."""
    for seed in range(8):
        case = Drawer2()("boxes", Random(seed))
        numbers = [int(number) for number in case.expected[5:-6].split()]
        assert 0 <= numbers[0] < numbers[2] <= 1000 and 0 <= numbers[1] < numbers[3] <= 1000
        pixels = np.asarray(pictures(case)[0], np.float32)
        height, width = pixels.shape[:2]
        x1, y1, x2, y2 = (n * side // 1000 for n, side in zip(numbers, (width, height) * 2, strict=True))
        inside = pixels[(y1 + y2) // 2, (x1 + x2) // 2]
        corner = np.median([pixels[0, 0], pixels[0, -1], pixels[-1, 0], pixels[-1, -1]], axis=0)
        assert np.abs(inside - corner).sum() > 60


@pytest.mark.parametrize("name", COLOURS)
def test_colours_stay_apart(name: str) -> None:
    """Every drawn colour is nearer to the middle of its own kind than to that of another."""
    middles = {other: np.mean([sample_colour(other, Random(seed)) for seed in range(200)], axis=0) for other in COLOURS}
    for seed in range(200, 300):
        colour = sample_colour(name, Random(seed))
        nearest = sorted(middles, key=lambda other: math.dist(colour, middles[other]))[:2]
        assert name in nearest
        assert all(0 <= value <= 255 for value in colour)


def test_objects_stand_out_from_the_background() -> None:
    for seed in range(40):
        colour = sample_colour(Random(seed).choice(COLOURS), Random(seed))
        assert contrast(Canvas(Random(seed), (160, 160), [colour]).base, colour) >= 100


def test_backgrounds_stay_near_their_base() -> None:
    for background in BACKGROUNDS:
        values = background(Random(1), 170, 200)
        assert values.shape == (200, 170, 3) and np.abs(values).mean() < 40


def test_spots_lie_inside_and_apart() -> None:
    for seed in range(20):
        spots = spread(Random(seed), 6, (400, 260))
        for index, ((x, y), radius) in enumerate(spots):
            assert radius <= x <= 400 - radius and radius <= y <= 260 - radius
            assert all(math.dist((x, y), other) > radius + taken for other, taken in spots[:index])


def test_cells_are_ninths() -> None:
    ((x, y), _) = in_cells(Random(0), [(2, 0)], (300, 600))[0]
    assert 200 < x < 300 and 0 < y < 200


@pytest.mark.parametrize(("move", "axis", "sign"), [((1, 0), 1, 1), ((-1, 0), 1, -1), ((0, 1), 0, 1), ((0, -1), 0, -1)])
def test_the_ball_moves_as_it_is_said_to(move: tuple[int, int], axis: int, sign: int) -> None:
    frames = clip(Random(5), "red", move)
    assert 8 <= len(frames) <= 16
    places = []
    for frame in (frames[0], frames[-1]):
        values = np.asarray(frame).astype(int)
        red = (values[..., 0] > 120) & (values[..., 1] < 100) & (values[..., 2] < 100)
        places.append(np.argwhere(red).mean(0))
    gone = places[1] - places[0]
    assert sign * gone[axis] > 0.2 * frames[0].size[1 - axis] and abs(gone[1 - axis]) < 3


def test_a_video_case_takes_the_options_of_frames() -> None:
    assert all(case.options == VIDEO_OPTIONS for case in drawn("video", 3))


def test_a_page_holds_its_words_in_lines() -> None:
    words = [f"word{number}" for number in range(30)]
    image, text = page(Random(2), words, ())
    assert text.split() == words and text.count("\n") >= 2
    assert 0.3 < image.width / image.height < 1.8


def test_pages_have_20_to_300_characters() -> None:
    lengths = [len(case.expected) for case in drawn("page", 25)]
    assert min(lengths) >= 20 and max(lengths) <= 300 and max(lengths) > 200


def test_both_answers_and_all_numbers_occur() -> None:
    assert {case.expected for case in drawn("yes_no", 10)} == {"yes", "no"}
    assert {case.expected for case in drawn("count", 40)} >= set("123456")


def test_things_have_answers_in_both_languages() -> None:
    answers: dict[str, Any] = {skill: {case.expected for case in drawn(skill, 24)} for skill in ("things", "things_zh")}
    assert answers == {"things": {"a dog", "an owl", "a car", "a key"}, "things_zh": {"狗", "猫头鹰", "汽车", "钥匙"}}


def test_a_case_can_be_changed_only_by_copy() -> None:
    case = next(drawn("colour", 1))
    assert replace(case, group="other").group == "other"
    with pytest.raises(AttributeError):
        case.group = "other"  # type: ignore[misc]


def test_some_second_questions_are_about_another_picture() -> None:
    another = [case for case in drawn("turns", 40) if case.group == "next picture"]
    assert 2 < len(another) < 20
    for case in another:
        first, answer, second = (message["content"] for message in case.messages)
        assert isinstance(first[0], Image.Image) and isinstance(second[0], Image.Image) and first[0] is not second[0]
        assert answer[0] in COLOURS and case.score(case.expected) == 1 and case.score("a walrus") == 0
