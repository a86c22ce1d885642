"""What our own endpoint tells of its model under `capabilities` of a card of /v1/models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import OptionError
from app.sampling import BASE, BY_NAME, RARE

MOST_ADAPTERS = 256
LONGEST_NAME = 256
UNTOLD = "system_prompt"  # no server has a say in what the page's users tell the model


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says its model takes; the attributes are those of `app.backends.base.Capabilities`."""

    max_images: int | None = None
    video: bool = True
    system_prompt: bool = True
    few_shot: bool = True
    beam_search: bool = True
    random_weights: bool = False
    has_chat: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    hidden_options: frozenset[str] = RARE
    logprobs: bool = False


def read_card(card: Mapping[str, Any]) -> Told | None:
    """What a card tells, as a stranger's word: what is not of its type or out of range is left out; None if nothing."""
    told = card.get("capabilities")
    if not isinstance(told, Mapping):
        return None
    flags = ("video", "system_prompt", "few_shot", "beam_search", "random_weights", "has_chat", "logprobs")
    return Told(
        max_images=_limit(told.get("max_images")),
        defaults=dict(_defaults(told.get("defaults"))),
        hidden_options=_hidden(told.get("hidden_options")),
        **{name: told[name] for name in flags if isinstance(told.get(name), bool)},
    )


def adapters_of(name: str, cards: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of a model's adapters: the cards that call it their parent."""
    names = (card.get("id") for card in cards if card.get("parent") == name)
    able = (each for each in names if isinstance(each, str) and each != BASE and _is_name(each))
    return tuple(dict.fromkeys(able))[:MOST_ADAPTERS]


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()


def _limit(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _defaults(values: Any) -> Iterator[tuple[str, Any]]:
    for name, value in values.items() if isinstance(values, Mapping) else ():
        option = BY_NAME.get(str(name).removeprefix("beam."))
        if option is None or option.name == UNTOLD:
            continue
        try:
            yield str(name), option.check(value)
        except OptionError:
            continue


def _hidden(names: Any) -> frozenset[str]:
    if not isinstance(names, list):
        return RARE
    return frozenset(name for name in names if isinstance(name, str) and name.removeprefix("beam.") in BY_NAME)
