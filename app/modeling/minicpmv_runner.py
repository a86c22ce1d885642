"""The runner of the models whose classes are our own (`llm`, `get_inputs_embeds`, `chat_inputs`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer, DynamicCache

from app.modeling.processing import MiniCPMVProcessor
from app.modeling.runner import ProgressHook, Prompt, Runner, Turn, flat, widen
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

    def count_tokens(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> int:
        """See `Runner.count_tokens`; with a video, pictures are not numbered."""
        return self.processor.count_tokens(*_arguments(turns, params), use_image_id=False if video else None)

    def prepare(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Prompt:
        """See `Runner.prepare`."""
        conversation, limits = _arguments(turns, params)
        inputs = self.processor.chat_inputs(
            [conversation], max_slice_nums=[limits], use_image_id=False if video else None
        )
        vision_tokens = sum(int((bound[:, 1] - bound[:, 0]).sum()) for bound in inputs["image_bound"])
        return Prompt(inputs, inputs["input_ids"].shape[1], vision_tokens)

    def embed(self, prompt: Prompt, on_progress: ProgressHook) -> Tensor:
        """Token embeddings with the image features in their places."""
        batch = prompt.inputs.to(self.model.device)
        embeds, _ = self.model.get_inputs_embeds(
            batch["input_ids"],
            batch["pixel_values"],
            batch["tgt_sizes"],
            batch["image_bound"],
            on_progress=on_progress,
        )
        return embeds

    def generate(self, prompt: Prompt, embeds: Tensor, cache: DynamicCache, **options: Any) -> Tensor:
        """See `Runner.generate`."""
        widen(cache, options.get("num_beams", 1))
        past = cache if cache.get_seq_length() else None
        return self.model.generate(inputs_embeds=embeds, tokenizer=self.tokenizer, past_key_values=past, **options)


def _arguments(turns: Sequence[Turn], params: SamplingParams) -> tuple[list[dict[str, Any]], list[int]]:
    """The turns, behind the system prompt, as the processor takes them, and the slice limit of each picture."""
    system = [{"role": "system", "content": [params.system_prompt]}] if params.system_prompt else []
    conversation = [{"role": turn.role, "content": flat(turn.content)} for turn in turns]
    return system + conversation, [limit for turn in turns for limit in turn.limits]
