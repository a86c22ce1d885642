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
    PreTrainedTokenizerBase,
)
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

from app.errors import UnsupportedModelError
from app.modeling.image_processing import MiniCPMVImageProcessor
from app.modeling.processing import MiniCPMVProcessor
from app.modeling.tokenization import MiniCPMVTokenizerFast
from app.texts import Phrase


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
    def tokenizer_class(self) -> type[PreTrainedTokenizerBase] | None:
        """What AutoTokenizer returns; None is `MiniCPMVTokenizerFast`."""
        ...

    @property
    def in_library(self) -> bool:
        """Whether the library knows it without being told."""
        ...

    @property
    def model_class(self) -> type[PreTrainedModel]:
        """What AutoModel returns."""
        ...


class FamilyConfig(PreTrainedConfig):
    """What the Auto classes know as a `model_type`: never instantiated, it only finds the right member."""

    members: ClassVar[tuple[Member, ...]] = ()

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of the member that recognises `config_dict`.

        Raises:
            UnsupportedModelError: no member does; the message lists the known ones.
        """
        return find_member(FamilyConfig.members, config_dict).config_class.from_dict(config_dict, **kwargs)


class MiniCPMVConfig(FamilyConfig):
    """The models whose config.json says "minicpmv"."""

    model_type = "minicpmv"


class OmniLMMConfig(FamilyConfig):
    """The models whose config.json says "omnilmm"."""

    model_type = "omnilmm"


class MiniCPMVTokenizer:
    """What tokenizer_config.json calls the tokenizers of several members, unlike ones: it finds the right class."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """The tokenizer of the member that the config.json beside it is of."""
        hub = {key: value for key, value in kwargs.items() if key in ("revision", "cache_dir", "token")}
        config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **hub)
        member = next(member for member in FamilyConfig.members if isinstance(config, member.config_class))
        tokenizer_class = member.tokenizer_class or MiniCPMVTokenizerFast
        return tokenizer_class.from_pretrained(pretrained_model_name_or_path, *args, **kwargs)


# Members whose code is published only inside their repositories, by the version in config.json. It is never run.
NOT_YET = {4.0: "MiniCPM-V 4.0", 4.5: "MiniCPM-V 4.5"}


def _not_yet(config_dict: Mapping[str, Any]) -> str | None:
    """The name of a model that exists but is not supported, if this is one."""
    try:
        version = float(config_dict.get("version") or 0)
    except (TypeError, ValueError):
        return None
    return NOT_YET.get(version) if config_dict.get("model_type") == "minicpmv" else None


def find_member(members: Sequence[Any], config_dict: Mapping[str, Any]) -> Any:
    """The member that recognises a config.json.

    Raises:
        UnsupportedModelError: none does; the message lists the known ones.
    """
    for member in members:
        if member.recognises(config_dict):
            return member
    if name := _not_yet(config_dict):
        raise UnsupportedModelError(
            Phrase("member_unsupported", name=name, known=", ".join(m.name for m in members)),
            Phrase("do_other_engines"),
        )
    raise UnsupportedModelError(
        Phrase(
            "member_unknown",
            type=config_dict.get("model_type"),
            version=config_dict.get("version"),
            known=", ".join(m.name for m in members),
        ),
        Phrase("do_check_name"),
    )


def register(members: Sequence[Member]) -> None:
    """Make the members known to AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer and AutoProcessor."""
    FamilyConfig.members = tuple(members)
    members = [member for member in members if not member.in_library]
    for dispatcher in (MiniCPMVConfig, OmniLMMConfig):
        AutoConfig.register(dispatcher.model_type, dispatcher, exist_ok=True)
    # OmniLMM's files name LlamaTokenizer, which the library builds anew with other spaces; so its tokenizer.json is
    # read as it is.
    TOKENIZER_MAPPING_NAMES.setdefault(OmniLMMConfig.model_type, "TokenizersBackend")
    for member in members:
        AutoModel.register(member.config_class, member.model_class, exist_ok=True)
        AutoModelForCausalLM.register(member.config_class, member.model_class, exist_ok=True)
        tokenizer_class = member.tokenizer_class or MiniCPMVTokenizerFast
        AutoTokenizer.register(
            member.config_class,
            slow_tokenizer_class=MiniCPMVTokenizer,
            tokenizer_class=tokenizer_class,
            exist_ok=True,
        )
        AutoImageProcessor.register(member.config_class, MiniCPMVImageProcessor, exist_ok=True)
        AutoProcessor.register(member.config_class, MiniCPMVProcessor, exist_ok=True)
