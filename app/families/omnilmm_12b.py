"""OmniLMM-12B: EVA02-E over one square of 448 pixels, 256 queries, Mistral with the Zephyr template.

Its tokenizer files were not at hand: what is marked reconstructed follows its code and Zephyr's files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from tokenizers import normalizers
from torch import Tensor, nn
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM, MistralModel, PreTrainedTokenizerBase
from transformers.configuration_utils import SubConfigSpec

from app.errors import CheckpointError, RequestError
from app.families.base import Family
from app.modeling.chat import ChatDefaults, checked, parsed
from app.modeling.layout import Grid, ImageLayout
from app.modeling.minicpmv import MiniCPMVModel, ProgressHook, init_vision_weights
from app.modeling.resampler import StretchingResampler
from app.modeling.single_image import SingleImageLayout, SingleImageProcessor, SquarePictureProcessor
from app.modeling.single_image_chat import SingleImageChatMixin
from app.modeling.timm_vision import EvaTower, EvaVisionConfig
from app.modeling.tower_shape import TowerFromWeights, require
from app.modeling.vision import Size, encode_pictures
from app.texts import Phrase

SPACE = "\u2581"  # SentencePiece's sign of one
TERMINATORS = ("</s>",)
# Special tokens, none of which shows in an answer.
HIDDEN = (
    *("<unk>", "<s>", "</s>", "<im_patch>", "<im_start>", "<im_end>"),
    *("<box>", "</box>", "<ref>", "</ref>", "<quad>", "</quad>"),
)
SYSTEM = (
    "You are an artificial intelligence assistant, which gives helpful, detailed, and polite answers to the human's"
    " questions."
)
TEMPLATE = (
    "{{ '<|system|>\\n" + SYSTEM.replace("'", "\\'") + "</s>\\n' }}"
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '</s>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
SAMPLING = {"do_sample": True, "temperature": 0.6, "top_k": 30, "top_p": 0.9, "repetition_penalty": 1.1}
GREEDY = {"num_beams": 1, "repetition_penalty": 1.0}
ROLES = {"human": "user", "gpt": "assistant"}
# OpenAI CLIP's.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def image_text(grid: Grid | None, query_num: int, image_index: int | None) -> str:
    """The image between its two tokens."""
    return f"<im_start>{'<im_patch>' * query_num}<im_end>"


class OmniLMMProcessor(SingleImageProcessor):
    """Prompt and image to the model's inputs."""

    @classmethod
    def read_tokenizer(cls, checkpoint: Any, **hub: Any) -> PreTrainedTokenizerBase:
        """The tokenizer of a folder or hub id.

        The published repository has no tokenizer.json, and what the library makes of its tokenizer.model lacks the
        space that every text begins with there.
        """
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, **hub)
        if not tokenizer.tokenize("a")[0].startswith(SPACE):
            spaces = [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
            tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(spaces)
        return tokenizer

    def cut(self, ids: list[int], max_length: int | None) -> list[int]:
        """As many tokens of a prompt as are kept: the first one and the last ones.

        Reconstructed: that the tokenizer cuts on the left, as Zephyr's does.
        """
        if max_length is None or len(ids) <= max_length or self.tokenizer.truncation_side != "left":
            return super().cut(ids, max_length)
        return ids[:1] + ids[len(ids) - max_length + 1 :]

    def bounds(self, ids: Sequence[int]) -> Tensor:
        """int64 (1, 2): half-open positions of the image's features.

        Raises:
            RequestError: the prompt was cut inside its image or behind it.
            CheckpointError: the tokenizer lacks a token of images.
        """
        # Reconstructed: the names and order of the added tokens, of which only the names matter here.
        for token in (*self.layout.starts, *self.layout.ends, "<im_patch>"):
            if token not in self.tokenizer.added_tokens_encoder:
                raise CheckpointError(Phrase("tokenizer_no_token", token=token), Phrase("do_check_files"))
        found = super().bounds(ids)
        if len(found) != 1:
            raise RequestError(Phrase("prompt_cut_image", count=len(ids)), Phrase("do_ask_shorter"))
        return found


class OmniLMMConfig(TowerFromWeights, MistralConfig):
    """The flat config.json of the published checkpoints: Mistral's fields and the vision ones.

    Raises:
        CheckpointError: a field has a value that the model as it is written here does not fit.
    """

    model_type = "omnilmm"
    weight_names = ("model.vision_tower", "model.resampler")
    query_field = "num_query"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": SubConfigSpec(config_class=EvaVisionConfig, optional=True)
    }
    own_processor: ClassVar[type[SingleImageProcessor]] = OmniLMMProcessor
    layout: ClassVar[ImageLayout] = SingleImageLayout(
        text=image_text,
        starts=("<im_start>",),
        ends=("<im_end>",),
        template=TEMPLATE,
        needs_image=True,
        tag="<image>",
    )

    # The published numbers.
    num_query: int = 256
    image_size: int = 448
    vision_config: dict | EvaVisionConfig | None = None
    mm_vision_tower: str | None = "eva02_enormous_patch14_clip_224.laion2b_plus"
    mm_use_im_start_end: bool = True
    tune_clip: bool = True
    use_mm_proj: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        require(self, "mm_use_im_start_end", self.mm_use_im_start_end, "images stand between two tokens")
        require(self, "tune_clip", self.tune_clip, "the vision tower's weights must be part of the checkpoint")
        require(self, "image_size", self.image_size % 14 == 0, "the tower reads patches of 14")
        require(self, "num_query", int(self.num_query**0.5) ** 2 == self.num_query, "the queries form a square")

    @property
    def query_num(self) -> int:
        """Features per image, under the other members' name."""
        return self.num_query

    def image_processor(self) -> SquarePictureProcessor:
        """Resizes and normalises as the fields say."""
        return SquarePictureProcessor(
            scale_resolution=self.image_size, image_feature_size=self.num_query, norm_mean=MEAN, norm_std=STD
        )


