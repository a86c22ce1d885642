"""Text that only looks like markup stays text.

A prompt is rendered to one string and tokenised as a whole, as the models were trained. So what a user typed as
`<image>`, `<|im_end|>` or an image placeholder would become the real thing. A guard, one private-use character
inside every such string, keeps it apart while the prompt is rendered, and is taken out when the real markup has
been found. Prompts without such strings take the ordinary way, so their ids are the tokenizer's own. Boxes and names
of objects (`GROUNDING`) are meant when they are written, by the user or in an answer of before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

IMAGE_PLACEHOLDER = "(<image>./</image>)"
# Names and places of objects: the models were trained on them in answers and questions, and they open nothing.
GROUNDING = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "<point>", "</point>")


def _alternatives(strings: Iterable[str]) -> str:
    """A pattern that matches the longest of the strings."""
    return "|".join(re.escape(string) for string in sorted(strings, key=len, reverse=True))


class PromptEncoder:
    """Guards user text and tokenises rendered prompts.

    Args:
        tokenizer: any tokenizer of the `tokenizers` library; see `SentencePieceEncoder` for the others.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self._special: dict[str, int] = dict(tokenizer.added_tokens_encoder)
        # A single character ("!" as padding) means itself anyway.
        guarded = [token for token in self._special if len(token) > 1 and token not in GROUNDING]
        self._markup = re.compile(_alternatives([*guarded, IMAGE_PLACEHOLDER]))
        self._plain: Tokenizer | None = None

    def choose_mark(self, texts: Iterable[str]) -> str:
        """The guard for these texts: a private-use character that none of them has, or "" if none needs a guard."""
        texts = list(texts)
        if not any(self._markup.search(text) for text in texts):
            return ""
        used = {character for text in texts for character in text}
        return next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in used)

    def guard(self, text: str, mark: str) -> str:
        """`text` with `mark` inside every string that would be taken for markup; unchanged if `mark` is ""."""
        # Guarding one string may leave another inside it (`<image>` in the placeholder), hence the loop.
        while mark and self._markup.search(text):
            text = self._markup.sub(lambda found: found[0][0] + mark + found[0][1:], text)
        return text

    def encode(self, prompt: str, mark: str = "") -> list[int]:
        """Token ids of a rendered prompt in which user text is guarded by `mark`."""
        if not mark:
            return self.tokenizer(prompt).input_ids
        ids: list[int] = []
        for piece in re.split(f"({_alternatives(self._special)})", prompt):
            if piece in self._special:
                ids.append(self._special[piece])
            elif piece:
                ids.extend(self._plain_ids(piece, mark))
        return self._post_process(ids)

    @property
    def markup(self) -> frozenset[int]:
        """Ids of all tokens that are no text."""
        return frozenset(self._special.values())

    def text(self, ids: Sequence[int]) -> str:
        """What a run of a prompt says, exactly, be it text or markup."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def _plain_ids(self, text: str, mark: str) -> list[int]:
        """Ids of guarded text, in which nothing is markup."""
        return self._plain_backend().encode(text.replace(mark, ""), add_special_tokens=False).ids

    def _plain_backend(self) -> Tokenizer:
        """A copy of the backend that sees no special tokens in text; a switch on the shared one would race."""
        if self._plain is None:
            plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
            plain.encode_special_tokens = True  # before another thread can use it
            self._plain = plain
        return self._plain

    def _post_process(self, ids: list[int]) -> list[int]:
        """Add what the vocabulary's post-processor puts around every text (often nothing)."""
        backend = self.tokenizer.backend_tokenizer
        if backend.num_special_tokens_to_add(is_pair=False) == 0:
            return ids
        bare = backend.encode("a", add_special_tokens=False).ids
        framed = backend.encode("a", add_special_tokens=True).ids
        start = next(at for at in range(len(framed)) if framed[at : at + len(bare)] == bare)
        return framed[:start] + ids + framed[start + len(bare) :]


class SentencePieceEncoder(PromptEncoder):
    """The same for a vocabulary of SentencePiece without a dummy prefix.

    Its markup is part of the vocabulary and found in any text, so guarded text is tokenised in the pieces between
    the guards.
    """

    def text(self, ids: Sequence[int]) -> str:
        """See `PromptEncoder.text`; the library strips a space at the beginning, so something stands in front of it."""
        if len(ids) == 1 and ids[0] in self.markup:
            return self.tokenizer.convert_ids_to_tokens(ids[0])
        front = self.tokenizer.sp_model.encode("a")
        return self.tokenizer.sp_model.decode([*front, *ids])[len(self.tokenizer.sp_model.decode(front)) :]

    def _plain_ids(self, text: str, mark: str) -> list[int]:
        return [token for part in text.split(mark) if part for token in self.tokenizer.sp_model.encode(part)]

    def _post_process(self, ids: list[int]) -> list[int]:
        return self.tokenizer.build_inputs_with_special_tokens(ids)
