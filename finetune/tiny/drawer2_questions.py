"""Questions of the second drawer about one picture."""

from __future__ import annotations

from random import Random

from finetune.tiny.case import Case
from finetune.tiny.drawer2 import COLOURS, Item, sample_size
from finetune.tiny.drawer2_scenes import draw, in_cells, in_line, label, page, spread
from finetune.tiny.drawer2_supplies import COMMON_COLOURS, COMMON_SHAPES, Supplies, article, ask, either, plural
from finetune.tiny.scoring import (
    COLOUR_WORDS,
    NUMBER_WORDS,
    SHAPE_WORDS,
    YES_NO,
    Score,
    all_of,
    lists,
    names,
    overlaps,
    place,
    reads,
    thing_words,
    transcribes,
)

CHINESE_COLOURS = dict(zip(COLOURS, "红色 橙色 黄色 绿色 蓝色 紫色 黑色 白色 灰色 棕色 粉色".split(), strict=True))
CHINESE_SHAPES = {
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "星形",
    "diamond": "菱形",
    "cross": "十字形",
    "heart": "心形",
    "hexagon": "六边形",
}
CELLS = {
    "top left": (0, 0),
    "top": (1, 0),
    "top right": (2, 0),
    "left": (0, 1),
    "middle": (1, 1),
    "right": (2, 1),
    "bottom left": (0, 2),
    "bottom": (1, 2),
    "bottom right": (2, 2),
}
# Letters and digits that some fonts draw alike stay out of random strings.
DIGITS, LETTERS = "0123456789", "ABCDEFGHJKLMNPQRSTUVWXYZ"
SHORT_WORDS = (
    "cat sun tree moon apple house River Stop open EXIT Sale BUS tea Hotel Park music blue Road fish Shop".split()
)
PAGE_WORDS = (
    "The the a of and to in is on for with from our your this that we you it are was will can new more open time day "
    "house water light small large first last every people work school garden street market train window table book "
    "letter music summer winter morning evening river mountain city country road paper number price total order name "
    "Please Thank Monday Friday March October Paris London always never today tomorrow before after under over near "
    "coffee bread apple orange green blue white little good quick brown clear story page chapter list note meeting "
    "12 7 30 2024 45.50 9:30 100 (see) notes: ready? Yes, however, there. again. here. time. 18%"
).split()


def _alone(rng: Random, supplies: Supplies, count: int) -> tuple[list[Item], tuple[int, int]]:
    return supplies.items(rng, count), sample_size(rng)


def colour(rng: Random, supplies: Supplies) -> Case:
    """The colour of the only shape, or of one among others."""
    items, size = _alone(rng, supplies, rng.choice([1, 1, 2, 3, 4]))
    scene, asked = draw(rng, items, size, spread(rng, len(items), size)), items[0]
    usual = [f"What colour is the {asked.name}?"]
    if len(items) == 1:
        usual += ["What colour is it?", "What colour is the shape?"]
    own = [f"What color is the {asked.name}?", f"Which colour does the {asked.name} have?"]
    score = names(COLOUR_WORDS, asked.colour)
    return ask("colour", scene.image, either(rng, usual, own), score, asked.colour, f"{len(items)} objects")


def colour_zh(rng: Random, supplies: Supplies) -> Case:
    """As `colour`, in Chinese."""
    items, size = _alone(rng, supplies, rng.choice([1, 1, 2, 3]))
    scene, asked = draw(rng, items, size, spread(rng, len(items), size)), items[0]
    shape = CHINESE_SHAPES[asked.name]
    alone = ["这个图形是什么颜色？", "这是什么颜色？"]
    usual = alone if len(items) == 1 else [f"{shape}是什么颜色？"]
    own = [f"图中的{shape}是什么颜色？", f"{shape}是什么颜色的？"]
    score, expected = names(COLOUR_WORDS, asked.colour), CHINESE_COLOURS[asked.colour]
    return ask("colour_zh", scene.image, either(rng, usual, own), score, expected, f"{len(items)} objects")


def shape(rng: Random, supplies: Supplies) -> Case:
    """The only shape, or the one of a colour."""
    items, size = _alone(rng, supplies, rng.choice([1, 1, 1, 2, 3]))
    scene, asked = draw(rng, items, size, spread(rng, len(items), size)), items[0]
    usual = ["What shape is in the picture?", "What shape is it?", "What shape is this?"]
    own = ["Which shape do you see?", "What shape can you see in this image?"]
    if len(items) > 1:
        usual, own = [f"What shape is the {asked.colour} object?"], [f"Which shape is {asked.colour}?"]
    score = names(SHAPE_WORDS, asked.name)
    return ask("shape", scene.image, either(rng, usual, own), score, asked.name, f"{len(items)} objects")


