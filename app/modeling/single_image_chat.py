"""`model.chat` of the models that take one image per conversation: MiniCPM-V 1.0, 2.0 and OmniLMM-12B."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from app.modeling.chat import BEAM_SEARCH, SAMPLING, ChatMixin, checked, parsed
from app.modeling.image_processing import to_rgb


class SingleImageChatMixin(ChatMixin):
    """`model.chat` as these models' pages document it: the image beside the messages, their content a text."""

    def processed(self, image: Any, msgs: Any, tokenizer: Any, max_inp_length: int | None) -> tuple[Any, Any]:
        """The inputs of one conversation, and the processor that made them."""
        processor = self.get_processor(tokenizer)
        conversation = conversation_of(image, msgs)
        length = max_inp_length or self.chat_defaults.max_inp_length
        return processor.chat_inputs([conversation], max_length=length), processor

    def answer(
        self,
        image: Any,
        msgs: Any,
        tokenizer: Any,
        vision_hidden_states: Sequence[Tensor] | None,
        max_inp_length: int | None,
        **settings: Any,
    ) -> str:
        """The text of one answer."""
        inputs, processor = self.processed(image, msgs, tokenizer, max_inp_length)
        return self.generate(
            **inputs.to(self.device),  # type: ignore[attr-defined]
            tokenizer=tokenizer or processor.tokenizer,
            vision_hidden_states=vision_hidden_states,
            decode_text=True,
            **settings,
        )[0]


def conversation_of(image: Any, msgs: Sequence[Any]) -> list[dict[str, Any]]:
    """One conversation with list contents, the image, if given, in the first message.

    Raises:
        RequestError: see `checked`.
    """
    conversation = checked(msgs)
    if image is not None:
        conversation[0]["content"].insert(0, to_rgb(image))
    return conversation


class AnswerAndContextMixin(SingleImageChatMixin):
    """The `chat` of MiniCPM-V 1.0 and 2.0. Subclasses set what it assumes."""

    sampling_by_default: ClassVar[bool] = True
    sampling_settings: ClassVar[Mapping[str, Any]] = SAMPLING
    appends_to_msgs: ClassVar[bool] = False

    def chat(  # type: ignore[override]
        self,
        image: Any = None,
        msgs: Any = None,
        context: Any = None,
        tokenizer: Any = None,
        vision_hidden_states: Sequence[Tensor] | None = None,
        max_new_tokens: int | None = None,
        sampling: bool | None = None,
        max_inp_length: int | None = None,
        **kwargs: Any,
    ) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
        """Answer one conversation about one image.

        Args:
            image: a PIL image, which goes in front of the first message; None for text alone where the model can.
            msgs: `[{"role": "user" | "assistant", "content": str}, ...]`, or a JSON text of it; the first message is
                the user's. Every call passes all messages and the image again.
            context: not used; kept from the published signature.
            tokenizer: of this model; the model finds it if None.
            vision_hidden_states: image features made before, [(slices, query_num, hidden_size)].
            max_new_tokens: answer tokens at most; None takes the model's published default.
            sampling: sample, or else search with 3 beams; None takes the model's published default.
            max_inp_length: prompt tokens kept, from the start; None takes the published 2048.
            kwargs: override values of the decode type chosen; other names are ignored.

        Returns:
            The answer; the messages with the answer behind them; the decoding settings used.

        Raises:
            RequestError: a conversation of another form, or one that `max_inp_length` cuts inside its image.
        """
        turns = parsed(msgs)
        sampling = self.sampling_by_default if sampling is None else sampling
        settings: dict[str, Any] = dict(self.sampling_settings if sampling else BEAM_SEARCH)
        settings |= {name: value for name, value in kwargs.items() if name in settings}
        limit = max_new_tokens or self.chat_defaults.max_new_tokens
        answer = self.answer(
            image, turns, tokenizer, vision_hidden_states, max_inp_length, max_new_tokens=limit, **settings
        )
        history = turns if self.appends_to_msgs else copy.deepcopy(turns)
        history.append({"role": "assistant", "content": answer})
        return answer, history, settings
