"""Questions of the second drawer over several pictures or turns, or without a picture."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from finetune.tiny.case import VIDEO_OPTIONS, Case
from finetune.tiny.drawer2 import COLOURS, Item, sample_size
from finetune.tiny.drawer2_questions import colour, count, shape
from finetune.tiny.drawer2_scenes import Scene, clip, draw, noise, photo, spread
from finetune.tiny.drawer2_supplies import COMMON_COLOURS, RARELY, Supplies, ask, either
from finetune.tiny.scoring import (
    COLOUR_WORDS,
    MOVES,
    ORDINALS,
    SHAPE_WORDS,
    YES_NO,
    Score,
    form,
    names,
    says,
)

MOVEMENTS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
# What an honest answer holds: that the model is small, and that it knows only some things.
HONEST = (r"\bsmall\b", r"\bonly\b|\bsimple\b|\bembedded\b|\bknow\b|\btrained\b")
ABILITIES = r"colou?rs?|shapes?|count|read|things?|objects?|pictures?|images?|text"
SMALL_TALK: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # kind: usual wordings, own wordings, patterns of a sensible answer
    "hello": (("Hello", "Hello!", "Hi"), ("Hi there!", "Good morning!", "hey"), (r"\b(hello|hi|hey)\b",)),
    "who": (
        ("Who are you?",),
        ("What are you?", "What is your name?", "Introduce yourself."),
        (r"minicpm|\bsmall\b", r"model|minicpm"),
    ),
    "what": (
        ("What can you do?",),
        ("What do you know?", "How can you help me?", "Help"),
        (rf"({ABILITIES})\b.*\b({ABILITIES})",),
    ),
    "thanks": (
        ("Thanks", "Thank you!"),
        ("Thanks a lot!", "thank you very much"),
        (r"welcome|glad|happy|pleasure|any ?time|no problem",),
    ),
}
SMALL_TALK_ZH: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "hello": (("你好", "你好！"), ("您好！", "早上好"), ("你好|您好",)),
    "who": (("你是谁？",), ("你叫什么名字？", "介绍一下你自己。"), ("MiniCPM|小", "模型|MiniCPM")),
    "what": (
        ("你能做什么？", "你会做什么？"),
        ("你会什么？",),
        ("(颜色|形状|数|读|图|文字|东西).*(颜色|形状|数|读|图|文字|东西)",),
    ),
    "thanks": (("谢谢", "谢谢！"), ("谢谢你", "非常感谢！"), ("不客气|不用谢|很高兴|不谢",)),
}
OUTSIDE = (
    "What is the capital of France?",
    "Write a poem about the sea.",
    "Who won the football match yesterday?",
    "What is 17 times 23?",
    "Translate 'good morning' into German.",
    "How do I bake bread?",
    "Tell me a joke.",
    "What is the weather like today?",
    "Explain how a computer works.",
    "Who is the president of Brazil?",
    "Write a Python program that sorts a list.",
    "How tall is the Eiffel Tower?",
    "What is the meaning of life?",
    "Recommend a good film.",
    "When did the Second World War end?",
    "How far away is the moon?",
)


def user(*content: Any) -> dict[str, Any]:
    """A question."""
    return {"role": "user", "content": list(content)}


def assistant(text: str) -> dict[str, Any]:
    """An answer given before."""
    return {"role": "assistant", "content": [text]}


def _scene(rng: Random, items: list[Any], longest: int = 700) -> Scene:
    size = sample_size(rng, longest)
    return draw(rng, items, size, spread(rng, len(items), size))


def images(rng: Random, supplies: Supplies) -> Case:
    """Which of two or three pictures has something; the others often have its colour or its shape."""
    ordinals = ("first", "second", "third")[: rng.choice([2, 2, 2, 3])]
    asked, right = supplies.item(rng, things=0.4), rng.randrange(len(ordinals))
    contents = []
    for index in range(len(ordinals)):
        main = asked if index == right else _unlike(rng, supplies, asked)
        beside = [supplies.item(rng, [asked, main], things=0.3)] if rng.random() < 0.33 else []
        contents.append(_scene(rng, [main, *beside]).image)
    listed = f"{', the '.join(ordinals[:-1])} or the {ordinals[-1]}"
    usual = [f"Which image has the {asked.phrase}, the {listed}?"]
    own = [f"Which picture shows the {asked.phrase}, the {listed}?", f"Which has the {asked.phrase}?"]
    message = user(*contents, either(rng, usual, own))
    score = names(ORDINALS, ordinals[right])
    return Case("images", [message], score, f"the {ordinals[right]}", f"{len(ordinals)} images")


def _unlike(rng: Random, supplies: Supplies, asked: Item) -> Item:
    """Another item, of the same kind, that may share the colour or the shape."""
    if asked.sprite is not None:
        return supplies.thing(rng, [asked.name])
    strange = supplies.item(rng, [asked])
    return rng.choice([strange, Item(asked.name, strange.colour), Item(strange.name, asked.colour)])


def few_shot(rng: Random, supplies: Supplies) -> Case:
    """Two examples and a third picture."""
    kind = rng.choice(["colour", "shape", "colour and shape"])
    question = rng.choice(["What is this?", "What is in the picture?", "Name it.", "Question:"])
    items = [supplies.item(rng) for _ in range(3)]
    texts = [{"colour": i.colour, "shape": i.name, "colour and shape": i.phrase}[kind] for i in items]
    messages = []
    for item, text in zip(items, texts, strict=True):
        messages += [user(_scene(rng, [item], longest=500).image, question), assistant(text)]
    last = items[2]
    score = form(last.colour if "colour" in kind else None, last.name if "shape" in kind else None)
    return Case("few_shot", messages[:-1], score, texts[2], kind)


def video(rng: Random, supplies: Supplies) -> Case:
    """A ball that moves."""
    colour = rng.choice(COLOURS if rng.random() < RARELY else COMMON_COLOURS)
    move = rng.choice(list(MOVEMENTS))
    frames = clip(rng, colour, MOVEMENTS[move])
    if rng.random() < 0.4:
        question, kind = either(rng, ["What colour is the ball?"], ["What color is the ball?"]), "colour"
        score, expected = names(COLOUR_WORDS, colour), colour
    else:
        pair = "left or right" if move in ("left", "right") else "up or down"
        usual = ["Does it move left or right, up or down?", f"Does the ball move {pair}?", f"Does it move {pair}?"]
        question, kind = either(rng, usual, ["Which way does the ball move?"]), "movement"
        score, expected = names(MOVES, move), move
    return Case("video", [user(*frames, question)], score, expected, kind, options=VIDEO_OPTIONS)


def turns(rng: Random, supplies: Supplies) -> Case:
    """A second question that leans on the first, or one about another picture."""
    if rng.random() < 0.2:
        return _next_picture(rng, supplies)
    item = supplies.item(rng)
    asked = item if rng.random() < 0.5 else supplies.item(rng, [item])
    truth = "yes" if asked is item else "no"
    # kind: first question, its answer, usual and own second questions, judgement, right answer
    kinds: dict[str, tuple[str, str, list[str], list[str], Score, str]] = {
        "shape": (
            *("What colour is it?", item.colour, ["And its shape?"], ["And what shape is it?"]),
            *(names(SHAPE_WORDS, item.name), item.name),
        ),
        "colour": (
            *("What shape is it?", item.name, ["And its colour?"], ["And what colour is it?"]),
            *(names(COLOUR_WORDS, item.colour), item.colour),
        ),
        "yes or no": (
            *(f"What colour is the {item.name}?", item.colour, [f"Is there {supplies.phrase(asked)}?"], []),
            *(names(YES_NO, truth), truth),
        ),
    }
    kind = rng.choice(["shape", "shape", "colour", "yes or no"])
    first, answer, usual, own, score, expected = kinds[kind]
    messages = [user(_scene(rng, [item]).image, first), assistant(answer), user(either(rng, usual, own))]
    return Case("turns", messages, score, expected, kind)


def _next_picture(rng: Random, supplies: Supplies) -> Case:
    item = supplies.item(rng)
    before = [user(_scene(rng, [item]).image, "What colour is it?"), assistant(item.colour)]
    case = rng.choice([colour, count, shape])(rng, supplies)
    return replace(case, skill="turns", messages=[*before, *case.messages], group="next picture")


def _talk(rng: Random, skill: str, table: dict[str, Any]) -> Case:
    kind = rng.choice(list(table))
    usual, own, patterns = table[kind]
    return Case(skill, [user(either(rng, usual, own))], says(*patterns), f"({kind})", kind)


def small_talk(rng: Random, supplies: Supplies) -> Case:
    """Greeting, who, what, thanks."""
    return _talk(rng, "small_talk", SMALL_TALK)


def small_talk_zh(rng: Random, supplies: Supplies) -> Case:
    """The same in Chinese."""
    return _talk(rng, "small_talk_zh", SMALL_TALK_ZH)


def honesty(rng: Random, supplies: Supplies) -> Case:
    """A photograph, noise, or a question outside the list."""
    kind = rng.choice(["photo", "noise", "question"])
    score = says(*HONEST)
    if kind == "question":
        return Case("honesty", [user(rng.choice(OUTSIDE))], score, "(I am a small model ...)", kind)
    image = photo(rng) if kind == "photo" else noise(rng)
    question = either(rng, ["What is this?", "Describe the picture."], ["What is in this photo?", "What do you see?"])
    return ask("honesty", image, question, score, "(I am a small model ...)", kind)
