"""What is written is read back whole, and what a stranger writes is refused or made harmless."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from app.errors import AppError, OutOfMemoryError, RequestError
from app.feedback import Rating
from app.messages import FrameChoice, Image, Message, Notice, Text, Usage, Video
from app.meter import Measured
from app.sampling import SamplingParams
from app.talks import checks, reading
from app.talks.choice import choice_json, read_choice
from app.talks.form import media_of, title_of, to_json
from app.talks.reading import load_json, media_ids, read_tree
from app.tree import Tree
from app.turn import Turn

CHOICE = FrameChoice(1.5, 4.25, count=6, scenes=True, dropped=frozenset({40, 7}))
CAT, BALL = Image(Path("cat.png")), Video(Path("ball.mp4"), 8, CHOICE)
MEDIA = {"id-cat.png": CAT, "id-ball.mp4": Video(Path("ball.mp4"))}


def media_id(path: Path) -> str:
    return f"id-{path.name}"


def conversation() -> Tree:
    first = Turn(
        Message.of("user", CAT, "What is <this>?"),
        "A cat.",
        "done",
        usage=Usage(10, 5, 1, 3, 0.5, 12.5),
        notices=(Notice("turns_dropped", 2),),
        thinking="hm",
        params=SamplingParams(seed=7, system_prompt="Be brief.", adapter="news"),
        rating=Rating("1" * 32, liked=False),
    )
    second = Turn(Message.of("user", BALL, "And this?"), "A b", "failed", OutOfMemoryError("It is full.", "Send less."))
    other = Turn(Message.of("user", "Or this?"), "", "stopped")
    return Tree.of([first, second]).branched(second.key, other).showing(second.key)


def written() -> dict[str, Any]:
    return json.loads(json.dumps(to_json(conversation(), media_id)))


def test_everything_comes_back() -> None:
    data = written()
    tree = read_tree(data, MEDIA)
    assert to_json(tree, media_id) == data
    first, second = tree.path()
    assert first.user.content == (CAT, Text("What is <this>?")) and second.user.content[0] == BALL
    assert first.usage == Usage(10, 5, 1, 3, 0.5, 12.5) and first.params == SamplingParams(
        seed=7, system_prompt="Be brief.", adapter="news"
    )
    assert first.rating == Rating("1" * 32, liked=False) and second.rating is None
    assert (second.state, str(second.error)) == ("failed", "It is full. Send less.")
    assert len(tree.versions(second.key)) == 2


@pytest.mark.parametrize(
    "usage", [Usage(), Usage(9, None, 1, 3), Usage(9, 4, estimate=Measured(9, 4, (4,), 100, 200), memory=5)]
)
def test_what_is_read_is_written_the_same(usage: Usage) -> None:
    turn = Turn(Message.of("user", "q"), "a", "done", usage=usage)
    data = json.loads(json.dumps(to_json(Tree.of([turn]), media_id)))
    assert to_json(read_tree(data, {}), media_id) == data


@pytest.mark.parametrize(
    "rating", ["like", {"id": "../x", "liked": True}, {"id": "1" * 32, "liked": 1}, {"id": 7}, {"liked": True}]
)
def test_a_rating_of_a_stranger_is_none(rating: Any) -> None:
    data = written()
    data["turns"][0]["rating"] = rating
    assert read_tree(data, MEDIA).path()[0].rating is None


def test_versions_are_written_in_the_order_in_which_they_are_read() -> None:
    first, second, other, new = (Turn(Message.of("user", str(number)), "a", "done") for number in range(4))
    tree = Tree.of([first, second]).branched(first.key, other).showing(first.key)
    tree = tree.appended(new).removed(first.key).showing(other.key)
    data = to_json(tree, media_id)
    assert json.dumps(to_json(read_tree(data, {}), media_id)) == json.dumps(data)


def test_a_turn_that_is_left_out_stays_so() -> None:
    tree = Tree.of([Turn(Message.of("user", str(left)), "a", "done", left_out=left) for left in (True, False)])
    data = json.loads(json.dumps(to_json(tree, media_id)))
    assert [turn.left_out for turn in read_tree(data, {}).path()] == [True, False]
    change(data, "turns", 1, "left_out", value="yes")
    assert [turn.left_out for turn in read_tree(data, {}).path()] == [True, False]


@pytest.mark.parametrize(
    "choice",
    [FrameChoice(), CHOICE, FrameChoice(0.5), FrameChoice(0, 10.0, fps=0.25), FrameChoice(dropped=frozenset({0}))],
)
def test_a_choice_of_frames_is_read_as_it_was_written(choice: FrameChoice) -> None:
    assert read_choice(json.loads(json.dumps(choice_json(choice)))) == choice


def test_a_usual_choice_takes_no_room() -> None:
    assert choice_json(FrameChoice()) == {} and read_choice(None) == FrameChoice()


def test_an_answer_being_written_is_kept_as_a_stopped_one() -> None:
    tree = Tree.of([Turn(Message.of("user", "q"), "half")])
    assert read_tree(to_json(tree, media_id), {}).path()[0].state == "stopped"


def test_media_are_named_once() -> None:
    tree = conversation().appended(Turn(Message.of("user", CAT), "a", "done"))
    assert media_of(tree) == [Path("cat.png"), Path("ball.mp4")]
    assert media_ids(to_json(tree, media_id)) == ["id-cat.png", "id-ball.mp4"]


def test_a_medium_that_is_gone_leaves_a_word() -> None:
    first, second = read_tree(written(), {}).path()
    assert [part.text for part in (first.user.content[0], second.user.content[0])] == [
        "[missing image]",
        "[missing video]",
    ]


def test_a_medium_is_what_its_file_is_and_not_what_the_data_say() -> None:
    data = written()
    data["turns"][0]["content"][0]["type"] = "video"
    assert read_tree(data, MEDIA).path()[0].user.content[0] == CAT


def test_titles() -> None:
    assert title_of(conversation()) == "What is <this>?"
    assert title_of(Tree()) == title_of(Tree.of([Turn(Message.of("user", CAT))])) == ""
    long = title_of(Tree.of([Turn(Message.of("user", "many words " * 20))]))
    assert len(long) <= 60 and long.endswith("words…")
    assert len(title_of(Tree.of([Turn(Message.of("user", "字" * 200))]))) == 60
    marked = "Where is <ref>the  red cat</ref>, and what is in\n<box>10 20 300 400</box>? a < b"
    assert title_of(Tree.of([Turn(Message.of("user", marked))])) == "Where is the red cat, and what is in? a < b"


def change(data: dict[str, Any], *path: str | int, value: Any) -> dict[str, Any]:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 2),
        (["turns"], None),
        (["turns"], {"0": {}}),
        (["turns"], [{}] * (reading.MAX_TURNS + 1)),
        (["turns", 0], "turn"),
        (["turns", 0, "key"], "../../etc"),
        (["turns", 0, "key"], "0" * 31 + "g"),
        (["turns", 0, "key"], 7),
        (["turns", 0, "state"], "system"),
        (["turns", 0, "state"], ["done"]),
        (["turns", 0, "parent"], None),
        (["turns", 0, "parent"], "f" * 32),
        (["turns", 0, "content"], "text"),
        (["turns", 0, "content"], []),
        (["turns", 0, "content"], [{"type": "text", "text": "a"}] * (reading.MAX_PARTS + 1)),
        (["turns", 0, "content", 0], {"type": "file", "path": "/etc/passwd"}),
        (["turns", 0, "content", 0], {"type": "image", "media": {"path": "/etc/passwd"}}),
        (["turns", 0, "content", 0], {"type": "image_url", "image_url": {"url": "http://elsewhere"}}),
        (["turns", 0, "content", 0], {"type": "text"}),
        (["turns", 0, "content", 0], {"type": "text", "text": "a" * (checks.MAX_TEXT + 1)}),
        (["turns", 1, "content", 0, "max_frames"], 10**9),
        (["turns", 1, "content", 0, "choice"], [1]),
        (["turns", 1, "content", 0, "choice"], {"start": -1}),
        (["turns", 1, "content", 0, "choice"], {"start": float("nan")}),
        (["turns", 1, "content", 0, "choice"], {"start": 3, "end": 2}),
        (["turns", 1, "content", 0, "choice"], {"end": 10**400}),
        (["turns", 1, "content", 0, "choice"], {"fps": 0}),
        (["turns", 1, "content", 0, "choice"], {"fps": True}),
        (["turns", 1, "content", 0, "choice"], {"count": 10**9}),
        (["turns", 1, "content", 0, "choice"], {"scenes": "yes"}),
        (["turns", 1, "content", 0, "choice"], {"dropped": [1.5]}),
        (["turns", 1, "content", 0, "choice"], {"dropped": [-1]}),
        (["turns", 1, "content", 0, "choice"], {"dropped": list(range(10_001))}),
        (["turns", 0, "answer"], ["a"]),
        (["turns", 0, "thinking"], 1),
        (["turns", 0, "error"], {"message": "a" * 5000}),
    ],
)
def test_another_form_is_refused(path: list, value: Any) -> None:
    data = written()
    change(data, *path, value=value)
    with pytest.raises(AppError):
        read_tree(data, MEDIA)


def test_a_turn_behind_itself_or_twice_is_refused() -> None:
    data = written()
    change(data, "turns", 0, "parent", value=data["turns"][0]["key"])
    with pytest.raises(RequestError, match="behind none"):
        read_tree(data, MEDIA)
    data = written()
    data["turns"].append(copy.deepcopy(data["turns"][0]))
    with pytest.raises(RequestError, match="twice"):
        read_tree(data, MEDIA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["chosen"], {"": "nonsense", "x": "y"}),
        (["chosen"], [1, 2]),
        (["turns", 0, "usage"], {"new_tokens": "many", "ttft": float("nan"), "prompt_tokens": -1, "evil": 1}),
        (["turns", 0, "notices"], [{"kind": "<script>", "count": 1}, 7]),
        (["turns", 0, "params"], {"temperature": 1e9}),
        (["turns", 0, "params"], {"__class__": "x"}),
        (["turns", 0, "params"], [1]),
        (["turns", 0, "params"], {"seed": {"a": 1}}),
        (["turns", 0, "params"], {"seed": 10**400}),
        (["turns", 0, "params"], {"temperature": -(10**400)}),
        (["turns", 0, "params"], {"seed": float("inf")}),
        (["turns", 0, "usage"], {"estimate": 1}),
    ],
)
def test_what_is_beside_the_point_is_left_out(path: list, value: Any) -> None:
    data = written()
    change(data, *path, value=value)
    first = read_tree(data, MEDIA).path()[0]
    assert first.answer == "A cat."
    assert first.usage is None or (first.usage.new_tokens in (0, 3) and first.usage.estimate is None)
    if path[-1] == "params":
        assert first.params is None


def test_halves_of_characters_do_not_get_in() -> None:
    data = written()
    change(data, "turns", 0, "answer", value=json.loads('"\\ud800 a"'))
    read_tree(data, MEDIA).path()[0].answer.encode("utf-8")


@pytest.mark.parametrize("text", [None, "", "[]", "{", '"a"', "[" * 100_000, "x" * (reading.MAX_JSON + 1)])
def test_what_is_no_object_is_refused(text: Any) -> None:
    with pytest.raises(RequestError):
        load_json(text)


def test_nothing_made_at_random_does_more_than_raise() -> None:
    values = [None, True, -1, 10**30, 1.5, "", "a", "0" * 32, [], {}, [[]], {"type": "text"}, {"media": "id-cat.png"}]
    for seed in range(400):
        chance, data = random.Random(seed), written()
        for _ in range(chance.randint(1, 3)):
            _mutate(data, chance, values)
        media_ids(data)
        try:
            tree = read_tree(data, MEDIA)
        except AppError:
            continue
        json.dumps(to_json(tree, media_id)).encode("utf-8")
        assert {turn.key for turn in tree.path()} <= set(tree.turns)


def _mutate(data: Any, chance: random.Random, values: list) -> None:
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(data[key], (dict, list)) and data[key] and chance.random() < 0.75:
            data = data[key]
            continue
        data[key] = copy.deepcopy(chance.choice(values))
        return
