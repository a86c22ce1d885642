"""MiniCPM-V: a vision tower, a resampler and a language model, as one transformers model.

What all members share. A member (`app/families`) names its config, its language model and how its tower numbers
the patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from app.errors import CheckpointError, RequestError
from app.modeling.chat import ChatMixin
from app.modeling.pixels import to_device
from app.modeling.positions import grid_position_ids
from app.modeling.resampler import CrossAttention, GridResampler, Resampler
from app.modeling.siglip import VisionTransformer
from app.modeling.timm_vision import TimmTower
from app.modeling.vision import Size, group_by_size, run_in_chunks
from app.texts import Phrase, listed

ProgressHook = Callable[[int, int], None]


class MiniCPMVPreTrainedModel(PreTrainedModel):
    """Loading and initialisation."""

    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        init_vision_weights(module)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint strictly: by its own names, nothing missing, nothing left over.

        Raises:
            CheckpointError: names what is missing, unexpected or of another shape.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        model, info = loaded
        _raise_on_mismatch(info)
        model.eval()
        return loaded if wants_info else model


def init_vision_weights(module: nn.Module) -> None:
    """Fill the parameters that towers and resamplers own beside those of layers."""
    if isinstance(module, Resampler):
        nn.init.trunc_normal_(module.query, std=0.02)
        nn.init.normal_(module.proj, std=module.embed_dim**-0.5)
    elif isinstance(module, CrossAttention):
        nn.init.xavier_uniform_(module.in_proj_weight)
        nn.init.zeros_(module.in_proj_bias)
    for name in ("pos_embed", "cls_token"):
        if isinstance(module, (TimmTower, GridResampler)) and hasattr(module, name):
            nn.init.trunc_normal_(getattr(module, name), std=0.02)


def _raise_on_mismatch(info: dict[str, Any]) -> None:
    kinds = {"missing_keys": "keys_missing", "unexpected_keys": "keys_unexpected", "mismatched_keys": "keys_shape"}
    found = {kind: sorted(map(str, info.get(key) or ())) for key, kind in kinds.items()}
    parts = [Phrase(kind, count=len(keys), names=", ".join(keys[:5]) + ", ..." * (len(keys) > 5))
             for kind, keys in found.items() if keys]  # fmt: skip
    if parts:
        raise CheckpointError(
            Phrase("weights_unfit", parts=listed(parts, "list_semicolon")),
            Phrase("do_check_complete"),
        )


class MiniCPMVModel(ChatMixin, MiniCPMVPreTrainedModel):
    """A MiniCPM-V. Subclasses set `config_class` and `llm_class`.

    Attributes:
        llm: the language model. vpm: the vision tower. resampler: patches to language-model vectors.
    """

    llm: Any
    vpm: Any
    resampler: Any
    llm_class: ClassVar[type[PreTrainedModel]]
    vision_class: ClassVar[type[nn.Module]] = VisionTransformer
    resampler_class: ClassVar[type[Resampler]] = Resampler

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.build(config)
        self.post_init()

    def build(self, config: Any) -> None:
        """Make the parts."""
        self.llm = self.llm_class(config)
        self.vpm = self.vision_class(config.vision_config, drop_last_layer=config.drop_vision_last_layer)
        self.resampler = self.build_resampler(config)

    def build_resampler(self, config: Any) -> Resampler:
        """The resampler; a head is 128 wide."""
        return self.resampler_class(
            num_queries=config.query_num,
            embed_dim=config.hidden_size,
            num_heads=config.hidden_size // 128,
            kv_dim=config.vision_config.hidden_size,
        )

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token embeddings."""
        return self.llm.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's token embeddings."""
        self.llm.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's head."""
        return self.llm.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's head."""
        self.llm.set_output_embeddings(value)

    def get_decoder(self) -> nn.Module:
        """The language model without its head."""
        return self.llm.get_decoder()

    @staticmethod
    def vision_context(tgt_sizes: Sequence[Size]) -> Any:
        """What the features of a slice depend on beside the slice: all slices of the conversation decide; here nothing.

        Args:
            tgt_sizes: (rows, cols) of every slice of a conversation.
        """
        return None

    def encode_vision(
        self,
        pixel_values: Sequence[Tensor],
        tgt_sizes: Sequence[Size],
        on_progress: ProgressHook | None = None,
        numbers: Tensor | None = None,
    ) -> Tensor:
        """Features of slices that belong together.

        Args:
            pixel_values: per slice (3, P, N*P), normalised, or bytes with `numbers`.
            tgt_sizes: per slice (rows, cols) with rows * cols = N.
            on_progress: called with slices done and in all; may raise to stop.
            numbers: float32 (3, 256), what bytes mean.

        Returns:
            (slices, query_num, hidden_size) in the dtype of the tower.
        """
        weight = self.vpm.embeddings.patch_embedding.weight

        def encode(indices: list[int]) -> Tensor:
            size = tgt_sizes[indices[0]]
            pixels = to_device([pixel_values[index] for index in indices], weight, numbers)
            positions = grid_position_ids(*size, self.config.vision_config.table_side).to(weight.device)
            return self.resampler(self.vpm(pixels, positions[None]), size)

        groups = list(group_by_size(tgt_sizes).values())
        return run_in_chunks(encode, groups, weight.device, on_progress)

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """Token ids (B, L) to (B, L, hidden_size)."""
        return self.get_input_embeddings()(input_ids)

    def get_inputs_embeds(
        self,
        input_ids: Tensor,
        pixel_values: Sequence[Sequence[Tensor]] | None = None,
        tgt_sizes: Sequence[Tensor] | None = None,
        image_bound: Sequence[Tensor] | None = None,
        vision_hidden_states: Sequence[Tensor] | None = None,
        on_progress: ProgressHook | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Text embeddings with the image features in their places.

        Args:
            input_ids: (B, L).
            pixel_values: per conversation a list of (3, P, N*P).
            tgt_sizes: per conversation int (slices, 2), (rows, cols) in patches.
            image_bound: per conversation int (slices, 2), half-open positions; surplus features are not used.
            vision_hidden_states: features made before, instead of `pixel_values`.

        Returns:
            (B, L, hidden_size) and per conversation (slices, query_num, hidden_size).

        Raises:
            RequestError: more positions than features.
        """
        embeds = self.embed_text(input_ids)
        if vision_hidden_states is None:
            vision_hidden_states = self._encode_batch(pixel_values or [], tgt_sizes or [], len(input_ids), on_progress)
        if image_bound is None:
            return embeds, list(vision_hidden_states)
        rows = [
            _put_features(row, features, bound)
            for row, features, bound in zip(embeds, vision_hidden_states, image_bound, strict=True)
        ]
        return torch.stack(rows), list(vision_hidden_states)

    def _encode_batch(
        self,
        pixel_values: Sequence[Sequence[Tensor]],
        tgt_sizes: Sequence[Tensor],
        batch_size: int,
        on_progress: ProgressHook | None,
    ) -> list[Tensor]:
        """Encode all slices of a batch, by conversation; empty tensors where there are none."""
        counts = [len(pixels) for pixels in pixel_values] or [0] * batch_size
        if not sum(counts):
            return [self.resampler.query.new_zeros(0, self.config.query_num, self.config.hidden_size) for _ in counts]
        sizes = [[(int(rows), int(cols)) for rows, cols in torch.as_tensor(tgt).tolist()] for tgt in tgt_sizes]
        return self.encode_conversations(pixel_values, sizes, on_progress)

    def encode_conversations(
        self,
        pixel_values: Sequence[Sequence[Tensor]],
        tgt_sizes: Sequence[Sequence[Size]],
        on_progress: ProgressHook | None = None,
        numbers: Tensor | None = None,
    ) -> list[Tensor]:
        """`encode_vision` of several conversations: (slices, query_num, hidden_size) each."""
        slices = [pixels for conversation in pixel_values for pixels in conversation]
        sizes = [size for conversation in tgt_sizes for size in conversation]
        features = self.encode_vision(slices, sizes, on_progress, numbers)
        return list(features.split([len(conversation) for conversation in pixel_values]))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Sequence[Sequence[Tensor]] | None = None,
        tgt_sizes: Sequence[Tensor] | None = None,
        image_bound: Sequence[Tensor] | None = None,
        vision_hidden_states: Sequence[Tensor] | None = None,
        image_sizes: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of a processed batch; see `get_inputs_embeds` for the vision arguments.

        Args:
            labels: int64 (B, L), -100 where there is no loss.
            image_sizes: part of a processed batch, not used here.

        Returns:
            `logits` (B, L or logits_to_keep, vocab_size), `past_key_values`, and `loss` if labels are given.
        """
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds, _ = self.get_inputs_embeds(
                input_ids, pixel_values, tgt_sizes, image_bound, vision_hidden_states
            )
        if position_ids is None and attention_mask is not None and past_key_values is None:
            position_ids = positions_of(attention_mask)
        return self.llm(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )


def positions_of(attention_mask: Tensor) -> Tensor:
    """Position ids of left-padded rows: (B, L), counted over the unmasked positions; 1 where masked."""
    return (attention_mask.long().cumsum(-1) - 1).masked_fill(attention_mask == 0, 1)


def _put_features(row: Tensor, features: Tensor, bound: Tensor) -> Tensor:
    """(L, D) with the features (slices, Q, D) written, in order, to the positions of `bound`."""
    if not len(bound):
        return row
    places = torch.cat([torch.arange(start, end) for start, end in bound.tolist()]).to(row.device)
    flat = features.flatten(0, 1)[: len(places)].to(row.device, row.dtype)
    if len(flat) < len(places):
        raise RequestError(Phrase("features_differ", places=len(places), features=len(flat)))
    return row.index_copy(0, places, flat)
