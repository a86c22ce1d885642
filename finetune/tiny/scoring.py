"""How an answer is judged: leniently in wording, strictly in what it claims.

A score is a function from the answer to 0.0 .. 1.0. A word counts where it stands as a whole word; an answer that
also claims something else of the same sort ("red or blue") is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

Score: TypeAlias = Callable[[str], float]
Box: TypeAlias = tuple[float, float, float, float]
# A right word in a longer answer to a plain question is luck.
LONGEST = 200


class Vocabulary:
    """Words of one sort, each with its spellings in both languages.

    Args:
        spellings: canonical word -> the ways to write it. Chinese ones count anywhere, others as whole words, with
            or without a plural s.
    """

    def __init__(self, spellings: Mapping[str, Iterable[str]]) -> None:
        pairs = [(text.lower(), word) for word, texts in spellings.items() for text in texts]
        # The longest first: "hot dog" is no dog.
        pairs.sort(key=lambda pair: -len(pair[0]))
        self._words = [word for _, word in pairs]
        self._pattern = re.compile("|".join(f"({_whole(text)})" for text, _ in pairs))

    def found(self, answer: str) -> list[str]:
        """Canonical words in the order in which the answer has them."""
        return [self._words[(match.lastindex or 1) - 1] for match in self._pattern.finditer(answer.lower())]

    def __or__(self, other: Vocabulary) -> Vocabulary:
        joined = Vocabulary.__new__(Vocabulary)
        # Groups are numbered through, so the words simply follow each other.
        joined._words = self._words + other._words
        joined._pattern = re.compile(f"{self._pattern.pattern}|{other._pattern.pattern}")
        return joined


def _whole(text: str) -> str:
    if not text.isascii():
        return re.escape(text)
    plural = "(?:s|es)?" if text[-1].isalpha() else ""
    return rf"(?<![a-z0-9]){re.escape(text)}{plural}(?![a-z0-9])"


COLOUR_WORDS = Vocabulary(
    {
        "red": ("red", "红色", "红"),
        "orange": ("orange", "橙色", "橘色", "橙"),
        "yellow": ("yellow", "黄色", "黄"),
        "green": ("green", "绿色", "绿"),
        "blue": ("blue", "蓝色", "蓝"),
        "purple": ("purple", "violet", "紫色", "紫"),
        "black": ("black", "黑色", "黑"),
        "white": ("white", "白色", "白"),
        "grey": ("grey", "gray", "灰色", "灰"),
        "brown": ("brown", "棕色", "褐色", "棕"),
        "pink": ("pink", "粉色", "粉红色", "粉红"),
    }
)
SHAPE_WORDS = Vocabulary(
    {
        "circle": ("circle", "圆形", "圆圈", "圆"),
        "square": ("square", "正方形", "方形", "方块"),
        "triangle": ("triangle", "三角形", "三角"),
        "star": ("star", "星形", "五角星", "星星"),
        "diamond": ("diamond", "rhombus", "菱形"),
        "cross": ("cross", "plus sign", "十字形", "十字"),
        "heart": ("heart", "心形", "爱心"),
        "hexagon": ("hexagon", "六边形"),
    }
)
NUMBER_WORDS = Vocabulary(
    {
        str(number): (str(number), english, f"{chinese}个")
        for number, (english, chinese) in enumerate(
            zip(
                "zero one two three four five six seven eight nine ten".split(),
                "零 一 两 三 四 五 六 七 八 九 十".split(),
                strict=True,
            )
        )
    }
)
YES_NO = Vocabulary({"yes": ("yes",), "no": ("no", "not")})
PLACES = Vocabulary(
    {
        "top": ("top", "upper"),
        "bottom": ("bottom", "lower"),
        "left": ("left",),
        "right": ("right",),
        "middle": ("middle", "centre", "center"),
    }
)
MOVES = Vocabulary(
    {
        "left": ("left", "leftward"),
        "right": ("right", "rightward"),
        "up": ("up", "upward"),
        "down": ("down", "downward"),
    }
)
ORDINALS = Vocabulary(
    {"first": ("first", "1st", "1"), "second": ("second", "2nd", "2"), "third": ("third", "3rd", "3")}
)


@lru_cache(maxsize=1)
def thing_words() -> Vocabulary:
    """The words of objects.tsv."""
    from finetune.tiny.icons import things

    return Vocabulary({thing.word: (thing.word, thing.chinese) for thing in things()})


@lru_cache(maxsize=1)
def _describing() -> Vocabulary:
    return thing_words() | NUMBER_WORDS | COLOUR_WORDS | SHAPE_WORDS  # "green apple" before "green"


def names(vocabulary: Vocabulary, *expected: str, asked: Iterable[str] = ()) -> Score:
    """The answer names these words and no others, those of the question aside, and does not ramble on."""
    wanted, free = set(expected), set(asked) - set(expected)
    return lambda answer: float(len(answer) <= LONGEST and set(vocabulary.found(answer)) - free == wanted)


def place(*expected: str) -> Score:
    """The answer is this place of nine; "middle left" is "left"."""
    return lambda answer: float(_place(PLACES.found(answer)) == _place(expected))


def _place(words: Iterable[str]) -> set[str]:
    found = set(words)
    return found - {"middle"} if len(found) > 1 else found


def reads(expected: str) -> Score:
    """The answer's last word is this text; case and surrounding punctuation aside."""

    def score(answer: str) -> float:
        last = (answer.split() or [""])[-1].strip("\"'“”.,:;!?()")
        return float(last.lower() == expected.lower())

    return score


