"""What a model family declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Training:
    """What fine-tuning may change in a family's models.

    Attributes:
        lora_layers: types of the modules in which every linear layer gets an adapter.
        llm, vision, resampler: names of the modules that are the language model, the tower and the resampler; a head
            outside the language model belongs to it.
    """

    lora_layers: tuple[type[nn.Module], ...]
    llm: str = "llm"
    vision: str = "vpm"
    resampler: str = "resampler"


@dataclass(frozen=True, slots=True)
class Family:
    """All that the engine and the page need to know of a family.

    Attributes:
        name: to show, e.g. "MiniCPM-V 2.6".
        recognises: whether a config.json (as a dict) is of this family.
        config_class, model_class: the transformers classes; the latter names the modules that stay on one device.
        tokenizer_class: what AutoTokenizer returns; None is the published tokenizer.json.
        terminators: tokens that end an answer.
        hidden_tokens: tokens left out of an answer's text.
        defaults: decoding defaults by option name, as `SamplingParams.of` takes them.
        max_images: images in one conversation; None is no limit.
        video, system_prompt: whether it takes them.
        slicing: large images are cut into slices.
        frame_slices: slices per video frame, by the number of frames in the conversation.
        int4_skip_modules: modules left in the load dtype when quantising on the fly.
        options: the rare decoding options it has.
        training: what fine-tuning may change; None cannot be fine-tuned here.
        runner: loads it and answers for the engine (`app.modeling.runner.Runner`); None is that of our own models.
        in_library: the library knows its classes, so that the Auto classes need not be told of them.
        hub_id: the published repository.
        published: the config.json fields there that decide sizes, for estimates before anything is fetched.
    """

    name: str
    recognises: Callable[[Mapping[str, Any]], bool]
    config_class: type[PreTrainedConfig]
    model_class: type[PreTrainedModel]
    terminators: tuple[str, ...]
    tokenizer_class: type[PreTrainedTokenizerBase] | None = None
    hidden_tokens: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    max_images: int | None = None
    video: bool = True
    system_prompt: bool = True
    slicing: bool = True
    frame_slices: Callable[[int], int] = lambda frames: 2 if frames <= 16 else 1
    int4_skip_modules: tuple[str, ...] = ("vpm", "resampler", "lm_head")
    options: frozenset[str] = frozenset()
    training: Training | None = None
    runner: type[Any] | None = None
    in_library: bool = False
    hub_id: str = ""
    published: Mapping[str, Any] = field(default_factory=dict)
