"""`model.chat` and `model.generate` as the models' pages document them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from app.errors import CheckpointError, RequestError
from app.modeling.generation import penalised, stream_text, trim_answer, unify_end
from app.modeling.processing import MiniCPMVProcessor
from app.texts import Phrase

SAMPLING = {"top_p": 0.8, "top_k": 100, "temperature": 0.7, "do_sample": True, "repetition_penalty": 1.05}
BEAM_SEARCH = {"num_beams": 3, "repetition_penalty": 1.2}


@dataclass(frozen=True, slots=True)
class ChatDefaults:
    """What `chat` assumes of a member.

    Attributes:
        terminators: tokens that end an answer.
        hidden: tokens left out of an answer's text.
        max_inp_length: prompt tokens kept.
        max_new_tokens: answer tokens at most.
        ignored: arguments that this member's published `chat` does not take.
        agreeing: fields that config.json and preprocessor_config.json must agree on, by their names in both.
    """

    terminators: tuple[str, ...]
    max_inp_length: int
    max_new_tokens: int
    hidden: tuple[str, ...] = ()
    ignored: frozenset[str] = frozenset()
    agreeing: Mapping[str, str] = field(default_factory=dict)


class ChatMixin:
    """Chat for a model with `config`, `llm` and `get_inputs_embeds`; subclasses set `chat_defaults`."""

    chat_defaults: ClassVar[ChatDefaults]

    @torch.inference_mode()
    def generate(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Sequence[Sequence[Tensor]] | None = None,
        tgt_sizes: Sequence[Tensor] | None = None,
        image_bound: Sequence[Tensor] | None = None,
        attention_mask: Tensor | None = None,
        tokenizer: Any = None,
        vision_hidden_states: Sequence[Tensor] | None = None,
        inputs_embeds: Tensor | None = None,
        image_sizes: Any = None,
        return_vision_hidden_states: bool = False,
        stream: bool = False,
        decode_text: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Generate from a processed batch.

        The prompt reaches the language model as embeddings, so penalties and length limits count new tokens only.

        Args:
            input_ids, attention_mask: (B, L), padded on the left.
            tokenizer: names the end tokens; needed for `stream` and `decode_text`, and else found by the model.
            inputs_embeds: (B, L, hidden_size), instead of `input_ids` and the vision arguments.
            return_vision_hidden_states: also return the image features, to pass in again.
            stream: return an iterator of text instead.
            decode_text: return a list of texts instead of ids.
            kwargs: as for `transformers.GenerationMixin.generate`.

        Returns:
            int64 (B, new tokens), texts, or an iterator, by the switches above.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise RequestError(Phrase("generate_nothing"), Phrase("do_pass_one"))
            inputs_embeds, vision_hidden_states = self.get_inputs_embeds(  # type: ignore[attr-defined]
                input_ids, pixel_values, tgt_sizes, image_bound, vision_hidden_states
            )
        if tokenizer is None and (stream or decode_text or "eos_token_id" not in kwargs):
            tokenizer = self.get_processor().tokenizer
        if "eos_token_id" not in kwargs:
            kwargs["eos_token_id"] = tokenizer.convert_tokens_to_ids(list(self.chat_defaults.terminators))
        kwargs = {"pad_token_id": 0, "use_cache": True} | kwargs
        if attention_mask is not None:
            kwargs["attention_mask"] = attention_mask
        if stream:
            return stream_text(
                lambda streamer: self._run_llm(inputs_embeds, kwargs | {"streamer": streamer}),
                tokenizer,
                self.chat_defaults.terminators,
            )
        output = self._run_llm(inputs_embeds, kwargs)
        if decode_text:
            output = self.decode_answers(output, tokenizer)
        return (output, vision_hidden_states) if return_vision_hidden_states else output

    @torch.inference_mode()
    def _run_llm(self, inputs_embeds: Tensor, kwargs: dict[str, Any]) -> Any:
        output = self.llm.generate(  # type: ignore[attr-defined]
            inputs_embeds=inputs_embeds, **penalised(dict(kwargs))
        )
        if kwargs.get("num_beams", 1) > 1:
            unify_end(getattr(output, "sequences", output), _as_list(kwargs["eos_token_id"]))
        return output

    def decode_answers(self, rows: Tensor, tokenizer: Any) -> list[str]:
        """Generated ids (B, N) to texts: special tokens kept but for the hidden ones, without surrounding space."""
        ends, hidden = (
            tokenizer.convert_tokens_to_ids(list(tokens))
            for tokens in (self.chat_defaults.terminators, self.chat_defaults.hidden)
        )
        answers = [trim_answer(row, ends, tokenizer.bos_token_id) for row in rows]
        return [tokenizer.decode([token for token in answer if token not in hidden]).strip() for answer in answers]

    def get_processor(self, tokenizer: Any = None) -> MiniCPMVProcessor:
        """The processor of the folder or hub id this model was loaded from, kept after the first call."""
        cached = self.__dict__.get("_processor")
        if cached is None or (tokenizer is not None and cached.tokenizer is not tokenizer):
            source = self.config._name_or_path  # type: ignore[attr-defined]
            cached = MiniCPMVProcessor.from_pretrained(source, tokenizer=tokenizer)
            self.__dict__["_processor"] = cached
        return cached

    def chat(
        self,
        image: Any = None,
        msgs: Any = None,
        tokenizer: Any = None,
        processor: MiniCPMVProcessor | None = None,
        vision_hidden_states: Sequence[Tensor] | None = None,
        max_new_tokens: int | None = None,
        min_new_tokens: int = 0,
        sampling: bool = True,
        max_inp_length: int | None = None,
        system_prompt: str = "",
        stream: bool = False,
        max_slice_nums: int | None = None,
        use_image_id: bool | None = None,
        **kwargs: Any,
    ) -> str | list[str] | Iterator[str]:
        """Answer a conversation, or several at once.

        Args:
            image: an image to put in front of the first message, if that is a string; None for a batch.
            msgs: `[{"role": "user" | "assistant", "content": str | [PIL image or str, ...]}, ...]`, a JSON text of
                it, or a list of such lists for a batch. The first message is the user's.
            tokenizer: of this model; the model finds it if None.
            processor: of this model; likewise.
            vision_hidden_states: image features made before, per conversation (slices, query_num, hidden_size).
            max_new_tokens: answer tokens at most; None takes the member's published default.
            min_new_tokens: answer tokens at least.
            sampling: sample (top_p 0.8, top_k 100, temperature 0.7, repetition_penalty 1.05), or else search with 3
                beams (repetition_penalty 1.2).
            max_inp_length: prompt tokens kept, from the start; None takes the member's published default.
            system_prompt: put in front as a system message if not empty.
            stream: yield the text in pieces; needs `sampling`.
            max_slice_nums: cells per image at most; None takes the configured number.
            use_image_id: number the images in the prompt; None takes the configured choice.
            kwargs: override the values named under `sampling`; other names are ignored.

        Returns:
            The answer; a list of answers for a batch; an iterator of pieces with `stream`.

        Raises:
            RequestError: a conversation of another form, or one that `max_inp_length` cuts inside an image.
            CheckpointError: config.json and preprocessor_config.json contradict each other.
        """
        if stream and not sampling:
            raise RequestError(Phrase("beams_stream"), Phrase("do_sampling_true"))
        conversations, batched = _conversations(image, msgs)
        processor = processor or self.get_processor(tokenizer)
        self._check_agreement(processor)
        options = self._without_ignored(
            min_new_tokens=min_new_tokens, max_slice_nums=max_slice_nums, use_image_id=use_image_id
        )
        inputs = processor.chat_inputs(
            [_with_system(turns, system_prompt) for turns in conversations],
            max_length=max_inp_length or self.chat_defaults.max_inp_length,
            max_slice_nums=options["max_slice_nums"],
            use_image_id=options["use_image_id"],
        )
        settings: dict[str, Any] = dict(SAMPLING if sampling else BEAM_SEARCH)
        if options["min_new_tokens"]:
            settings["min_new_tokens"] = options["min_new_tokens"]
        settings |= {name: value for name, value in kwargs.items() if name in settings}
        answer = self.generate(
            **inputs.to(self.device),  # type: ignore[attr-defined]
            tokenizer=tokenizer or processor.tokenizer,
            vision_hidden_states=vision_hidden_states,
            max_new_tokens=max_new_tokens or self.chat_defaults.max_new_tokens,
            stream=stream,
            decode_text=True,
            **settings,
        )
        return answer if stream or batched else answer[0]

    def _without_ignored(self, **options: Any) -> dict[str, Any]:
        """The options, those this member's `chat` does not take set to None, with a warning if they were used."""
        used = [name for name in sorted(self.chat_defaults.ignored) if options.get(name)]
        if used:
            warnings.warn(f"{', '.join(used)}: not an argument of this model's chat(); ignored.", stacklevel=3)
        return {name: None if name in self.chat_defaults.ignored else value for name, value in options.items()}

    def _check_agreement(self, processor: MiniCPMVProcessor) -> None:
        config, preprocessor = self.config, processor.image_processor  # type: ignore[attr-defined]
        for ours, theirs in self.chat_defaults.agreeing.items():
            got, other = getattr(config, ours), getattr(preprocessor, theirs)
            if got != other:
                raise CheckpointError(
                    Phrase("configs_differ", ours=ours, got=got, theirs=theirs, other=other),
                    Phrase("do_same_repository"),
                )


