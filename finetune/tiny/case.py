"""What is evaluated: skills with their aims, and one question of a skill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any, Protocol

from finetune.tiny.scoring import Score


@dataclass(frozen=True, slots=True)
class Skill:
    """One row of the evaluation.

    Attributes:
        name: as on the command line. aim: mean score wanted. example: a question, for the model card.
        needs_things: it draws everyday things, so it needs the icon sets.
        held_out: the training generator never draws it.
    """

    name: str
    aim: float
    example: str
    needs_things: bool = False
    held_out: bool = False


SKILLS = (
    Skill("colour", 0.95, "What colour is the star?"),
    Skill("colour_zh", 0.92, "这个图形是什么颜色？"),
    Skill("shape", 0.95, "What shape is in the picture?"),
    Skill("count", 0.9, "How many crosses are there?"),
    Skill("position", 0.85, "What colour is the object on the right? Where is the red circle?"),
    Skill("yes_no", 0.92, "Is there a blue square?"),
    Skill("things", 0.97, "What is this? (drawing styles seen in training)", needs_things=True),
    Skill("things_zh", 0.97, "这是什么？ (drawing styles seen in training)", needs_things=True),
    Skill("things_twemoji", 0.75, "What is this? (a drawing style never seen)", needs_things=True, held_out=True),
    Skill("reading", 0.9, "Read the number. Read the text. (1 to 6 characters)"),
    Skill("page", 0.9, "Read the text. (20 to 300 characters; 1 minus the character error rate)"),
    Skill("images", 0.85, "Which image has the red circle, the first or the second?"),
    Skill("describe", 0.85, "Describe the picture. (share of objects named)"),
    Skill("boxes", 0.75, "Where is the red circle? Give a box. (IoU at least 0.5)"),
    Skill("few_shot", 0.8, "Two examples show the form of the answer."),
    Skill("video", 0.85, "What colour is the ball? Does it move left or right?"),
    Skill("turns", 0.85, "And its shape?"),
    Skill("small_talk", 1.0, "Who are you?"),
    Skill("small_talk_zh", 1.0, "你是谁？"),
    Skill("honesty", 0.9, "What is this? (a photograph, noise, or a question outside the list)"),
)
VIDEO_OPTIONS: Mapping[str, Any] = MappingProxyType({"use_image_id": False, "max_slice_nums": 2})


@dataclass(frozen=True, slots=True)
class Case:
    """One question to the model.

    Attributes:
        skill: name of its skill.
        messages: as `model.chat` takes them: {"role", "content": [PIL image or str, ...]}, the last one the user's.
        score: judges the answer, 0 to 1.
        expected: an answer that is right, for reports.
        group: kind within the skill, for the breakdown.
        options: further arguments of `model.chat`, such as those for the frames of a video.
        max_new_tokens: answer tokens at most.
    """

    skill: str
    messages: Sequence[Mapping[str, Any]]
    score: Score
    expected: str
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    max_new_tokens: int = 96

    @property
    def question(self) -> str:
        """The last question's text."""
        return " ".join(part for part in self.messages[-1]["content"] if isinstance(part, str))


class CaseSource(Protocol):
    """Draws questions: one generator of pictures."""

    def __call__(self, skill: str, rng: Random) -> Case:
        """A new case of a skill; the same state of `rng` gives the same case."""
        ...
