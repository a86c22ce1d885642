"""The runner of the models that the library itself knows, with its own model classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL.Image import Image as PILImage
from torch import Tensor
from transformers import DynamicCache

from app.errors import CheckpointError
from app.modeling.generation import penalised
from app.modeling.native_processing import Processor46, Processor47, bytes_of, media_of, numbers_of, split_options
from app.modeling.pixels import to_device
from app.modeling.runner import Layout, Placed, ProgressHook, Prompt, Runner, Turn, widen
from app.sampling import SamplingParams
from app.texts import Phrase, listed

CROPS_AT_ONCE = 8
THINKING = ("<think>", "</think>")
# What a checkpoint may hold beyond the model: a head that guesses several tokens at once, which is not used here.
UNUSED_WEIGHTS = "mtp."


@dataclass(frozen=True, slots=True)
class Kind:
    """How a picture is cut: as an image (0) or as a frame (1), with the options of the image processor."""

    frames: int
    options: Mapping[str, Any]


class NativeRunner(Runner):
    """Pictures are encoded a few at a time, so that there is progress and a place to stop.

    The prompt reaches the language model as embeddings, so penalties count new tokens only, as for the other models.
    """

    processor_class: ClassVar[type[Any]] = Processor46

    @classmethod
    def load(cls, folder: Path, model_class: type[Any], **arguments: Any) -> tuple[Any, Any]:
        """Strictly, and with the token ids of config.json compared with the tokenizer's; see `Runner.load`."""
        model, info = model_class.from_pretrained(folder, output_loading_info=True, **arguments)
        check_weights(info)
        processor = cls.processor_class.read(folder)
        check_tokens(model.config, processor)
        return model.eval(), processor

    @property
    def language_model(self) -> Any:
        """The decoder without its head."""
        return self.model.get_decoder()

    @property
    def generating_model(self) -> Any:
        """See `Runner.generating_model`."""
        return self.model

    def lay_out(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Layout:
        """See `Runner.lay_out`; with a video, images are not numbered."""
        turns = _with_system(turns, params)
        options = self._options(turns, params, video)
        ids, data = self.processor.lay_out(turns, **options)
        images, videos = media_of(turns)
        of_images, of_frames = (Kind(frames, some) for frames, some in enumerate(split_options(options)))
        runs = [runs_of(ids, token) for token in (self.processor.image_token_id, self.processor.video_token_id)]
        frames = list(chain.from_iterable(videos))
        placed = [*_placed(images, of_images, data, "", runs[0]), *_placed(frames, of_frames, data, "_videos", runs[1])]
        sizes = {name: data[name] for name in ("target_sizes", "target_sizes_videos") if len(data[name])}
        extra = sizes | {"downsample_mode": params.downsample_mode}
        return Layout(ids, tuple(placed), self._ends_thinking(ids), (params.adapter,), extra)

    def model_inputs(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Any:
        """`input_ids`, `mm_token_type_ids`, pixels and sizes, `downsample_mode`; see `Runner.model_inputs`."""
        turns = _with_system(turns, params)
        inputs = self.processor.chat_inputs(turns, **self._options(turns, params, video))
        inputs["downsample_mode"] = params.downsample_mode
        return inputs

    def _options(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> dict[str, Any]:
        limits = [limit for turn in turns for limit in turn.limits]
        default = self.processor.default_use_image_id
        return {
            "enable_thinking": params.enable_thinking,
            "use_image_id": not video and (default if params.use_image_id is None else params.use_image_id),
            "max_slice_nums": params.max_slice_nums,
            # Frames are never cut finer than images, so theirs is the smaller of the two limits in a conversation.
            "frame_slice_nums": min(limits, default=params.max_slice_nums),
            "downsample_mode": params.downsample_mode,
        }

    @property
    def thinking_marks(self) -> tuple[int, int] | None:
        """See `Runner.thinking_marks`."""
        opening, closing = (self.tokenizer.get_vocab().get(mark) for mark in THINKING)
        return None if opening is None or closing is None else (opening, closing)

    def _ends_thinking(self, ids: Sequence[int]) -> bool:
        """Whether the prompt opens the model's thinking and leaves it open."""
        marks = self.thinking_marks
        last = next((token for token in reversed(ids) if marks and token in marks), None)
        return marks is not None and last == marks[0]

    def embed(self, prompt: Prompt, on_progress: ProgressHook, start: int = 0) -> tuple[Tensor, int]:
        """Token embeddings with the features in their places."""
        features, encoded = self.features_of(prompt, on_progress, start)
        embeds = self.model.get_input_embeddings()(torch.tensor([prompt.ids], device=self.model.device)).clone()
        for one in prompt.placed:
            if one.digest in features:
                places = torch.cat([torch.arange(*span) for span in one.spans]).to(embeds.device)
                embeds[0].index_copy_(0, places, features[one.digest].to(embeds))
        self._set_positions(prompt)
        return embeds, encoded

    def encode(self, placed: Sequence[Placed], prompt: Prompt, on_progress: ProgressHook) -> list[Tensor]:
        """(features, hidden_size) of each picture, a few crops encoded at a time."""
        total, done = sum(len(one.spans) for one in placed), 0
        mode = prompt.extra["downsample_mode"]
        tower_weight = next(self.model.model.vision_tower.parameters())
        encoded: list[Tensor] = []
        for kind, some in groupby(placed, lambda one: one.plan):
            group = list(some)
            owner = self.processor.video_processor if kind.frames else self.processor
            processor = owner.image_processor
            data = bytes_of(processor, [one.picture for one in group], kind.options)
            numbers = numbers_of(processor)
            crops: list[Tensor] = []
            for pixels, sizes in _chunks(data["pixel_values"], data["target_sizes"]):
                on_progress(done, total)
                numbered, sizes = to_device([pixels[0]], tower_weight, numbers), sizes.to(tower_weight.device)
                crops.extend(self.model.get_image_features(numbered, sizes, downsample_mode=mode).pooler_output)
                done += len(sizes)
            left = iter(crops)
            encoded.extend(torch.cat(list(islice(left, len(one.spans)))) for one in group)
        on_progress(done, total)
        return encoded

    def _set_positions(self, prompt: Prompt) -> None:
        """Positions of the prompt; one dimension is the language model's own counting, so there is nothing to do."""

    def generate(self, prompt: Prompt, embeds: Tensor, cache: DynamicCache, **options: Any) -> Tensor:
        """See `Runner.generate`."""
        # All but the last token: the library counts positions after a cache, and there only text may follow.
        self.prefill(prompt, embeds, cache.get_seq_length(), embeds.shape[1] - 1, cache)
        widen(cache, options.get("num_beams", 1))
        options = {"eos_token_id": self.terminators(), "pad_token_id": 0} | options
        # A value in the checkpoint's generation_config.json would count too, or again.
        options = penalised(options) | {"repetition_penalty": 1.0}
        return self.model.generate(inputs_embeds=embeds, past_key_values=cache, **options)


class CanvasRunner(NativeRunner):
    """With positions in three dimensions, laid out on a canvas per picture."""

    processor_class = Processor47
    positions: Tensor

    def _set_positions(self, prompt: Prompt) -> None:
        """All positions of the prompt at once, from its ids, and in the model how far the answer's are shifted."""
        inputs = self.processor.batch(prompt.ids, prompt.extra).to(self.model.device)
        canvas, shift = self.model.model.get_rope_index(**inputs)
        text = torch.arange(prompt.tokens, device=canvas.device).expand(1, 1, -1)
        self.positions = torch.cat([text, canvas])  # (4, 1, L): text, time, row, column
        # The library keeps it there between the steps of an answer; a text without pictures has none of its own.
        self.model.model.rope_deltas = shift

    def prefill(self, prompt: Prompt, embeds: Tensor, start: int, stop: int, cache: DynamicCache) -> None:
        """See `Runner.prefill`."""
        self.language_model(
            inputs_embeds=embeds[:, start:stop],
            position_ids=self.positions[..., start:stop],
            past_key_values=cache,
            use_cache=True,
        )


def _with_system(turns: Sequence[Turn], params: SamplingParams) -> list[Turn]:
    """The turns behind the system prompt, if there is one."""
    system = [Turn("system", (params.system_prompt,))] if params.system_prompt else []
    return [*system, *turns]


def runs_of(ids: Sequence[int], token: int) -> Iterator[tuple[int, int]]:
    """Half-open positions of each run of a token."""
    places = np.flatnonzero(np.asarray(ids) == token)
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []
    return iter([(int(run[0]), int(run[-1]) + 1) for run in runs])


def _placed(
    pictures: Sequence[PILImage], kind: Kind, data: Mapping[str, Any], suffix: str, runs: Iterator[tuple[int, int]]
) -> Iterator[Placed]:
    """Pictures of one kind with the positions of their slices.

    Args:
        data: as `processor.lay_out` returns it. suffix: of the kind's names in it.
    """
    counts = data["num_patches_per_frame" if kind.frames else "num_patches_per_image"]
    sizes = iter(data[f"target_sizes{suffix}"].tolist())
    grids = torch.as_tensor(data[f"grids{suffix}"]).tolist()
    for picture, count, (rows, columns) in zip(pictures, counts, grids, strict=True):
        cells = tuple((height, width) for height, width in islice(sizes, count))
        yield Placed(picture, kind, tuple(islice(runs, count)), (columns, rows) if rows * columns else None, cells)


def _chunks(pixels: Tensor, sizes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops packed in one row, a few at a time.

    Args:
        pixels: (1, 3, P, N*P) with the N patches of all crops.
        sizes: int (crops, 2), rows and columns of patches.
    """
    widths = (sizes.prod(-1) * pixels.shape[2]).split(CROPS_AT_ONCE)
    pieces = pixels.split([int(width.sum()) for width in widths], dim=-1)
    return zip(pieces, sizes.split(CROPS_AT_ONCE), strict=True)


def check_weights(info: dict[str, Any]) -> None:
    """Raise a CheckpointError if weights are missing, of another shape or left over."""
    left = [key for key in info.get("unexpected_keys") or () if not str(key).startswith(UNUSED_WEIGHTS)]
    found = {
        "keys_missing": info.get("missing_keys"),
        "keys_shape": info.get("mismatched_keys"),
        "keys_unexpected": left,
    }
    parts = [
        Phrase(kind, count=len(keys), names=", ".join(sorted(map(str, keys))[:5]))
        for kind, keys in found.items()
        if keys
    ]
    if parts:
        raise CheckpointError(
            Phrase("weights_unfit", parts=listed(parts, "list_semicolon")),
            Phrase("do_check_complete"),
        )


# Fields of config.json that hold token ids, and what the processor calls the tokens.
CONFIG_TOKENS: dict[str, str] = {
    "image_token_id": "image_token",
    "video_token_id": "video_token",
    "image_start_id": "image_start_token",
    "image_end_id": "image_end_token",
    "slice_start_id": "slice_start_token",
    "slice_end_id": "slice_end_token",
}


# Not used here, so a config.json need not give them.
OPTIONAL_TOKENS = ("image_token_id", "video_token_id")


def check_tokens(config: Any, processor: Any) -> None:
    """Raise a CheckpointError if a token id in config.json is not the tokenizer's."""
    tokenizer = processor.tokenizer
    wanted = {
        field: (token, [tokenizer.convert_tokens_to_ids(token)])
        for field, name in CONFIG_TOKENS.items()
        for token in [getattr(processor, name)]
    }
    wanted["newline_id"] = ("a line break", tokenizer("\n", add_special_tokens=False).input_ids)
    for field, (token, ids) in wanted.items():
        got = getattr(config, field, None)
        absent = not hasattr(config, field) or (got is None and field in OPTIONAL_TOKENS)
        if not absent and [got] != ids:
            raise CheckpointError(
                Phrase("token_differs", field=field, got=got, token=token, ids=ids),
                Phrase("do_same_repository"),
            )
