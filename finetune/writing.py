"""A whole conversation as the model's own prompt code writes it, and where its answers are in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.families.base import Family
from app.modeling.image_processing import tgt_sizes_of, to_rgb
from app.modeling.processing import MiniCPMVProcessor
from app.modeling.runner import Turn, flat, has_video
from app.sampling import SamplingParams

IGNORED = -100


@dataclass(slots=True)
class Written:
    """A conversation as tokens.

    Attributes:
        ids: the prompt, its answers included, up to the end of the last one.
        labels: for each id what is to be said there, `IGNORED` where there is no loss.
        ends: for each answer its message's index and the position behind its end token.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)

    def add(self, ids: Sequence[int], labels: Sequence[int] | None = None) -> None:
        """Go on with some tokens; without labels there is no loss on them."""
        self.ids.extend(ids)
        self.labels.extend([IGNORED] * len(ids) if labels is None else labels)


class ConversationWriter:
    """Writes for the models whose classes are our own.

    The tokens up to an answer are those of inference. Only where a vocabulary would merge the last piece of an
    answer with what follows (none seen) an answer's own tokens are kept, as they were generated.

    Args:
        processor: of the model.
        family: of the model.
        params: the options of inference.
    """

    one_answer = False

    def __init__(self, processor: MiniCPMVProcessor, family: Family, params: SamplingParams) -> None:
        self.processor = processor
        self.params = params
        self.ends: list[int] = processor.tokenizer.convert_tokens_to_ids(list(family.terminators))
        self._vision_context = family.model_class.vision_context

    def stage(self, turns: Sequence[Turn]) -> tuple[Any, ...]:
        """What the pictures of a conversation decide about those before them: how they are written and encoded."""
        frames = has_video(turns)
        sizes = [size for plan in self._plans(turns) for size in plan.tgt_sizes]
        limit = min((limit for turn in turns for limit in turn.limits), default=0) if frames else 0
        return frames, limit, self._vision_context(sizes)

    def write(self, turns: Sequence[Turn], learn_from: int = 0) -> Written:
        """The tokens of a conversation that ends with an answer.

        Args:
            turns: a system message, if any, then the user's and the assistant's; pictures may be outlines.
            learn_from: answers before this index are context.

        Raises:
            RequestError: the model does not take such a conversation.
        """
        pieces, mark = self._pieces(turns)
        answers = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        written, text = Written(), pieces[0]
        written.add(self.processor.encoder.encode(text, mark))
        for index, answer, after in zip(answers, pieces[1::2], pieces[2::2], strict=True):
            said = self._next(written.ids, text, answer, mark)
            written.add(said, said if index >= learn_from else None)
            follow = self._next(written.ids, text + answer, after, mark)
            self._end(written, follow, index, learn_from, last=index == answers[-1])
            text += answer + after
        return written

    def vision(self, turns: Sequence[Turn], ids: Sequence[int]) -> dict[str, Any]:
        """The pictures of a conversation as the model takes them, beside its tokens."""
        pictures = [to_rgb(part) for turn in turns for part in flat(turn.content) if not isinstance(part, str)]
        plans = self._plans(turns)
        processor = self.processor.image_processor
        slices: list[Tensor] = []
        for picture, plan in zip(pictures, plans, strict=True):
            slices.extend(processor.slices_of(picture, plan))
        return {
            "pixel_values": slices,
            "tgt_sizes": tgt_sizes_of(plans),
            "image_bound": self.processor.bounds(ids),
        }

    def _plans(self, turns: Sequence[Turn]) -> list[Any]:
        pictures = [part for turn in turns for part in flat(turn.content) if not isinstance(part, str)]
        limits = [limit for turn in turns for limit in turn.limits]
        plan = self.processor.image_processor.plan
        return [plan(picture.size, limit) for picture, limit in zip(pictures, limits, strict=True)]

    def _pieces(self, turns: Sequence[Turn]) -> tuple[list[str], str]:
        """The prompt's text, cut at the beginning and end of each answer, and the guard in it."""
        texts = [part for turn in turns for part in turn.content if isinstance(part, str)]
        border = private_character(texts)

        def content(turn: Turn) -> list[Any]:
            if turn.role != "assistant":
                return flat(turn.content)
            return [border + answer_text(turn) + border]

        conversation = [{"role": turn.role, "content": content(turn)} for turn in turns]
        mark = self.processor.encoder.choose_mark(
            part for turn in conversation for part in turn["content"] if isinstance(part, str)
        )
        prompt = self.processor.render(conversation, mark, add_generation_prompt=False)
        text = self.processor.expand(prompt, self._plans(turns), False if has_video(turns) else None)
        return text.split(border), mark

    def _next(self, ids: list[int], text: str, piece: str, mark: str) -> list[int]:
        """The tokens of a piece behind a text that has the given tokens already."""
        encode, tokenizer = self.processor.encoder.encode, self.processor.tokenizer
        start = len(encode(""))
        # Text is tokenised apart on both sides of a special token, so what stands before the last picture's end is
        # left out: it is most of a prompt.
        at, token = max((text.rfind(token), token) for token in self.processor.layout.ends)
        if at >= 0:
            place = len(ids) - 1 - ids[::-1].index(tokenizer.convert_tokens_to_ids(token))
            text, ids = text[at:], ids[:start] + ids[place:]
        whole = encode(text + piece, mark)
        if whole[: len(ids)] == ids:
            return whole[len(ids) :]
        return encode(piece, mark)[start:]

    def _end(self, written: Written, follow: list[int], index: int, learn_from: int, last: bool) -> None:
        """Go on with what follows an answer, beginning with its end token.

        Some templates write no end token between turns. It is to be said there all the same, so it is the label of
        the first token that follows.
        """
        own = bool(follow) and follow[0] in self.ends
        if last:
            follow = follow[:1] if own else [self.ends[0]]
        labels = [IGNORED] * len(follow)
        if index >= learn_from:
            labels[0] = follow[0] if own or last else self.ends[0]
        written.add(follow, labels)
        written.ends.append((index, len(written.ids) - len(follow) + 1))


