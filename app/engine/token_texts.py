"""The bytes that single tokens stand for."""

from __future__ import annotations

import re
from typing import Any

from tokenizers.decoders import ByteLevel
from transformers.convert_slow_tokenizer import bytes_to_unicode

SPACE_MARK = "\u2581"


class TokenTexts:
    """Tells the bytes of a token, which may be a part of a character.

    Decoding does not: it gives a replacement character for such a part, and drops the space in front of a first word.

    Args:
        tokenizer: with byte-level or SentencePiece pieces.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._count = len(tokenizer)
        self._added = frozenset(tokenizer.added_tokens_decoder)
        decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
        byte_level = isinstance(decoder, ByteLevel)
        self._bytes = {shown: byte for byte, shown in bytes_to_unicode().items()} if byte_level else None

    def bytes_of(self, token: int) -> bytes:
        """Its bytes; none for an id that only fills the model's table up."""
        piece = self._tokenizer.convert_ids_to_tokens(token) if token < self._count else None
        if piece is None:
            return b""
        if token in self._added:
            return str(piece).encode()
        if self._bytes is not None:
            return bytes(self._bytes[shown] for shown in piece)
        if re.fullmatch(r"<0x[0-9A-F]{2}>", piece):
            return bytes([int(piece[3:5], 16)])
        return str(piece).replace(SPACE_MARK, " ").encode()
