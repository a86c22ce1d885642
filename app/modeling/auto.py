"""One `model_type`, several models: `MiniCPMVConfig` hands a config.json to the family that recognises it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from app.errors import UnsupportedModelError
from app.modeling.image_processing import MiniCPMVImageProcessor
from app.modeling.processing import MiniCPMVProcessor
from app.modeling.tokenization import MiniCPMVTokenizerFast


class Member(Protocol):
    """What registration needs to know of a family."""

    @property
    def name(self) -> str:
        """To show in messages."""
        ...

    @property
    def recognises(self) -> Callable[[Mapping[str, Any]], bool]:
        """Whether a config.json is of this family."""
        ...

    @property
    def config_class(self) -> type[PreTrainedConfig]:
        """What AutoConfig returns."""
        ...

    @property
    def model_class(self) -> type[PreTrainedModel]:
        """What AutoModel returns."""
        ...


class MiniCPMVConfig(PreTrainedConfig):
    """What the Auto classes know as "minicpmv": never instantiated, it only finds the right member."""

    model_type = "minicpmv"
    members: ClassVar[tuple[Member, ...]] = ()

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of the member that recognises `config_dict`.

        Raises:
            UnsupportedModelError: no member does; the message lists the known ones.
        """
        return find_member(cls.members, config_dict).config_class.from_dict(config_dict, **kwargs)


def find_member(members: Sequence[Any], config_dict: Mapping[str, Any]) -> Any:
    """The member that recognises a config.json.

    Raises:
        UnsupportedModelError: none does; the message lists the known ones.
    """
    for member in members:
        if member.recognises(config_dict):
            return member
    raise UnsupportedModelError(
        f"The checkpoint's config.json (model_type {config_dict.get('model_type')!r}, version"
        f" {config_dict.get('version')!r}) is of no model known here. Known: {', '.join(m.name for m in members)}.",
        "Check the model's name; update this application if the model is newer than it.",
    )


def register(members: Sequence[Member]) -> None:
    """Make the members known to AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer and AutoProcessor."""
    MiniCPMVConfig.members = tuple(members)
    AutoConfig.register("minicpmv", MiniCPMVConfig, exist_ok=True)
    for member in members:
        AutoModel.register(member.config_class, member.model_class, exist_ok=True)
        AutoModelForCausalLM.register(member.config_class, member.model_class, exist_ok=True)
        AutoTokenizer.register(member.config_class, fast_tokenizer_class=MiniCPMVTokenizerFast, exist_ok=True)
        AutoImageProcessor.register(member.config_class, MiniCPMVImageProcessor, exist_ok=True)
        AutoProcessor.register(member.config_class, MiniCPMVProcessor, exist_ok=True)
