"""Python that asks a turn again: with the model's own `chat`, and with the `openai` client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.backends.base import Capabilities
from app.messages import FrameChoice, Image, Message, Part, Text, Video
from app.sampling import SamplingParams
from app.talks.files import file_of, named_files, type_of
from app.turn import Turn

ALONE = "# Run this in the project's folder."
PROJECT = Path(__file__).resolve().parents[2]
WITH_FILES = "# Export the conversation as .zip, unpack it in the project's folder, and run this there."

PER_FRAME = "per_frame = 2 if frames <= 16 else 1  # slices, as on the page"

_DATA_URL = (
    "",
    "def data_url(kind, data):",
    '    return f"data:{kind};base64," + base64.b64encode(data).decode()',
    "",
    "",
)
_CUTTING_IMPORTS = (
    "from app.media.video import read_frames",
    "from app.messages import FrameChoice",
    "from app.remote.media import write_clip",
    "",
)
_CUTTING = (
    "def cut(file, max_frames, choice):  # the API looks at a whole clip, so the frames chosen become one of their own",
    "    return write_clip(read_frames(file, max_frames, choice=choice).frames)",
    "",
    "",
)


def asked(turns: Sequence[Turn]) -> list[Message]:
    """What the model was asked in the last turn: the turns before with their answers, and its question."""
    return [*(message for turn in turns[:-1] for message in turn.messages()), turns[-1].user]


def chat_code(turns: Sequence[Turn], capabilities: Capabilities, model: str) -> str:
    """Code that loads the model and asks the last turn.

    Args:
        model: a folder or a name on the hub; a folder of the project is named as it is there.
    """
    model = _in_project(model)
    params, names = turns[-1].params or SamplingParams(), named_files(turns)
    single = capabilities.max_images == 1
    parts = [part for message in asked(turns) for part in message.content if file_of(part) in names]
    clips = [part for part in parts if isinstance(part, Video)]
    frames = {clip: f"clip_{number}" for number, clip in enumerate(dict.fromkeys(clips), 1)}
    chosen = any(clip.choice != FrameChoice() for clip in clips)
    pictures = [path for part in parts if isinstance(part, Image) and (path := file_of(part))]
    image = _picture(pictures[0], names) if single and pictures else "None"
    lines = [
        WITH_FILES if names else ALONE,
        *(["from pathlib import Path", ""] if names else []),
        "import torch",
        "from transformers import AutoModel, AutoTokenizer",
        "",
        "import app.modeling  # the Auto classes know the models then",
        *(["from app.media.images import read_image"] if pictures else []),
        *(["from app.media.video import read_frames"] if clips else []),
        *(["from app.messages import FrameChoice"] if chosen else []),
        "",
        f'model = AutoModel.from_pretrained({model!r}, dtype="auto", device_map="auto").eval()',
        f"tokenizer = AutoTokenizer.from_pretrained({model!r})",
        *([f"# It was answered with the adapter {params.adapter!r}; see docs/adapters.md."] if params.adapter else []),
        *(f"{name} = {_frames(clip, names, params)}" for clip, name in frames.items()),
        "msgs = [",
        *(_chat_message(message, names, frames, single) for message in asked(turns)),
        "]",
        *([f"frames = {' + '.join(f'len({frames[clip]})' for clip in clips)}", PER_FRAME] if clips else []),
        *([f"torch.manual_seed({params.seed})"] if params.seed is not None else []),
        "answer = model.chat(",
        f"    image={image},",
        "    msgs=msgs,",
        "    tokenizer=tokenizer,",
        *(f"    {name}={value}," for name, value in _chat_options(params, capabilities, parts, frames).items()),
        ")",
        "print(answer[0] if isinstance(answer, tuple) else answer)",
    ]
    return "\n".join(lines) + "\n"


def openai_code(turns: Sequence[Turn], capabilities: Capabilities, base_url: str) -> str:
    """Code that asks the last turn of a server started with --api."""
    params, names = turns[-1].params or SamplingParams(), named_files(turns)
    clips = [part for message in asked(turns) for part in message.content if isinstance(part, Video)]
    most = max((part.max_frames or params.max_frames for part in clips), default=0)
    cuts = {part: part.max_frames or params.max_frames for part in clips if _is_cut(part, params, most)}
    model = repr(params.adapter) if params.adapter else "client.models.list().data[0].id"
    system = params.system_prompt.strip()
    lines = [
        *([WITH_FILES, "import base64", "from pathlib import Path", ""] if names else []),
        "from openai import OpenAI",
        "",
        *(_CUTTING_IMPORTS if cuts else ()),
        *(_DATA_URL if names else ()),
        *(_CUTTING if cuts else ()),
        f'client = OpenAI(base_url={base_url!r}, api_key="none")  # a server started with --api',
        "messages = [",
        *([f'    {{"role": "system", "content": {system!r}}},'] if system else []),
        *(_api_message(message, names, cuts) for message in asked(turns)),
        "]",
        "answer = client.chat.completions.create(",
        f"    model={model},",
        "    messages=messages,",
        *(f"    {name}={value!r}," for name, value in _api_options(params, capabilities, most).items()),
        ")",
        "print(answer.choices[0].message.content)",
    ]
    return "\n".join(lines) + "\n"


def _is_cut(clip: Video, params: SamplingParams, most: int) -> bool:
    """Whether the API, which takes one `max_frames` for all clips and nothing else, would look at other frames."""
    return clip.choice != FrameChoice() or (clip.max_frames or params.max_frames) != most


def _in_project(model: str) -> str:
    folder = Path(model).resolve()
    return folder.relative_to(PROJECT).as_posix() if folder.is_dir() and PROJECT in folder.parents else model


def _chat_message(message: Message, names: dict[Path, str], frames: dict[Video, str], single: bool) -> str:
    if single:
        content = repr(message.text)
    else:
        content = "[" + ", ".join(filter(None, (_chat_part(part, names, frames) for part in message.content))) + "]"
    return f'    {{"role": "{message.role}", "content": {content}}},'


def _chat_part(part: Part, names: dict[Path, str], frames: dict[Video, str]) -> str:
    if isinstance(part, Text):
        return repr(part.text)
    path = file_of(part)
    if path is None or path not in names:
        return ""
    return f"*{frames[part]}" if isinstance(part, Video) else _picture(path, names)


def _frames(clip: Video, names: dict[Path, str], params: SamplingParams) -> str:
    chosen = f", choice={clip.choice!r}" if clip.choice != FrameChoice() else ""
    return f"read_frames(Path({names[clip.source]!r}), {clip.max_frames or params.max_frames}{chosen}).frames"


def _picture(path: Path, names: dict[Path, str]) -> str:
    return f"read_image(Path({names[path]!r}))"


def _chat_options(
    params: SamplingParams, capabilities: Capabilities, parts: Sequence[Part], frames: dict[Video, str]
) -> dict[str, str]:
    """Arguments of `chat` as they are written.

    Args:
        parts: pictures and clips in their order.
        frames: what the frames of a clip are called.
    """
    options: dict[str, object] = {"max_new_tokens": params.max_new_tokens, "sampling": params.do_sample}
    if capabilities.context:
        options["max_inp_length"] = max(1, capabilities.context - params.max_new_tokens)
    chosen = ("temperature", "top_p", "top_k") if params.do_sample else ("num_beams",)
    options |= {name: getattr(params, name) for name in (*chosen, "repetition_penalty")}
    if capabilities.max_images != 1:
        options["max_slice_nums"] = params.max_slice_nums
    if frames:
        options["use_image_id"] = False
    if params.system_prompt.strip():
        options["system_prompt"] = params.system_prompt
    written = {name: repr(value) for name, value in options.items() if name not in capabilities.hidden_options}
    if frames and "max_slice_nums" in written:
        most = written["max_slice_nums"]
        limits = [f"*[min({most}, per_frame)] * len({frames[part]})" if part in frames else most for part in parts]
        written["max_slice_nums"] = f"[{', '.join(limits)}]"
    return written


def _api_message(message: Message, names: dict[Path, str], cuts: dict[Video, int]) -> str:
    if all(isinstance(part, Text) for part in message.content):
        content = repr(message.text)
    else:
        content = "[" + ", ".join(filter(None, (_api_part(part, names, cuts) for part in message.content))) + "]"
    return f'    {{"role": "{message.role}", "content": {content}}},'


def _api_part(part: Part, names: dict[Path, str], cuts: dict[Video, int]) -> str:
    if isinstance(part, Text):
        return f'{{"type": "text", "text": {part.text!r}}}'
    path = file_of(part)
    if path is None or path not in names:
        return ""
    kind = "video_url" if isinstance(part, Video) else "image_url"
    data = f"Path({names[path]!r}).read_bytes()"
    media_type = type_of(path)[1]
    if isinstance(part, Video) and part in cuts:
        data, media_type = f"cut(Path({names[path]!r}), {cuts[part]}, {part.choice!r})", "video/mp4"
    return f'{{"type": "{kind}", "{kind}": {{"url": data_url({media_type!r}, {data})}}}}'


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
