"""Tokens to text while they come, so that the pieces together are the text of the whole answer."""

from __future__ import annotations

import re
from typing import Any

# " n't" and " 've" are the longest strings that decoding may clean up.
LONGEST_CLEAN_UP = 4
# A character is at most four bytes; so many tokens without a whole one are bytes that never become one.
MAX_PENDING = 32


class StreamDecoder:
    """Decodes an answer token by token.

    Text is held back while it may still change: bytes of an unfinished character, a text that may yet get a space
    in front (see `_is_open`), a space that cleaning up may take away, and white space that may turn out to be the
    end, which is stripped as in `model.chat`. What was decoded last is decoded along as context, for some
    vocabularies decode the beginning of a text otherwise than its middle.

    Args:
        tokenizer: special tokens are shown; its `clean_up_tokenization_spaces` is honoured.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._cleans_up = bool(tokenizer.clean_up_tokenization_spaces)
        self._special = frozenset(tokenizer.all_special_ids) if getattr(tokenizer, "spaces_texts", False) else ()
        self._context: list[int] = []
        self._ids: list[int] = []
        self._raw = ""
        self._spaces = ""
        self._started = False
        self._out = 0

    @property
    def length(self) -> int:
        """Characters so far, those held back included, bytes of an unfinished character not."""
        held = self._spaces + self._clean(self._raw + self._decode().rstrip("\ufffd"))
        return self._out + len(held if self._started else held.lstrip())

    def push(self, token: int) -> str:
        """Take a token; returns the text that is now certain, often empty."""
        if token in self._special:
            return self._push_special(token)
        self._ids.append(token)
        waits = len(self._ids) < MAX_PENDING
        if waits and self._is_open(token):
            return ""
        text = self._decode()
        # The replacement character at the end is a character whose bytes are not all here yet.
        if waits and text.endswith("\ufffd"):
            return ""
        self._context, self._ids = self._ids, []
        self._raw += text
        return self._strip(self._take_certain())

    def _push_special(self, token: int) -> str:
        """Take a special token of a tokenizer that puts a space before each text between two of them."""
        gap = " " if self._ids and self._behind_special() else ""
        text = gap + self._decode() + self._tokenizer.decode([token])
        self._context, self._ids = [token], []
        self._raw += text
        return self._strip(self._take_certain())

    def _behind_special(self) -> bool:
        return self._context[-1:] != [] and self._context[-1] in self._special

    def finish(self) -> str:
        """The rest of the text, once no token will follow."""
        text = self._raw + self._decode()
        self._ids.clear()
        self._raw = ""
        return self._strip(self._clean(text))

    def _is_open(self, token: int) -> bool:
        """Whether the next token may change the text of those that are held back, whatever it is.

        A byte ("<0x0A>") decodes otherwise if an invalid one follows. Behind a special token, where the tokenizer
        says `spaces_texts`, a text gets a space in front if another special token follows it.
        """
        piece = self._tokenizer.convert_ids_to_tokens(token) or ""
        return self._behind_special() or re.fullmatch(r"<0x[0-9A-F]{2}>", piece) is not None

    def _decode(self) -> str:
        """The text of the tokens held back."""
        before, both = (
            self._tokenizer.decode(ids, clean_up_tokenization_spaces=False) if ids else ""
            for ids in (self._context, self._context + self._ids)
        )
        if both.startswith(before):
            return both[len(before) :]
        return self._tokenizer.decode(self._ids, clean_up_tokenization_spaces=False)

    def _take_certain(self) -> str:
        cut = len(self._raw)
        if self._cleans_up:
            space = self._raw.find(" ", max(0, cut - LONGEST_CLEAN_UP + 1))
            cut = cut if space < 0 else space
        text, self._raw = self._raw[:cut], self._raw[cut:]
        return self._clean(text)

    def _clean(self, text: str) -> str:
        return self._tokenizer.clean_up_tokenization(text) if self._cleans_up else text

    def _strip(self, text: str) -> str:
        """White space goes out only once something follows it."""
        if not self._started:
            text = text.lstrip()
            self._started = bool(text)
        text = self._spaces + text
        kept = text.rstrip()
        self._spaces = text[len(kept) :]
        self._out += len(kept)
        return kept