def _as_list(ids: int | Sequence[int]) -> list[int]:
    return [ids] if isinstance(ids, int) else list(ids)


def parsed(msgs: Any) -> Any:
    """`msgs` as a list.

    Raises:
        RequestError: it is empty, or a text that is not JSON.
    """
    if isinstance(msgs, str):
        try:
            msgs = json.loads(msgs)
        except json.JSONDecodeError as error:
            raise RequestError(Phrase("msgs_not_json", error=str(error)), Phrase("do_pass_list")) from None
    if not isinstance(msgs, (list, tuple)) or not msgs:
        raise RequestError(Phrase("msgs_empty"), Phrase("do_pass_list_user"))
    return msgs


def _conversations(image: Any, msgs: Any) -> tuple[list[list[dict[str, Any]]], bool]:
    """`msgs` as a list of conversations whose contents are lists, and whether it was a batch."""
    msgs = parsed(msgs)
    batched = isinstance(msgs[0], (list, tuple))
    if batched and image is not None:
        raise RequestError(Phrase("batch_image"), Phrase("do_image_content"))
    conversations = [checked(turns) for turns in (msgs if batched else [msgs])]
    if image is not None and not isinstance(msgs[0].get("content"), (list, tuple)):
        conversations[0][0]["content"].insert(0, image)
    return conversations, batched


def checked(turns: Sequence[Any]) -> list[dict[str, Any]]:
    """One conversation with list contents.

    Raises:
        RequestError: no message, an unknown role, or a first message that is not the user's.
    """
    conversation = []
    for index, turn in enumerate(turns):
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
        if role not in ("user", "assistant") or content is None:
            raise RequestError(
                Phrase("role_wrong_empty" if content is None else "role_wrong", number=index + 1, role=role),
                Phrase("do_message_form"),
            )
        conversation.append(
            {"role": role, "content": list(content) if isinstance(content, (list, tuple)) else [content]}
        )
    if not conversation or conversation[0]["role"] != "user":
        raise RequestError(Phrase("first_not_user"), Phrase("do_begin_user"))
    return conversation


def _with_system(turns: list[dict[str, Any]], system_prompt: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": [system_prompt]}, *turns] if system_prompt else turns
