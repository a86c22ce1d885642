"""The runner of the models whose classes are our own (`llm`, `get_inputs_embeds`, `chat_inputs`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, DynamicCache

from app.modeling.processing import MiniCPMVProcessor
from app.modeling.runner import Layout, Placed, ProgressHook, Prompt, Runner, Turn, flat, widen
from app.sampling import SamplingParams


class MiniCPMVRunner(Runner):
    """Videos are pictures like others; with one in the conversation, pictures are not numbered."""

    @classmethod
    def load(cls, folder: Path, model_class: type[Any], **arguments: Any) -> tuple[Any, Any]:
        """Strictly, by its own names; see `Runner.load`."""
        model = model_class.from_pretrained(folder, **arguments)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return model, MiniCPMVProcessor.from_pretrained(folder, tokenizer=tokenizer)

    @property
    def language_model(self) -> Any:
        """The decoder without its head."""
        return self.model.llm.get_decoder()

    @property
    def generating_model(self) -> Any:
        """See `Runner.generating_model`."""
        return self.model.llm

    def batched_model(self) -> Any:
        """See `Runner.batched_model`."""
        return self.model.llm

    def lay_out(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Layout:
        """See `Runner.lay_out`; with a video, pictures are not numbered."""
        conversation, limits = _arguments(turns, params)
        ids, plans = self.processor.lay_out(conversation, limits, use_image_id=False if video else params.use_image_id)
        context = self.model.vision_context([size for plan in plans for size in plan.tgt_sizes])
        spans = iter(self.processor.bounds(ids).tolist())
        pictures = [part for turn in conversation for part in turn["content"] if not isinstance(part, str)]
        placed = [
            Placed(
                picture,
                plan,
                tuple((start, end) for start, end in islice(spans, len(plan.tgt_sizes))),
                plan.grid,
                tuple(plan.tgt_sizes),
            )
            for picture, plan in zip(pictures, plans, strict=True)
        ]
        return Layout(ids, tuple(placed), treatment=(context, params.adapter), extra=context)

    def model_inputs(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Any:
        """`input_ids`, `attention_mask`, `pixel_values`, `tgt_sizes`, `image_bound`; see `Runner.model_inputs`."""
        conversation, limits = _arguments(turns, params)
        return self.processor.chat_inputs(
            [conversation], max_slice_nums=[limits], use_image_id=False if video else params.use_image_id
        )

    def embed(self, prompt: Prompt, on_progress: ProgressHook, start: int = 0) -> tuple[Tensor, int]:
        """Token embeddings with the image features in their places."""
        features, encoded = self.features_of(prompt, on_progress, start)
        shown = [one for one in prompt.placed if one.digest in features]
        ids = torch.tensor([prompt.ids], device=self.model.device)
        if not shown:
            return self.model.embed_text(ids), encoded
        embeds, _ = self.model.get_inputs_embeds(
            ids,
            image_bound=[torch.tensor([span for one in shown for span in one.spans])],
            vision_hidden_states=[torch.cat([features[one.digest] for one in shown])],
        )
        return embeds, encoded

    def encode(self, placed: Sequence[Placed], prompt: Prompt, on_progress: ProgressHook) -> list[Tensor]:
        """(slices, query_num, hidden_size) of each picture."""
        plans = [one.plan for one in placed]
        pixels = self.processor.bytes_of([one.picture for one in placed], plans)
        sizes = [size for plan in plans for size in plan.tgt_sizes]
        numbers = self.processor.image_processor.numbers
        (features,) = self.model.encode_conversations([pixels], [sizes], on_progress, numbers)
        return list(features.split([len(plan.tgt_sizes) for plan in plans]))

    def together(self, missing: list[Placed], prompt: Prompt) -> list[Placed]:
        """All pictures, where they change each other's features."""
        return missing if prompt.extra is None else list(prompt.placed)

    def generate(self, prompt: Prompt, embeds: Tensor, cache: DynamicCache, **options: Any) -> Tensor:
        """See `Runner.generate`."""
        widen(cache, options.get("num_beams", 1))
        return self.model.generate(inputs_embeds=embeds, tokenizer=self.tokenizer, past_key_values=cache, **options)


def _arguments(turns: Sequence[Turn], params: SamplingParams) -> tuple[list[dict[str, Any]], list[int]]:
    """The turns, behind the system prompt, as the processor takes them, and the slice limit of each picture."""
    system = [{"role": "system", "content": [params.system_prompt]}] if params.system_prompt else []
    conversation = [{"role": turn.role, "content": flat(turn.content)} for turn in turns]
    return system + conversation, [limit for turn in turns for limit in turn.limits]