class OmniLMMModel(MistralModel):
    """Mistral without its head; the tower and the resampler have their weights in here."""

    def __init__(self, config: OmniLMMConfig) -> None:
        super().__init__(config)
        vision: Any = config.vision_config
        self.vision_tower = EvaTower(vision)
        self.resampler = StretchingResampler(
            num_queries=config.num_query,
            embed_dim=config.hidden_size,
            num_heads=config.hidden_size // 128,
            kv_dim=vision.hidden_size,
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        init_vision_weights(module)


class OmniLMM(SingleImageChatMixin, MiniCPMVModel):
    """OmniLMM-12B.

    Attributes:
        model, lm_head: the parts, by their weight names.
        llm, vpm, resampler: second doors to the same parts, as the other members have them; no children, so that
            nothing is stored twice.
    """

    config_class = OmniLMMConfig
    _no_split_modules: ClassVar[list[str]] = ["MistralDecoderLayer", "EvaBlock", "StretchingResampler"]
    chat_defaults = ChatDefaults(TERMINATORS, max_inp_length=2048, max_new_tokens=1024, hidden=HIDDEN)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint strictly; see `MiniCPMVPreTrainedModel`."""
        config = kwargs.pop("config", None) or cls.config_class.from_pretrained(pretrained_model_name_or_path)
        config.complete(pretrained_model_name_or_path)
        return super().from_pretrained(pretrained_model_name_or_path, *args, config=config, **kwargs)

    def build(self, config: Any) -> None:
        """Make the parts."""
        config.vision_config = config.vision_config or EvaVisionConfig()
        language = MistralForCausalLM(config)
        language.model = OmniLMMModel(config)
        self.model = language.model
        self.lm_head = language.lm_head
        self.__dict__ |= {"llm": language, "vpm": self.model.vision_tower, "resampler": self.model.resampler}

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the head."""
        self.lm_head = self.llm.lm_head = value

    def encode_vision(
        self,
        pixel_values: Sequence[Tensor],
        tgt_sizes: Sequence[Size],
        on_progress: ProgressHook | None = None,
        numbers: Tensor | None = None,
    ) -> Tensor:
        """Features of images: (3, H, W) each to (images, num_query, hidden_size); see `encode_pictures`."""
        return encode_pictures(self.vpm, self.resampler, pixel_values, tgt_sizes, on_progress, numbers)

    def chat(  # type: ignore[override]
        self,
        image: Any = None,
        msgs: Any = None,
        tokenizer: Any = None,
        vision_hidden_states: Sequence[Tensor] | None = None,
        max_new_tokens: int | None = None,
        sampling: bool = True,
        max_inp_length: int | None = None,
        **kwargs: Any,
    ) -> str:
        """Answer one conversation about one image.

        Args:
            image: a PIL image; it goes in front of the first message, or where that has `<image>`.
            msgs: `[{"role": "user" | "assistant", "content": str}, ...]`, or a JSON text of it, roles alternating;
                the keys "from" and "value" and the roles "human" and "gpt" are taken too.
            tokenizer: of this model; the model finds it if None.
            vision_hidden_states: image features made before, [(1, num_query, hidden_size)].
            max_new_tokens: answer tokens at most; None is 1024.
            sampling: sample (temperature 0.6, top_k 30, top_p 0.9, repetition_penalty 1.1), or else be greedy.
            max_inp_length: prompt tokens kept; None is 2048.
            kwargs: override the values of the decode type; `do_sample` chooses it too; other names are ignored.

        Raises:
            RequestError: a conversation of another form, or one that is longer than `max_inp_length`.
        """
        sampling = sampling and kwargs.pop("do_sample", True)
        settings: dict[str, Any] = dict(SAMPLING if sampling else GREEDY)
        settings |= {name: value for name, value in kwargs.items() if name in settings}
        limit = max_new_tokens or self.chat_defaults.max_new_tokens
        turns = alternating(parsed(msgs))
        return self.answer(
            image, turns, tokenizer, vision_hidden_states, max_inp_length, max_new_tokens=limit, **settings
        )


def alternating(msgs: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages with the roles "user" and "assistant" in turn.

    Raises:
        RequestError: another role, or twice the same in a row.
    """
    named = [
        {"role": turn.get("role", turn.get("from")), "content": turn.get("content", turn.get("value"))}
        if isinstance(turn, Mapping)
        else turn
        for turn in msgs
    ]
    turns = checked([turn | {"role": ROLES.get(turn["role"], turn["role"])} if isinstance(turn, dict) else turn
                     for turn in named])  # fmt: skip
    for index, turn in enumerate(turns):
        if turn["role"] != ("user", "assistant")[index % 2]:
            raise RequestError(Phrase("roles_repeat", number=index + 1, role=turn['role']),
                               Phrase("do_alternate"))  # fmt: skip
    return turns


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family."""
    return config.get("model_type") == "omnilmm"


FAMILY = Family(
    name="OmniLMM-12B",
    recognises=recognises,
    config_class=OmniLMMConfig,
    model_class=OmniLMM,
    terminators=TERMINATORS,
    hidden_tokens=HIDDEN,
    defaults={
        "max_new_tokens": 1024,
        "temperature": 0.6,
        "top_k": 30,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
    },
    max_images=1,
    slicing=False,
    video=False,
    system_prompt=False,
    int4_skip_modules=("model.vision_tower", "model.resampler", "lm_head"),
    hub_id="openbmb/OmniLMM-12B",
    # Reconstructed: Zephyr's sizes and nine added tokens.
    published={
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32009,
        "max_position_embeddings": 32768,
    },
)
