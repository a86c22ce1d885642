"""MiniCPM-V 1.0 and 2.0: a tower with timm's names, a resampler with places, and MiniCPM-2.4B.

MiniCPM-2.4B is Granite with other numbers: embeddings of text times `scale_emb`, residual branches times
`scale_depth / sqrt(layers)`, logits divided by `hidden_size / dim_model_base`. Features of images are not scaled, so
Granite's own multiplier stays 1 and the embedding module scales, in the prompt and in every later step alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import GraniteConfig, GraniteForCausalLM
from transformers.configuration_utils import SubConfigSpec

from app.errors import CheckpointError
from app.modeling.layout import ImageLayout
from app.modeling.minicpmv import MiniCPMVModel, ProgressHook
from app.modeling.resampler import GridResampler
from app.modeling.sentencepiece import LlamaTokenizerWrapper
from app.modeling.single_image import SingleImageProcessor
from app.modeling.timm_vision import TimmTower, TimmVisionConfig
from app.modeling.tower_shape import TowerFromWeights, require
from app.modeling.vision import Size, encode_pictures
from app.texts import Phrase

TOWER = "vit_so400m_patch14_siglip_384"
# No separators and no end tokens: turns follow each other directly.
TEMPLATE = (
    "{% for message in messages %}{{ '<用户>' if message['role'] == 'user' else '<AI>' }}{{ message['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}<AI>{% endif %}"
)


class ScaledEmbedding(nn.Embedding):
    """Token embeddings times a constant."""

    scale: float = 1.0

    def forward(self, input: Tensor) -> Tensor:
        """int64 (...) to (..., embedding_dim)."""
        return super().forward(input) * self.scale


class SentencePieceProcessor(SingleImageProcessor):
    """The processor, for the one tokenizer that gives the ids the models were trained with.

    Raises:
        CheckpointError: another tokenizer.
    """

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, layout: Any = None, **kwargs: Any) -> None:
        if tokenizer is not None and not isinstance(tokenizer, LlamaTokenizerWrapper):
            raise CheckpointError(
                Phrase("tokenizer_other", type=type(tokenizer).__name__),
                Phrase("do_take_tokenizer"),
            )
        super().__init__(image_processor, tokenizer, layout, **kwargs)


class TimmMiniCPMVConfig(TowerFromWeights, GraniteConfig):
    """The flat config.json of the published checkpoints: MiniCPM's fields and the vision ones.

    Raises:
        CheckpointError: a field has a value that the model as it is written here does not fit.
    """

    model_type = "minicpmv"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": SubConfigSpec(config_class=TimmVisionConfig, optional=True)
    }
    layout: ClassVar[ImageLayout]
    own_processor: ClassVar[type[SingleImageProcessor]] = SentencePieceProcessor

    scale_emb: float | int = 12
    scale_depth: float = 1.4
    dim_model_base: int = 256
    vision_encoder: str = f"{TOWER}.webli"
    vision_config: dict | TimmVisionConfig | None = None
    drop_vision_last_layer: bool = True
    query_num: int = 64
    image_size: int = 448
    mm_use_im_start_end: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self.embedding_multiplier = 1.0
        self.residual_multiplier = self.scale_depth / self.num_hidden_layers**0.5
        self.attention_multiplier = (self.hidden_size // self.num_attention_heads) ** -0.5
        self.logits_scaling = self.hidden_size / self.dim_model_base
        require(self, "vision_encoder", self.vision_encoder.split(".")[0] == TOWER, Phrase("only_tower", tower=TOWER))
        require(self, "mm_use_im_start_end", self.mm_use_im_start_end, Phrase("images_between"))
        require(self, "query_num", int(self.query_num**0.5) ** 2 == self.query_num, Phrase("queries_square"))


class TimmMiniCPMV(MiniCPMVModel):
    """What both have in common."""

    llm_class = GraniteForCausalLM
    vision_class = TimmTower
    resampler_class = GridResampler
    _no_split_modules: ClassVar[list[str]] = ["GraniteDecoderLayer", "TimmBlock", "GridResampler"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint strictly; see `MiniCPMVPreTrainedModel`."""
        config = kwargs.pop("config", None) or cls.config_class.from_pretrained(pretrained_model_name_or_path)
        config.complete(pretrained_model_name_or_path)
        return super().from_pretrained(pretrained_model_name_or_path, *args, config=config, **kwargs)

    def build(self, config: Any) -> None:
        """Make the parts."""
        config.vision_config = config.vision_config or TimmVisionConfig()
        super().build(config)
        embeddings = ScaledEmbedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        embeddings.scale = config.scale_emb
        self.llm.set_input_embeddings(embeddings)

    def encode_vision(
        self,
        pixel_values: Sequence[Tensor],
        tgt_sizes: Sequence[Size],
        on_progress: ProgressHook | None = None,
        numbers: Tensor | None = None,
    ) -> Tensor:
        """Features of slices, (slices, query_num, hidden_size) in the dtype of the tower; see `encode_pictures`."""
        return encode_pictures(self.vpm, self.resampler, pixel_values, tgt_sizes, on_progress, numbers)
