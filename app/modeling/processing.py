"""Prompt and images to the model's inputs: `input_ids`, `pixel_values`, `tgt_sizes`, `image_bound`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PILImage
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BatchFeature,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)
from transformers.utils import IMAGE_PROCESSOR_NAME

from app.errors import RequestError
from app.media.slicing import SlicePlan
from app.modeling.image_processing import MiniCPMVImageProcessor, as_batch, tgt_sizes_of, to_rgb
from app.modeling.layout import ImageLayout
from app.modeling.prompt import IMAGE_PLACEHOLDER, PromptEncoder
from app.modeling.tokenization import MiniCPMVTokenizerFast
from app.texts import Phrase


class MiniCPMVBatchFeature(BatchFeature):
    """A batch whose tensors may lie in nested lists, one per conversation and image."""

    def to(self, *args: Any, **kwargs: Any) -> MiniCPMVBatchFeature:
        """Move tensors to a device, and floating-point ones to a dtype, as `torch.Tensor.to` does."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                dtypes = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, torch.dtype)]
                if dtypes and not value.is_floating_point():
                    devices = [arg for arg in (*args, *kwargs.values()) if not isinstance(arg, torch.dtype)]
                    return value.to(*devices) if devices else value
                return value.to(*args, **kwargs)
            return [move(item) for item in value] if isinstance(value, list) else value

        self.data: dict[str, Any] = {key: move(value) for key, value in self.data.items()}
        return self


