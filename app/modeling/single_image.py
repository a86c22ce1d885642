"""Prompts and pixels of the models that take one image per conversation: MiniCPM-V 1.0, 2.0, OmniLMM-12B."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from app.errors import RequestError
from app.media.slicing import SlicePlan
from app.modeling.image_processing import MiniCPMVImageProcessor
from app.modeling.layout import ImageLayout
from app.modeling.processing import MiniCPMVProcessor
from app.modeling.prompt import IMAGE_PLACEHOLDER
from app.texts import Phrase


@dataclass(frozen=True, slots=True)
class SingleImageLayout(ImageLayout):
    """How such a family writes its prompt.

    Attributes:
        needs_image: it answers nothing without an image.
        tag: what users may write into their text where the image shall be; None if the image is always in front.
    """

    needs_image: bool = False
    tag: str | None = None


class PictureProcessor(MiniCPMVImageProcessor):
    """Slices and normalises; the pixels stay pictures."""

    def arrange(self, piece: PILImage.Image) -> NDArray[np.uint8]:
        """(3, H, W), contiguous."""
        return np.ascontiguousarray(np.asarray(piece).transpose(2, 0, 1))


class SquarePictureProcessor(PictureProcessor):
    """Every image becomes one square of `scale_resolution` pixels a side, whatever its shape."""

    def plan(self, size: tuple[int, int], max_slice_nums: int | None = None) -> SlicePlan:
        """The one slice of an image; there is nothing to choose."""
        return SlicePlan((self.scale_resolution, self.scale_resolution), patch_size=self.patch_size)


class SingleImageProcessor(MiniCPMVProcessor):
    """Prompt and at most one image to the model's inputs; config.json alone says how."""

    layout: SingleImageLayout

    @classmethod
    def read_image_processor(cls, config: Any, checkpoint: Any, **hub: Any) -> MiniCPMVImageProcessor:
        """What the config's fields describe; these repositories have no preprocessor_config.json of their own."""
        return config.image_processor()

    @classmethod
    def read_tokenizer(cls, checkpoint: Any, **hub: Any) -> PreTrainedTokenizerBase:
        """The tokenizer of a folder or hub id."""
        return AutoTokenizer.from_pretrained(checkpoint, **hub)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write the tokenizer files; the model's config.json holds the rest."""
        return list(self.tokenizer.save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs))

    def render(self, turns: Sequence[Mapping[str, Any]], mark: str = "", add_generation_prompt: bool = True) -> str:
        """The chat template filled with a conversation, a placeholder in the place of its image.

        Raises:
            RequestError: a system prompt, more than one image, or none where one is needed.
        """
        if any(turn["role"] == "system" for turn in turns):
            raise RequestError(Phrase("system_not_taken"), Phrase("do_leave_out"))
        images = sum(isinstance(part, PILImage.Image) for turn in turns for part in turn["content"])
        if images > 1:
            raise RequestError(Phrase("images_one", images=images), Phrase("do_leave_others"))
        if self.layout.needs_image and not images:
            raise RequestError(Phrase("image_needed"), Phrase("do_add_image"))
        return super().render(turns, mark, add_generation_prompt)

    def _joined(self, parts: Sequence[Any], mark: str) -> str:
        """The image, then the texts, a line each; or the image where the text has the tag."""
        text = "\n".join(part for part in parts if isinstance(part, str))
        if not any(isinstance(part, PILImage.Image) for part in parts):
            return self.encoder.guard(text, mark)
        pieces = text.split(self.layout.tag) if self.layout.tag else [text]
        if len(pieces) > 2:
            raise RequestError(
                Phrase("tag_repeated", count=len(pieces) - 1, tag=self.layout.tag),
                Phrase("do_write_once"),
            )
        before = [self.encoder.guard(piece, mark) for piece in pieces]
        return f"{IMAGE_PLACEHOLDER}\n{before[0]}" if len(before) == 1 else IMAGE_PLACEHOLDER.join(before)
