"""Decoding options: one declaration each, from which slider, help text, check and API schema are made.

Names are those of `transformers.generate` where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal, TypeAlias

from app.errors import OptionError
from app.texts import Phrase, listed

Mode: TypeAlias = Literal["sampling", "beam"]
BASE = "base"  # what asks for the model without any adapter
MOST_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Option:
    """One decoding option.

    Attributes:
        type: bool, int, float or str.
        default: value when sampling (and under beam search unless `beam_default` is given).
        minimum, maximum, step: range of a number; None for bool and str.
        modes: decode types in which the option has an effect; elsewhere its control is hidden.
        beam_default: the default under beam search where it differs.
        optional: None is allowed and means "not set".
        choices: the values allowed of a str; empty allows any.
        rare: only families that declare the option have it; elsewhere it has no effect and is not shown.
    """

    name: str
    type: type
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    modes: tuple[Mode, ...] = ("sampling", "beam")
    beam_default: Any = None
    optional: bool = False
    choices: tuple[str, ...] = ()
    rare: bool = False

    @property
    def label(self) -> Phrase:
        """What its control is called."""
        return Phrase(f"option.{self.name}")

    @property
    def help(self) -> Phrase:
        """One sentence for the control and for `--help`."""
        return Phrase(f"option.{self.name}.help")

    def default_for(self, mode: Mode) -> Any:
        """The product's default under a decode type."""
        return self.beam_default if mode == "beam" and self.beam_default is not None else self.default

    def check(self, value: Any) -> Any:
        """The value in the option's type.

        Raises:
            OptionError: wrong type or out of range; names what was got and what is allowed.
        """
        if value is None and self.optional:
            return None
        if self.type in (int, float):
            return self._check_number(value)
        if not isinstance(value, self.type):
            raise OptionError(Phrase("option_type", name=self.name, value=value, type=self.type.__name__))
        if self.choices and value not in self.choices:
            raise OptionError(
                Phrase("option_choice", name=self.name, value=value, allowed=listed(self.choices, "list_or"))
            )
        return value

    def _check_number(self, value: Any) -> int | float:
        allowed = Phrase("number_range", type=self.type.__name__, minimum=self.minimum, maximum=self.maximum)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise OptionError(Phrase("option_range", name=self.name, value=value, allowed=allowed))
        if isinstance(value, float) and (not isfinite(value) or (self.type is int and value != int(value))):
            raise OptionError(Phrase("option_range", name=self.name, value=value, allowed=allowed))
        assert self.minimum is not None and self.maximum is not None
        if not self.minimum <= value <= self.maximum:
            raise OptionError(Phrase("option_range", name=self.name, value=value, allowed=allowed))
        return int(value) if self.type is int else float(value)


OPTIONS: tuple[Option, ...] = (
    Option("do_sample", bool, True),
    Option("num_beams", int, 3, 1, 10, 1, modes=("beam",)),
    Option("temperature", float, 0.7, 0.01, 2.0, 0.01,
           modes=("sampling",)),
    Option("top_p", float, 0.8, 0.01, 1.0, 0.01,
           modes=("sampling",)),
    Option("top_k", int, 100, 0, 1000, 1,
           modes=("sampling",)),
    Option("repetition_penalty", float, 1.05,
           0.5, 2.0, 0.01, beam_default=1.2),
    Option("max_new_tokens", int, 2048, 1, 8192, 1),
    Option("seed", int, None,
           0, 2**31 - 1, 1, modes=("sampling",), optional=True),
    Option("max_slice_nums", int, 9, 1, 16, 1),
    Option("max_frames", int, 64, 1, 256, 1),
    Option("system_prompt", str, ""),
    Option("enable_thinking", bool, False, rare=True),
    Option("downsample_mode", str, "16x",
           choices=("16x", "4x"), rare=True),
)  # fmt: skip
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}
RARE: frozenset[str] = frozenset(option.name for option in OPTIONS if option.rare)


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The checked options of one request; see `OPTIONS` for meaning and range.

    Attributes:
        adapter: name of the adapter that answers; empty, or `BASE` when given, is the model alone.
        min_new_tokens: the answer does not end before so many.
        min_p: when sampling, drop tokens less likely than this share of the likeliest, 0 to 1; 0 drops none.
        stop: texts before the first of which the answer ends.
        use_image_id: images are numbered in the prompt; None takes the checkpoint's choice.
        logprobs: tell the log probability of each token, and of so many of the likeliest in its place, up to 20; None
            tells none. They are the model's own, before temperature, penalties and the like.
    """

    do_sample: bool = True
    num_beams: int = 3
    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 100
    repetition_penalty: float = 1.05
    max_new_tokens: int = 2048
    seed: int | None = None
    max_slice_nums: int = 9
    max_frames: int = 64
    system_prompt: str = ""
    enable_thinking: bool = False
    downsample_mode: str = "16x"
    min_new_tokens: int = field(default=0)
    adapter: str = ""
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    use_image_id: bool | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name in BY_NAME:
                object.__setattr__(self, item.name, BY_NAME[item.name].check(getattr(self, item.name)))
        if not isinstance(self.adapter, str):
            raise OptionError(Phrase("adapter_name_type", adapter=self.adapter))
        if not 0 <= self.min_p <= 1:
            raise OptionError(Phrase("min_p_range", min_p=self.min_p))
        if not all(self.stop):
            raise OptionError(Phrase("stop_empty"))
        if self.logprobs is not None:
            self._check_logprobs(self.logprobs)
        if self.adapter == BASE:
            object.__setattr__(self, "adapter", "")

    def _check_logprobs(self, count: int) -> None:
        if not 0 <= count <= MOST_LOGPROBS:
            raise OptionError(Phrase("logprobs_range", count=count, most=MOST_LOGPROBS))
        if self.searching:
            raise OptionError(Phrase("logprobs_searched"), Phrase("do_one_beam"))

    @property
    def searching(self) -> bool:
        """Whether the answer is searched for with several beams."""
        return not self.do_sample and self.num_beams > 1

    @property
    def mode(self) -> Mode:
        """The decode type these params ask for."""
        return "sampling" if self.do_sample else "beam"

    @classmethod
    def of(cls, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> SamplingParams:
        """Params from a mapping; what it leaves out comes from `defaults`, then from `OPTIONS`.

        Args:
            values: by option name; "adapter" too.
            defaults: a family's own defaults by option name; "beam.NAME" holds under beam search only.

        Raises:
            OptionError: an unknown name, a wrong type or a value out of range.
        """
        unknown = sorted(set(values) - set(BY_NAME) - {"adapter"})
        if unknown:
            raise OptionError(Phrase("option_unknown", unknown=", ".join(unknown), known=", ".join(BY_NAME)))
        do_sample = values.get("do_sample", True)
        mode: Mode = "sampling" if do_sample else "beam"
        merged = {option.name: default_of(option, mode, defaults) for option in OPTIONS}
        return cls(**(merged | {"do_sample": do_sample} | dict(values)))


def default_of(option: Option, mode: Mode, defaults: Mapping[str, Any] | None = None) -> Any:
    """A family's default of an option under a decode type, else the product's."""
    family = defaults or {}
    if mode == "beam" and f"beam.{option.name}" in family:
        return family[f"beam.{option.name}"]
    if option.name in family and (mode == "sampling" or option.beam_default is None):
        return family[option.name]
    return option.default_for(mode)
