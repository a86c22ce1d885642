"""The tokenizer of MiniCPM-V 1.0 and 2.0: its tokenizer.model through the SentencePiece library.

Conversion puts a space mark in front of every text, with which the models were not trained. So the tokenizer.json
that such a repository may hold is not read (reconstructed: that the published one has this fault).
"""

from __future__ import annotations

from typing import Any, ClassVar

from transformers.tokenization_utils_sentencepiece import SPIECE_UNDERLINE, SentencePieceBackend

from app.errors import CheckpointError
from app.modeling.prompt import SentencePieceEncoder
from app.modeling.tokenization import SliceMarks
from app.texts import Phrase


class LlamaTokenizerWrapper(SliceMarks, SentencePieceBackend):
    """Named as the published tokenizer_config.json names it.

    Attributes:
        encoder_class: tokenises rendered prompts.
        spaces_texts: decoding puts a space in front of the text before a special token, as the models' release did.

    Raises:
        CheckpointError: there is no tokenizer.model.
    """

    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]
    encoder_class = SentencePieceEncoder
    spaces_texts = True

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("tokenizer_file", None)
        if not kwargs.get("vocab_file"):
            raise CheckpointError(Phrase("tokenizer_missing"), Phrase("do_take_published"))
        super().__init__(**({"special_tokens_pattern": "bos", "legacy": True} | kwargs))

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Pieces to text; special tokens are not SentencePiece's."""
        if tokens and tokens[0].startswith(SPIECE_UNDERLINE):
            tokens = [tokens[0][1:], *tokens[1:]]
        special = set(self.all_special_tokens)
        text, pieces = "", []
        for index, token in enumerate(tokens):
            if token not in special:
                pieces.append(token)
                continue
            # Before each text that a special token follows, and not before the first special token of all.
            text += " " if index and tokens[index - 1] not in special else ""
            text += self.sp_model.decode(pieces) + token
            pieces = []
        return text + self.sp_model.decode(pieces)