class MiniCPMVProcessor(ProcessorMixin):
    """Image processor and tokenizer together.

    Args:
        image_processor: slices and normalises.
        tokenizer: the model's tokenizer, or one made from the same files.
        layout: how the family writes images into a prompt.
    """

    def __init__(
        self,
        image_processor: MiniCPMVImageProcessor | None = None,
        tokenizer: PreTrainedTokenizerFast | None = None,
        layout: ImageLayout | None = None,
        chat_template: str | None = None,
    ) -> None:
        if image_processor is None or tokenizer is None or layout is None:
            raise TypeError("MiniCPMVProcessor needs image_processor, tokenizer and layout; use from_pretrained().")
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.layout = layout
        self.chat_template = chat_template or tokenizer.chat_template
        self.encoder: PromptEncoder = getattr(tokenizer, "encoder_class", PromptEncoder)(tokenizer)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> MiniCPMVProcessor:
        """The processor of a published folder or hub id: reads its preprocessor, tokenizer and model configs.

        Args:
            kwargs: hub options (`revision`, `cache_dir`, ...); `tokenizer` to use one that is loaded already.
        """
        tokenizer = kwargs.pop("tokenizer", None)
        hub = {key: value for key, value in kwargs.items() if key not in ("_from_auto", "trust_remote_code")}
        config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **hub)
        # A family that reads images in another way names its own class on its config.
        member: type[MiniCPMVProcessor] = getattr(config, "own_processor", cls)
        image_processor = member.read_image_processor(config, pretrained_model_name_or_path, **hub)
        tokenizer = tokenizer or member.read_tokenizer(pretrained_model_name_or_path, **hub)
        return member(image_processor, tokenizer, config.layout)

    @classmethod
    def read_tokenizer(cls, checkpoint: Any, **hub: Any) -> PreTrainedTokenizerBase:
        """The tokenizer of a folder or hub id, of our class whatever class its tokenizer_config.json names."""
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, **hub)
        if isinstance(tokenizer, MiniCPMVTokenizerFast):
            return tokenizer
        return MiniCPMVTokenizerFast.from_pretrained(checkpoint, **hub)

    @classmethod
    def read_image_processor(cls, config: Any, checkpoint: Any, **hub: Any) -> MiniCPMVImageProcessor:
        """The image processor of a folder or hub id; by the config where the folder has no file for it, as 2.5 in int4.

        Raises:
            OSError: a hub id, or a folder with a broken file.
        """
        folder = Path(str(checkpoint))
        if not folder.is_dir() or (folder / IMAGE_PROCESSOR_NAME).is_file():
            return MiniCPMVImageProcessor.from_pretrained(checkpoint, **hub)
        return MiniCPMVImageProcessor(
            max_slice_nums=(config.slice_config or {}).get("max_slice_nums", 9),
            scale_resolution=(config.slice_config or {}).get("scale_resolution", config.image_size),
            patch_size=config.vision_config.patch_size,
            image_feature_size=config.query_num,
            slice_mode=config.slice_mode,
            use_image_id=getattr(config, "use_image_id", False),
        )

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write `preprocessor_config.json` and the tokenizer files, as published repositories have them."""
        written = self.image_processor.save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)
        return [*written, *self.tokenizer.save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)]

    def to_dict(self) -> dict[str, Any]:
        """The image processor's fields; the tokenizer has its own files."""
        return self.image_processor.to_dict()

    @property
    def model_input_names(self) -> list[str]:
        """Keys of a processed batch that the model takes."""
        return ["input_ids", "attention_mask", "pixel_values", "tgt_sizes", "image_bound"]

    def image_text(self, plan: SlicePlan, index: int, use_image_id: bool | None = None) -> str:
        """The prompt text of the conversation's image number `index` (from 0)."""
        numbered = self.image_processor.use_image_id if use_image_id is None else use_image_id
        return self.layout.text(plan.grid, self.image_processor.image_feature_size, index if numbered else None)

    def expand(self, prompt: str, plans: Sequence[SlicePlan], use_image_id: bool | None = None) -> str:
        """A rendered prompt with every `(<image>./</image>)` replaced by the text of its image.

        Raises:
            RequestError: the prompt has another number of placeholders than there are images.
        """
        pieces = prompt.split(IMAGE_PLACEHOLDER)
        if len(pieces) - 1 != len(plans):
            raise RequestError(
                Phrase("placeholders_differ", count=len(pieces) - 1, placeholder=IMAGE_PLACEHOLDER, images=len(plans)),
                Phrase("do_one_placeholder"),
            )
        texts = [self.image_text(plan, index, use_image_id) for index, plan in enumerate(plans)]
        return pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:], strict=True))

    def bounds(self, ids: Sequence[int]) -> Tensor:
        """int64 (slices, 2): half-open positions of the features of each slice.

        Raises:
            RequestError: a slice is opened but not closed, because the prompt was cut inside it.
        """
        spans, closed = self.layout.bounds(ids, self.tokenizer.convert_tokens_to_ids)
        if not closed:
            raise RequestError(
                Phrase("prompt_cut_inside", count=len(ids)),
                Phrase("do_larger_input"),
            )
        return torch.tensor(spans, dtype=torch.int64).reshape(-1, 2)

    def __call__(
        self,
        text: str | Sequence[str] = "",
        images: Any = None,
        max_length: int | None = None,
        do_pad: bool = True,
        max_slice_nums: Any = None,
        use_image_id: bool | None = None,
        return_tensors: str | None = "pt",
        mark: str = "",
        **_: Any,
    ) -> MiniCPMVBatchFeature:
        """Process rendered prompts that hold one `(<image>./</image>)` per image.

        Args:
            text: one prompt or a batch of them.
            images: PIL images: one, a list for one prompt, or a list of lists for a batch.
            max_length: keep this many tokens of each prompt, the first ones.
            do_pad, return_tensors: accepted as documented; batches are always padded on the left, as tensors.
            max_slice_nums: for all images, or nested like `images` for each.
            use_image_id: number the images in the prompt; None takes the configured choice.
            mark: the guard in user text, see `PromptEncoder`.

        Returns:
            `input_ids`, `attention_mask`: int64 (B, L), padded on the left with id 0; `image_bound`: per
            conversation int64 (slices, 2); `pixel_values`, `tgt_sizes`, `image_sizes`: as the image processor's.

        Raises:
            RequestError: placeholders and images do not match, or `max_length` cuts inside an image.
        """
        prompts = [text] if isinstance(text, str) else list(text)
        batch = as_batch(images) if images is not None else [[] for _ in prompts]
        if len(batch) != len(prompts):
            raise RequestError(Phrase("prompts_differ", images=len(batch), prompts=len(prompts)))
        limits = _like(max_slice_nums, batch)
        data: dict[str, list[Any]] = {key: [] for key in ("pixel_values", "tgt_sizes", "image_sizes")}
        rows = []
        for prompt, conversation, limit in zip(prompts, batch, limits, strict=True):
            pictures = [to_rgb(image) for image in conversation]
            plans = [self.image_processor.plan(im.size, most) for im, most in zip(pictures, limit, strict=True)]
            rows.append(self.cut(self.encoder.encode(self.expand(prompt, plans, use_image_id), mark), max_length))
            data["pixel_values"].append(self.pixels_of(pictures, plans))
            data["tgt_sizes"].append(tgt_sizes_of(plans))
            data["image_sizes"].append([picture.size for picture in pictures])
        return MiniCPMVBatchFeature(data | self._padded(rows))

    def cut(self, ids: list[int], max_length: int | None) -> list[int]:
        """As many tokens of a prompt as are kept, the first ones; all if `max_length` is None."""
        return ids[:max_length]

    def chat_inputs(
        self, conversations: Sequence[Sequence[Mapping[str, Any]]], add_generation_prompt: bool = True, **options: Any
    ) -> MiniCPMVBatchFeature:
        """Render and process conversations; text is guarded against being read as markup.

        Args:
            conversations: each a list of `{"role": ..., "content": [PIL image or str, ...]}`, system first if any.
            add_generation_prompt: end with the opening of an answer.
            options: as for `__call__`.
        """
        texts = [part for turns in conversations for turn in turns for part in turn["content"] if isinstance(part, str)]
        mark = self.encoder.choose_mark(texts)
        prompts = [self.render(turns, mark, add_generation_prompt) for turns in conversations]
        images = [
            [part for turn in turns for part in turn["content"] if isinstance(part, PILImage.Image)]
            for turns in conversations
        ]
        return self(prompts, images, mark=mark, **options)

    def lay_out(
        self,
        turns: Sequence[Mapping[str, Any]],
        max_slice_nums: Sequence[int | None],
        use_image_id: bool | None = None,
    ) -> tuple[list[int], list[SlicePlan]]:
        """A conversation's prompt and the slices of its images, from the images' sizes alone.

        Returns:
            Token ids with places for the image features, and a plan per image.
        """
        mark = self.encoder.choose_mark(part for turn in turns for part in turn["content"] if isinstance(part, str))
        pictures = [part for turn in turns for part in turn["content"] if isinstance(part, PILImage.Image)]
        plans = [
            self.image_processor.plan(picture.size, limit)
            for picture, limit in zip(pictures, max_slice_nums, strict=True)
        ]
        return self.encoder.encode(self.expand(self.render(turns, mark), plans, use_image_id), mark), plans

    def pixels_of(self, pictures: Sequence[PILImage.Image], plans: Sequence[SlicePlan]) -> list[Tensor]:
        """The slices of images, one image after another, as the tower takes them."""
        pairs = zip(pictures, plans, strict=True)
        return [piece for picture, plan in pairs for piece in self.image_processor.slices_of(picture, plan)]

    def bytes_of(self, pictures: Sequence[PILImage.Image], plans: Sequence[SlicePlan]) -> list[Tensor]:
        """The same slices as bytes, of which `image_processor.numbers` says what they mean."""
        pairs = zip(pictures, plans, strict=True)
        return [piece for picture, plan in pairs for piece in self.image_processor.bytes_of(to_rgb(picture), plan)]

    def apply_chat_template(self, conversation: Any, chat_template: str | None = None, **kwargs: Any) -> Any:
        """The library's way to a prompt: messages whose content is a text or a list of parts.

        Args:
            conversation: messages, or a list of conversations; parts are PIL images, texts,
                `{"type": "image", "image": PIL image}` or `{"type": "text", "text": str}`.
            chat_template: must be None; the published template is used.
            kwargs: `tokenize` (default False), `add_generation_prompt` (default True), and the options of
                `__call__`.

        Returns:
            The prompt or prompts, or with `tokenize` a processed batch.
        """
        if chat_template is not None:
            raise RequestError(Phrase("template_not_taken"))
        batched = bool(conversation) and isinstance(conversation[0], (list, tuple))
        conversations = [
            [{"role": turn["role"], "content": _plain_parts(turn["content"])} for turn in turns]
            for turns in (conversation if batched else [conversation])
        ]
        for name in ("return_dict", "return_tensors"):
            kwargs.pop(name, None)
        prompt = kwargs.pop("add_generation_prompt", True)
        if kwargs.pop("tokenize", False):
            return self.chat_inputs(conversations, add_generation_prompt=prompt, **kwargs)
        rendered = [self.render(turns, add_generation_prompt=prompt) for turns in conversations]
        return rendered if batched else rendered[0]

    def render(self, turns: Sequence[Mapping[str, Any]], mark: str = "", add_generation_prompt: bool = True) -> str:
        """The chat template filled with a conversation, a placeholder in the place of each image."""
        messages = [{"role": turn["role"], "content": self._joined(turn["content"], mark)} for turn in turns]
        return self.tokenizer.apply_chat_template(
            messages,
            chat_template=self.layout.template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )

    def _joined(self, parts: Sequence[Any], mark: str) -> str:
        """The parts of one message, one per line; parts of other types are dropped, as in the official code."""
        lines = []
        for part in parts:
            if isinstance(part, PILImage.Image):
                lines.append(IMAGE_PLACEHOLDER)
            elif isinstance(part, str):
                lines.append(self.encoder.guard(part, mark))
        return "\n".join(lines)

    def _padded(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Left-padded ids, their mask and the shifted bounds."""
        length = max(len(row) for row in rows)
        input_ids = torch.zeros(len(rows), length, dtype=torch.int64)
        attention_mask = torch.zeros_like(input_ids)
        bounds = []
        for index, row in enumerate(rows):
            start = length - len(row)
            input_ids[index, start:] = torch.tensor(row)
            attention_mask[index, start:] = 1
            bounds.append(self.bounds(row) + start)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "image_bound": bounds}


def _plain_parts(content: Any) -> list[Any]:
    """A message's content as texts and images."""
    parts = [content] if isinstance(content, str) else list(content)
    return [part.get(part.get("type")) if isinstance(part, Mapping) else part for part in parts]


def _like(max_slice_nums: Any, batch: Sequence[Sequence[Any]]) -> list[list[int | None]]:
    """A slice limit for each image of the batch, from one for all or from a nested list."""
    if isinstance(max_slice_nums, (list, tuple)):
        return [list(limits) for limits in as_batch(list(max_slice_nums))]
    return [[max_slice_nums] * len(conversation) for conversation in batch]
