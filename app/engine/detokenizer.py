"""Tokens to text while they come, so that the pieces together are the text of the whole answer."""

from __future__ import annotations

from typing import Any

# " n't" and " 've" are the longest strings that decoding may clean up.
LONGEST_CLEAN_UP = 4
# A character is at most four bytes; so many tokens without a whole one are bytes that never become one.
MAX_PENDING = 32


class StreamDecoder:
    """Decodes an answer token by token.

    Text is held back while it may still change: bytes of an unfinished character, a space that cleaning up may
    take away, and white space that may turn out to be the end, which is stripped as in `model.chat`.

    Args:
        tokenizer: special tokens are shown; its `clean_up_tokenization_spaces` is honoured.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._cleans_up = bool(tokenizer.clean_up_tokenization_spaces)
        self._ids: list[int] = []
        self._raw = ""
        self._spaces = ""
        self._started = False

    def push(self, token: int) -> str:
        """Take a token; returns the text that is now certain, often empty."""
        self._ids.append(token)
        text = self._decode()
        # The replacement character at the end is a character whose bytes are not all here yet.
        if text.endswith("\ufffd") and len(self._ids) < MAX_PENDING:
            return ""
        self._ids.clear()
        self._raw += text
        return self._strip(self._take_certain())

    def finish(self) -> str:
        """The rest of the text, once no token will follow."""
        text = self._raw + self._decode()
        self._ids.clear()
        self._raw = ""
        return self._strip(self._clean(text))

    def _decode(self) -> str:
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
        return kept