def transcribes(expected: str) -> Score:
    """1 minus the character error rate; runs of white space count as one space."""
    wanted = " ".join(expected.split())
    return lambda answer: 1 - min(1.0, edits(" ".join(answer.split()), wanted) / len(wanted))


def edits(first: str, second: str) -> int:
    """Insertions, deletions and substitutions from one text to the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def lists(*expected: tuple[str, str]) -> Score:
    """Share of (colour, name) pairs that the answer names; naming more than there are costs. Things have no colour."""
    wanted = Counter(expected)

    def score(answer: str) -> float:
        named = Counter(_pairs(answer))
        return (wanted & named).total() / max(wanted.total(), named.total())

    return score


def _pairs(answer: str) -> list[tuple[str, str]]:
    """(colour, name) of what an answer names; "two red circles" gives two."""
    number, colour, pairs = 1, "", []
    for word in _describing().found(answer):
        if word.isdigit():
            number = int(word)
        elif COLOUR_WORDS.found(word) == [word]:
            colour = word
        else:
            pairs += [(colour, word)] * min(number, 12)
            number, colour = 1, ""
    return pairs


def overlaps(expected: Box, threshold: float = 0.5) -> Score:
    """The answer has exactly one `<box>x1 y1 x2 y2</box>` and its intersection over union reaches the threshold."""

    def score(answer: str) -> float:
        found = re.findall(r"<box>([^<]*)</box>", answer)
        numbers = [float(number) for number in re.findall(r"\d+", found[0])] if len(found) == 1 else []
        return float(len(numbers) == 4 and iou((numbers[0], numbers[1], numbers[2], numbers[3]), expected) >= threshold)

    return score


def iou(first: Box, second: Box) -> float:
    """Intersection over union of (x1, y1, x2, y2)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum(max(0.0, x2 - x1) * max(0.0, y2 - y1) for x1, y1, x2, y2 in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0


def form(colour: str | None, shape: str | None) -> Score:
    """The answer is in the form of few-shot examples: this colour or none, this shape or none, nothing else."""

    def score(answer: str) -> float:
        colours, shapes = COLOUR_WORDS.found(answer), SHAPE_WORDS.found(answer)
        return float(colours == ([colour] if colour else []) and shapes == ([shape] if shape else []))

    return score


def all_of(*scores: Score) -> Score:
    """Every one of several judgements holds."""
    return lambda answer: min(score(answer) for score in scores)


def says(*patterns: str, longest: int = 500) -> Score:
    """The answer matches every pattern (case aside), is not empty and not longer than `longest` characters."""
    compiled = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    return lambda answer: float(
        0 < len(answer.strip()) <= longest and all(pattern.search(answer) for pattern in compiled)
    )