def count(rng: Random, supplies: Supplies) -> Case:
    """One to six of a shape, at times among others."""
    number, others, size = rng.randint(1, 6), rng.choice([0, 0, 1, 2]), sample_size(rng)
    counted = rng.choice(COMMON_SHAPES)
    rest = [shape for shape in COMMON_SHAPES if shape != counted]
    items = [Item(counted, rng.choice(COMMON_COLOURS)) for _ in range(number)]
    items += [Item(rng.choice(rest), rng.choice(COMMON_COLOURS)) for _ in range(others)]
    scene, total = draw(rng, items, size, spread(rng, len(items), size)), number
    usual = [f"How many {plural(counted)} are there?"]
    own = [f"How many {plural(counted)} do you see?", f"Count the {plural(counted)}."]
    if rng.random() < 0.1:
        usual, own, total = ["How many objects are there?", "How many shapes are there?"], [], len(items)
    score = names(NUMBER_WORDS, str(total))
    return ask("count", scene.image, either(rng, usual, own), score, str(total), str(total))


def position(rng: Random, supplies: Supplies) -> Case:
    """What is on a side; where something is; what is beside something."""
    return rng.choice([_on_a_side, _where, _beside])(rng, supplies)


def _on_a_side(rng: Random, supplies: Supplies) -> Case:
    items, size, upright = supplies.items(rng, rng.choice([2, 2, 3])), sample_size(rng), rng.random() < 0.4
    scene = draw(rng, items, size, in_line(rng, len(items), size, upright))
    side, asked = rng.choice([("at the top", items[0]), ("at the bottom", items[-1])] if upright else
                             [("on the left", items[0]), ("on the right", items[-1])])  # fmt: skip
    if rng.random() < 0.5:
        question = either(rng, [f"What colour is the object {side}?"], [f"What colour is the shape {side}?"])
        return ask("position", scene.image, question, names(COLOUR_WORDS, asked.colour), asked.colour, "side")
    question = either(rng, [f"What shape is {side}?"], [f"Which shape is {side}?"])
    return ask("position", scene.image, question, names(SHAPE_WORDS, asked.name), asked.name, "side")


def _where(rng: Random, supplies: Supplies) -> Case:
    items, size = supplies.items(rng, rng.choice([1, 1, 2, 3]), things=0.2), sample_size(rng)
    places = rng.sample(list(CELLS), len(items))
    scene = draw(rng, items, size, in_cells(rng, [CELLS[name] for name in places], size))
    question = either(rng, [f"Where is the {items[0].phrase}?"], [f"Where in the picture is the {items[0].phrase}?"])
    return ask("position", scene.image, question, place(*places[0].split()), places[0], "where")


def _beside(rng: Random, supplies: Supplies) -> Case:
    items, size, upright = supplies.items(rng, 2, things=0.6), sample_size(rng), rng.random() < 0.35
    scene = draw(rng, items, size, in_line(rng, 2, size, upright))
    relations = ("above", "below") if upright else ("left of", "right of")
    index = rng.randint(0, 1)
    asked, other = items[index], items[1 - index]
    where = f"{relations[index]} the {other.phrase}"
    own = [f"What is to the {where}?"] if not upright else [f"What is {where} in the picture?"]
    score = names(thing_words() | SHAPE_WORDS, asked.name, asked=[other.name])
    if asked.colour:
        score = all_of(score, names(COLOUR_WORDS, asked.colour, asked=[other.colour]))
    question = either(rng, [f"What is {where}?"], own)
    return ask("position", scene.image, question, score, supplies.phrase(asked), "beside")


def yes_no(rng: Random, supplies: Supplies) -> Case:
    """Half yes, half no; a "no" often has the colour and the shape, on different objects."""
    items, size, right = supplies.items(rng, rng.choice([1, 2, 2, 3]), things=0.2), sample_size(rng), rng.random() < 0.5
    scene = draw(rng, items, size, spread(rng, len(items), size))
    asked = items[0] if right else _absent(rng, supplies, items)
    usual = [f"Is there {supplies.phrase(asked)}?"]
    own = [f"Is there {supplies.phrase(asked)} in the picture?", f"Do you see {supplies.phrase(asked)}?"]
    expected = "yes" if right else "no"
    return ask("yes_no", scene.image, either(rng, usual, own), names(YES_NO, expected), expected, expected)


