"""Python that asks a turn again: with the model's own `chat`, and with the `openai` client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.backends.base import Capabilities
from app.messages import FrameChoice, Image, Message, Part, Text, Video
from app.sampling import SamplingParams
from app.talks.files import file_of, named_files, type_of
from app.turn import Turn


def asked(turns: Sequence[Turn]) -> list[Message]:
    """What the model was asked in the last turn: the turns before with their answers, and its question."""
    return [*(message for turn in turns[:-1] for message in turn.messages()), turns[-1].user]


def chat_code(turns: Sequence[Turn], capabilities: Capabilities, model: str) -> str:
    """Code that loads the model and asks the last turn.

    Args:
        model: a folder or a name on the hub.
    """
    params, names = turns[-1].params or SamplingParams(), named_files(turns)
    single = capabilities.max_images == 1
    clips = any(isinstance(part, Video) for turn in turns for part in turn.user.content)
    chosen = any(
        isinstance(part, Video) and part.choice != FrameChoice() for turn in turns for part in turn.user.content
    )
    pictures = any(isinstance(part, Image) for turn in turns for part in turn.user.content)
    image = next((_picture(path, names) for path in names), "None") if single else "None"
    lines = [
        "import app.modeling  # of this repository: the Auto classes know the models then",
        *(["from pathlib import Path", ""] if names else []),
        *(["from app.media.images import read_image"] if pictures else []),
        *(["from app.media.video import read_frames"] if clips else []),
        *(["from app.messages import FrameChoice"] if chosen else []),
        "import torch",
        "from transformers import AutoModel, AutoTokenizer",
        "",
        f'model = AutoModel.from_pretrained({model!r}, dtype="auto", device_map="auto").eval()',
        f"tokenizer = AutoTokenizer.from_pretrained({model!r})",
        *([f"# It was answered with the adapter {params.adapter!r}; see docs/adapters.md."] if params.adapter else []),
        "msgs = [",
        *(_chat_message(message, names, params, single) for message in asked(turns)),
        "]",
        *([f"torch.manual_seed({params.seed})"] if params.seed is not None else []),
        "answer = model.chat(",
        f"    image={image},",
        "    msgs=msgs,",
        "    tokenizer=tokenizer,",
        *(f"    {name}={value!r}," for name, value in _chat_options(params, capabilities, clips).items()),
        ")",
        "print(answer[0] if isinstance(answer, tuple) else answer)",
    ]
    return "\n".join(lines) + "\n"


def openai_code(turns: Sequence[Turn], capabilities: Capabilities, base_url: str) -> str:
    """Code that asks the last turn of a server started with --api."""
    params, names = turns[-1].params or SamplingParams(), named_files(turns)
    clips = [part for turn in turns for part in turn.user.content if isinstance(part, Video)]
    frames = {part.max_frames or params.max_frames for part in clips}
    chosen = len(frames) > 1 or any(part.choice != FrameChoice() for part in clips)
    model = repr(params.adapter) if params.adapter else "client.models.list().data[0].id"
    system = params.system_prompt.strip()
    lines = [
        *(["import base64", "from pathlib import Path", ""] if names else []),
        "from openai import OpenAI",
        "",
        *(["", "def data_url(file, kind):", *_DATA_URL, "", ""] if names else []),
        f'client = OpenAI(base_url={base_url!r}, api_key="none")  # a server started with --api',
        "messages = [",
        *([f'    {{"role": "system", "content": {system!r}}},'] if system else []),
        *(_api_message(message, names) for message in asked(turns)),
        "]",
        *([_FRAMES] if chosen else []),
        "answer = client.chat.completions.create(",
        f"    model={model},",
        "    messages=messages,",
        *(
            f"    {name}={value!r},"
            for name, value in _api_options(params, capabilities, max(frames, default=0)).items()
        ),
        ")",
        "print(answer.choices[0].message.content)",
    ]
    return "\n".join(lines) + "\n"


_FRAMES = "# The frames chosen of the clips are not repeated: the API takes one max_frames for all."
_DATA_URL = ('    return f"data:{kind};base64," + base64.b64encode(Path(file).read_bytes()).decode()',)


def _chat_message(message: Message, names: dict[Path, str], params: SamplingParams, single: bool) -> str:
    if single:
        content = repr(message.text)
    else:
        content = "[" + ", ".join(filter(None, (_chat_part(part, names, params) for part in message.content))) + "]"
    return f'    {{"role": "{message.role}", "content": {content}}},'


def _chat_part(part: Part, names: dict[Path, str], params: SamplingParams) -> str:
    if isinstance(part, Text):
        return repr(part.text)
    path = file_of(part)
    if path is None or path not in names:
        return ""
    if isinstance(part, Video):
        chosen = f", choice={part.choice!r}" if part.choice != FrameChoice() else ""
        return f"*read_frames(Path({names[path]!r}), {part.max_frames or params.max_frames}{chosen}).frames"
    return _picture(path, names)


def _picture(path: Path, names: dict[Path, str]) -> str:
    return f"read_image(Path({names[path]!r}))"


def _chat_options(params: SamplingParams, capabilities: Capabilities, clips: bool) -> dict[str, object]:
    options: dict[str, object] = {"max_new_tokens": params.max_new_tokens, "sampling": params.do_sample}
    chosen = ("temperature", "top_p", "top_k") if params.do_sample else ("num_beams",)
    options |= {name: getattr(params, name) for name in (*chosen, "repetition_penalty")}
    if capabilities.max_images != 1:
        options["max_slice_nums"] = params.max_slice_nums
    if clips:
        options["use_image_id"] = False
    if params.system_prompt.strip():
        options["system_prompt"] = params.system_prompt
    return {name: value for name, value in options.items() if name not in capabilities.hidden_options}


def _api_message(message: Message, names: dict[Path, str]) -> str:
    if all(isinstance(part, Text) for part in message.content):
        content = repr(message.text)
    else:
        content = "[" + ", ".join(filter(None, (_api_part(part, names) for part in message.content))) + "]"
    return f'    {{"role": "{message.role}", "content": {content}}},'


def _api_part(part: Part, names: dict[Path, str]) -> str:
    if isinstance(part, Text):
        return f'{{"type": "text", "text": {part.text!r}}}'
    path = file_of(part)
    if path is None or path not in names:
        return ""
    kind = "video_url" if isinstance(part, Video) else "image_url"
    return f'{{"type": "{kind}", "{kind}": {{"url": data_url({names[path]!r}, {type_of(path)[1]!r})}}}}'


def _api_options(params: SamplingParams, capabilities: Capabilities, frames: int) -> dict[str, object]:
    """Fields of the request.

    Args:
        frames: the most of one clip; 0 is no clip.
    """
    options: dict[str, object] = {"max_tokens": params.max_new_tokens}
    extra: dict[str, object] = {"repetition_penalty": params.repetition_penalty}
    if params.do_sample:
        options |= {"temperature": params.temperature, "top_p": params.top_p}
        options |= {"seed": params.seed} if params.seed is not None else {}
        extra["top_k"] = params.top_k
    elif params.num_beams > 1:
        extra["num_beams"] = params.num_beams
    else:
        options["temperature"] = 0
    media: dict[str, object] = {"max_slice_nums": params.max_slice_nums, "downsample_mode": params.downsample_mode}
    if frames:
        media["max_frames"] = frames
    template: dict[str, object] = {"enable_thinking": params.enable_thinking}
    for name, options_of in (("mm_processor_kwargs", media), ("chat_template_kwargs", template)):
        extra[name] = {k: v for k, v in options_of.items() if k not in capabilities.hidden_options}
    kept = {name: value for name, value in extra.items() if value != {} and name not in capabilities.hidden_options}
    return {**options, "extra_body": kept}
