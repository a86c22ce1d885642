"""All skills of the second drawer behind one door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType

from finetune.tiny import drawer2_questions as questions
from finetune.tiny import drawer2_talks as talks
from finetune.tiny.case import Case
from finetune.tiny.drawer2_supplies import Supplies

MAKERS: Mapping[str, Callable[[Random, Supplies], Case]] = MappingProxyType(
    {
        "colour": questions.colour,
        "colour_zh": questions.colour_zh,
        "shape": questions.shape,
        "count": questions.count,
        "position": questions.position,
        "yes_no": questions.yes_no,
        "things": questions.things,
        "things_zh": questions.things_zh,
        "things_twemoji": questions.things_twemoji,
        "reading": questions.reading,
        "page": questions.a_page,
        "images": talks.images,
        "describe": questions.describe,
        "boxes": questions.boxes,
        "few_shot": talks.few_shot,
        "video": talks.video,
        "turns": talks.turns,
        "small_talk": talks.small_talk,
        "small_talk_zh": talks.small_talk_zh,
        "honesty": talks.honesty,
    }
)


class Drawer2:
    """A `CaseSource` whose pictures share no code, fonts or backgrounds with training.

    Args:
        cache: folder of icons and fonts; None draws shapes and Pillow's own font, and knows no things.

    Raises:
        PackageError: icons or fonts cannot be fetched.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._supplies = Supplies.of(cache)

    def __call__(self, skill: str, rng: Random) -> Case:
        """A new case of a skill."""
        return MAKERS[skill](rng, self._supplies)
