"""The Python API of the models' pages, and questions from the terminal (`python chat.py --help`).

    from chat import MiniCPMVChat, img2base64

    model = MiniCPMVChat("openbmb/MiniCPM-V-2_6")
    msgs = [{"role": "user", "content": "What is in the image?"}]
    answer = model.chat({"image": img2base64("cat.jpg"), "question": json.dumps(msgs)})

Every model of the family takes the same calls.
"""

from __future__ import annotations

import base64
import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.ask import main
from app.chat_request import parse_request
from app.errors import ImageError, OptionError
from app.sampling import BASE, BY_NAME
from app.settings import Settings, parse_adapters
from app.texts import Phrase

__all__ = ["MiniCPMVChat", "OmniLMMChat", "img2base64"]

log = logging.getLogger(__name__)

# What `model.chat` gets from here, or what the input dict has no form for.
OWN = frozenset({"self", "image", "msgs", "tokenizer", "processor", "context", "vision_hidden_states", "stream"})
DECODING = frozenset({"num_beams", "temperature", "top_p", "top_k", "repetition_penalty"})


class MiniCPMVChat:
    """A model of the family, whichever it is, loaded and ready to be asked.

    Args:
        model_path: a folder, or a name on the hub; int4 checkpoints as well.
        device: "auto", "cuda", "cuda:N", "mps" or "cpu".
        dtype: "auto", "bf16", "fp16", "fp32", "int4" or "int8".
        multi_gpus: spread the model over all GPUs.
        adapters: folders of adapters: by name, or a list of "DIR" and "NAME=DIR". The first one answers unless a call
            says otherwise.
        settings: further fields of `Settings`, such as `source="modelscope"`.

    Attributes:
        model, tokenizer: what was loaded, for the calls that the models' pages document.

    Raises:
        AppError: the model, an adapter, the device or the dtype cannot be used.
    """

    def __init__(
        self,
        model_path: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        multi_gpus: bool = False,
        adapters: Mapping[str, str | Path] | Sequence[str | Path] = (),
        **settings: Any,
    ) -> None:
        # Checked first: what follows imports PyTorch, which takes seconds.
        settings |= {"multi_gpus": multi_gpus, "adapters": _folders(adapters)}
        chosen = Settings(model=str(model_path), device=str(device), dtype=dtype, **settings)
        from app.engine.library_chat import LibraryChat
        from app.engine.loader import load_model

        loaded = load_model(chosen, lambda fraction, detail: None)
        for note in loaded.notes:
            log.warning(note)
        self.model = loaded.model
        self.tokenizer = loaded.processor.tokenizer
        self._family = loaded.family
        self._adapters = loaded.adapters
        self._asked = self.model if hasattr(self.model, "chat") else LibraryChat(loaded)
        self._parameters = inspect.signature(self._asked.chat).parameters

    def chat(self, input: Mapping[str, Any]) -> str:
        """Answer a conversation.

        Args:
            input: "question": a JSON list of messages `{"role": "user" | "assistant", "content": ...}`, whose
                content is a text or a list of `{"type": "text", "pairs": str}` and
                `{"type": "image", "pairs": base64}`; "image": base64 of the picture in front of the first message,
                or a list of them, or absent; all other keys, and those of a dict "params", go to the model's
                `chat`, such as "sampling", "max_new_tokens", "temperature", "max_slice_nums". With adapters, "adapter"
                names the one that answers, or is "base" for none.

        Raises:
            RequestError: the messages are not of this form, or the model cannot take them.
            ImageError: an image is not base64 or no picture.
            OptionError: the model's `chat` takes no such key, or not this value, or there is no such adapter.
        """
        return _text(self._asked.chat(**self._arguments(input)))

    def stream(self, input: Mapping[str, Any]) -> Iterator[str]:
        """Answer a conversation in pieces as they are generated; closing the iterator ends the generation.

        A model whose `chat` cannot stream gives its answer in one piece. An answer has to end before one by another
        adapter begins.

        Args:
            input: as for `chat`; "sampling" must not be off.

        Raises:
            AppError: as for `chat`, before the first piece.
        """
        arguments = self._arguments(input)
        if "stream" not in self._parameters:
            return iter([_text(self._asked.chat(**arguments))])
        return filter(None, self._asked.chat(**arguments, stream=True))

    def _arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        request = parse_request(given)
        options = self._choose_adapter(request.options)
        image, messages = None, request.messages()
        if self._family.max_images == 1:
            image, messages = request.messages_of_one_image(self._family.name)
        return {"image": image, "msgs": messages, "tokenizer": self.tokenizer, **self._checked(options)}

    def _choose_adapter(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Switch to the adapter that the options name; returns the others."""
        if not self._adapters.names:
            return dict(options)
        name = options.get("adapter", self._adapters.names[0])
        self._adapters.use("" if name == BASE else name)
        return {key: value for key, value in options.items() if key != "adapter"}

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options, if the model's `chat` takes every one."""
        kinds = {parameter.kind for parameter in self._parameters.values()}
        known = set(self._parameters) - OWN - {"kwargs"}
        known |= DECODING if inspect.Parameter.VAR_KEYWORD in kinds else set()
        unknown = sorted(set(map(str, options)) - known)
        if unknown:
            raise OptionError(
                Phrase(
                    "options_not_taken",
                    name=self._family.name,
                    unknown=", ".join(unknown),
                    known=", ".join(sorted(known)),
                ),
                Phrase("do_question_image"),
            )
        if not isinstance(sampling := options.get("sampling", True), bool):
            raise OptionError(Phrase("sampling_type", sampling=sampling))
        return {name: BY_NAME[name].check(value) if name in BY_NAME else value for name, value in options.items()}


OmniLMMChat = MiniCPMVChat  # the name it had first


def img2base64(path: str | Path) -> str:
    """A picture's file as base64, for "image" and "pairs".

    Raises:
        ImageError: the file is missing, no picture, or broken.
    """
    from app.media.images import read_image

    file = Path(path)
    read_image(file)
    try:
        return base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as error:
        raise ImageError(Phrase("file_unread_why", strerror=error.strerror)) from None


def _folders(adapters: Mapping[str, str | Path] | Sequence[str | Path]) -> dict[str, str]:
    """Adapters as `Settings` takes them."""
    if isinstance(adapters, Mapping):
        return {name: str(folder) for name, folder in adapters.items()}
    return parse_adapters([str(adapters)] if isinstance(adapters, (str, Path)) else map(str, adapters))


def _text(answer: Any) -> str:
    """The answer alone; some members return it with a context and a generation config."""
    return answer[0] if isinstance(answer, tuple) else answer


if __name__ == "__main__":
    raise SystemExit(main())