class NativeWriter:
    """Writes for the models that the library itself knows; their templates write older answers in another way.

    So there is one answer to learn per conversation, the last one.

    Args:
        processor, family, params: as for `ConversationWriter`.
    """

    one_answer = True

    def __init__(self, processor: Any, family: Family, params: SamplingParams) -> None:
        assert family.runner is not None
        self.runner = family.runner(None, processor, family)
        self.params = params
        self.ends: list[int] = self.runner.terminators()

    def stage(self, turns: Sequence[Turn]) -> tuple[Any, ...]:
        """Every answer is on its own."""
        return (len(turns),)

    def write(self, turns: Sequence[Turn], learn_from: int = 0) -> Written:
        """See `ConversationWriter.write`; of the tokens of the prompt only the number is right."""
        written = Written()
        written.add([0] * self.runner.count_tokens(turns[:-1], self.params, has_video(turns)))
        return self._answered(written, turns)

    def vision(self, turns: Sequence[Turn], ids: list[int]) -> dict[str, Any]:
        """The prompt and its pictures as the model takes them; fills in `ids`."""
        inputs = dict(self.runner.model_inputs(turns[:-1], self.params, has_video(turns)))
        prompt = inputs.pop("input_ids")[0].tolist()
        ids[: len(prompt)] = prompt
        kinds = inputs.pop("mm_token_type_ids")[0]
        inputs["mm_token_type_ids"] = torch.cat([kinds, kinds.new_zeros(len(ids) - len(prompt))])
        return {"native": inputs}

    def _answered(self, written: Written, turns: Sequence[Turn]) -> Written:
        encoder = self.runner.processor.encoder
        text = answer_text(turns[-1])
        mark = encoder.choose_mark([text])
        said = [*encoder.encode(encoder.guard(text, mark), mark), self.ends[0]]
        written.add(said, said)
        written.ends.append((len(turns) - 1, len(written.ids)))
        return written


def answer_text(turn: Turn) -> str:
    """What is to be said: the texts of an answer, a line each, without space around."""
    return "\n".join(part for part in turn.content if isinstance(part, str)).strip()


def private_character(texts: Iterable[str]) -> str:
    """A private-use character that none of the texts has."""
    used = {character for text in texts for character in text}
    return next(chr(code) for code in range(0xF8FF, 0xDFFF, -1) if chr(code) not in used)
