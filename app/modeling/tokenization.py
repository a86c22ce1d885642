"""The tokenizer of MiniCPM-V: the published tokenizer.json, decoded as its tokenizer_config.json says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedTokenizerFast


class SliceMarks:
    """Ids of the tokens around image features, under the names the models' pages use."""

    convert_tokens_to_ids: Callable[[str], int]

    @property
    def im_start_id(self) -> int:
        """Id of `<image>`, which opens the overview of an image."""
        return self.convert_tokens_to_ids("<image>")

    @property
    def im_end_id(self) -> int:
        """Id of `</image>`."""
        return self.convert_tokens_to_ids("</image>")

    @property
    def slice_start_id(self) -> int:
        """Id of `<slice>`, which opens a cell (or, in 2.5, the grid of cells)."""
        return self.convert_tokens_to_ids("<slice>")

    @property
    def slice_end_id(self) -> int:
        """Id of `</slice>`."""
        return self.convert_tokens_to_ids("</slice>")


class MiniCPMVTokenizerFast(SliceMarks, PreTrainedTokenizerFast):
    """A fast tokenizer that honours `clean_up_tokenization_spaces`.

    The library ignores that setting for BPE vocabularies; MiniCPM-Llama3-V 2.5 asks for it ("stop ." -> "stop.").
    """

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> str:
        clean_up = clean_up_tokenization_spaces
        if clean_up is None:
            clean_up = self.clean_up_tokenization_spaces
        kwargs |= {"skip_special_tokens": skip_special_tokens, "clean_up_tokenization_spaces": False}
        text = super()._decode(token_ids, **kwargs)
        return self.clean_up_tokenization(text) if clean_up else text