def _absent(rng: Random, supplies: Supplies, items: list[Item]) -> Item:
    """Something that is not there."""
    shapes = [item for item in items if item.colour]
    if not shapes or items[0].sprite is not None:
        return supplies.item(rng, items, things=1.0 if supplies.seen else 0.0)
    near = rng.choice(shapes)
    if len(shapes) > 1 and rng.random() < 0.4:
        other = rng.choice([item for item in shapes if item is not near])
        return Item(other.name, near.colour)
    strange = supplies.item(rng, items)
    return Item(near.name, strange.colour) if rng.random() < 0.6 else Item(strange.name, near.colour)


def _thing(rng: Random, supplies: Supplies, skill: str, unseen: bool = False) -> Case:
    word, sprite = rng.choice(supplies.unseen if unseen else supplies.seen)
    size = width, height = sample_size(rng)
    radius = min(size) * rng.uniform(0.28, 0.46)
    shift = [rng.uniform(-1, 1) * (side / 2 - radius) * 0.6 for side in size]
    scene = draw(rng, [Item(word, sprite=sprite)], size, [((width / 2 + shift[0], height / 2 + shift[1]), radius)])
    usual, own = ["What is this?"], ["What do you see?", "What is in the picture?"]
    expected = supplies.phrases[word]
    if skill.endswith("zh"):
        usual, own, expected = ["这是什么？"], ["图里是什么？", "你看到了什么？"], supplies.chinese[word]
    return ask(skill, scene.image, either(rng, usual, own), names(thing_words(), word), expected)


def things(rng: Random, supplies: Supplies) -> Case:
    """A thing in a style that training knows."""
    return _thing(rng, supplies, "things")


def things_zh(rng: Random, supplies: Supplies) -> Case:
    """As `things`, in Chinese."""
    return _thing(rng, supplies, "things_zh")


def things_twemoji(rng: Random, supplies: Supplies) -> Case:
    """A thing in a style that training never saw."""
    return _thing(rng, supplies, "things_twemoji", unseen=True)


def reading(rng: Random, supplies: Supplies) -> Case:
    """One to six characters: a number, letters, or a word."""
    kind, length = rng.choice(["number", "number", "letters", "word"]), rng.randint(1, 6)
    text = {
        "number": "".join(rng.choice(DIGITS) for _ in range(length)),
        "letters": "".join(rng.choice(LETTERS) for _ in range(length)),
        "word": rng.choice(SHORT_WORDS),
    }[kind]
    own = ["What does it say?", "What is written here?"]
    usual, own = (["Read the number."], ["What number is this?"]) if kind == "number" else (["Read the text."], own)
    image = label(rng, text, supplies.fonts)
    return ask("reading", image, either(rng, usual, own), reads(text), text, f"{kind} {len(text)}")


def a_page(rng: Random, supplies: Supplies) -> Case:
    """A page of 20 to 300 characters."""
    wanted, words = rng.randint(20, 300), [rng.choice(PAGE_WORDS)]
    while len(" ".join(words)) < min(wanted, 290):
        words.append(rng.choice(PAGE_WORDS))
    image, text = page(rng, words, supplies.fonts)
    question = either(rng, ["Read the text."], ["What does the page say?", "Read the page."])
    group = f"{'up to' if len(text) <= 120 else 'over'} 120 characters"
    return ask("page", image, question, transcribes(text), text, group, tokens=420)


def describe(rng: Random, supplies: Supplies) -> Case:
    """One to four objects."""
    items, size = supplies.items(rng, rng.choice([1, 2, 2, 3, 3, 4]), things=0.2), sample_size(rng)
    scene = draw(rng, items, size, spread(rng, len(items), size))
    score: Score = lists(*((item.colour, item.name) for item in items))
    question = either(rng, ["Describe the picture."], ["Describe this image.", "What can you see in the picture?"])
    listed = ", ".join(supplies.phrase(item) for item in items)
    return ask("describe", scene.image, question, score, f"There is {listed}.", f"{len(items)} objects")


def boxes(rng: Random, supplies: Supplies) -> Case:
    """The box of one object."""
    items, size = supplies.items(rng, rng.choice([1, 2, 3]), things=0.25), sample_size(rng)
    scene = draw(rng, items, size, spread(rng, len(items), size))
    asked, box = scene.items[0], scene.thousandths(scene.items[0])
    usual = [f"Where is the {asked.phrase}? Give a box."]
    own = [f"Give the box of the {asked.phrase}.", f"Where is {article(asked.phrase)}? Give a box."]
    expected = f"<box>{' '.join(str(round(number)) for number in box)}</box>"
    group = "things" if asked.sprite is not None else "shapes"
    return ask("boxes", scene.image, either(rng, usual, own), overlaps(box), expected, group)
