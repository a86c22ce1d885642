"""What may be asked: the request of /v1/chat/completions, checked field by field.

The ranges are those of the decoding options, so that what the schema allows the model takes. What cannot be had is
narrower in the schema that is shown than in what is read, so that it can be refused in words (`app.api.options`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from app.sampling import BY_NAME, MOST_LOGPROBS

MAX_CHOICES = 8
MAX_STOPS = 16
LONGEST_STOP = 256
MAX_SEED = 2**63 - 1


def _most(option: str) -> Any:
    return BY_NAME[option].maximum


def _least(option: str) -> Any:
    return BY_NAME[option].minimum


def _only(*allowed: Any) -> Any:
    """Shown as one of a few values, or null."""
    return WithJsonSchema({"enum": [*allowed, None]})


NOTHING = WithJsonSchema({"type": "null"})
NO_ITEMS = WithJsonSchema({"anyOf": [{"type": "array", "maxItems": 0}, {"type": "null"}]})
NO_FIELDS = WithJsonSchema({"anyOf": [{"type": "object", "maxProperties": 0}, {"type": "null"}]})
PLAIN_TEXT = WithJsonSchema({
    "anyOf": [
        {"type": "object", "properties": {"type": {"const": "text"}}, "required": ["type"]},
        {"type": "null"},
    ]
})  # fmt: skip


class Strict(BaseModel):
    """Nothing is turned into another type, and an unknown field is an error."""

    model_config = ConfigDict(strict=True, extra="forbid")


class TextPart(Strict):
    """A text of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    """Where a picture is; `detail` has no effect, `mm_processor_kwargs.max_slice_nums` has."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Strict):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class VideoUrl(Strict):
    """Where a video is."""

    url: str


class VideoPart(Strict):
    """A video."""

    type: Literal["video_url"]
    video_url: VideoUrl


Part: TypeAlias = Annotated[TextPart | ImagePart | VideoPart, Field(discriminator="type")]
Texts: TypeAlias = str | list[TextPart]


class SystemMessage(Strict):
    """How to answer; before all other messages."""

    role: Literal["system", "developer"]
    content: Texts
    name: str | None = None


class UserMessage(Strict):
    """A question, its pictures and videos where they stand."""

    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class AssistantMessage(Strict):
    """An earlier answer; what the model said to itself before it is not read again."""

    role: Literal["assistant"]
    content: Texts | None = None
    name: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    audio: None = None
    annotations: list[Any] | None = None
    tool_calls: Annotated[list[Any] | None, NO_ITEMS] = None
    function_call: Annotated[Any, NOTHING] = None


class ToolMessage(Strict):
    """Refused: no model here calls tools."""

    role: Literal["tool", "function"]
    content: Any = None
    name: str | None = None
    tool_call_id: str | None = None


ChatMessage: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | SkipJsonSchema[ToolMessage], Field(discriminator="role")
]


class StreamOptions(Strict):
    """Whether the last event of a stream is the usage, and whether those before its first text tell how far it is."""

    include_usage: bool | None = None
    include_progress: bool | None = None
    include_obfuscation: bool | None = None


class PictureOptions(Strict):
    """How pictures and videos are read."""

    max_slice_nums: int | None = Field(None, ge=_least("max_slice_nums"), le=_most("max_slice_nums"))
    max_frames: int | None = Field(None, ge=_least("max_frames"), le=_most("max_frames"))
    use_image_id: bool | None = None
    downsample_mode: Literal["16x", "4x"] | None = None


class TemplateOptions(Strict):
    """How the prompt is written."""

    enable_thinking: bool | None = None


class ChatRequest(Strict):
    """A conversation to be answered.

    Fields of the protocol that choose nothing here (`user` apart, by which requests take turns) are taken and have no
    effect: metadata, store, service_tier, verbosity, reasoning_effort, prompt_cache_key, parallel_tool_calls. Those
    that would change an answer and cannot be had are refused: tools, functions, logit_bias, other response formats,
    audio, frequency and presence penalty.
    """

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    max_tokens: int | None = Field(None, ge=1, le=_most("max_new_tokens"))
    max_completion_tokens: int | None = Field(None, ge=1, le=_most("max_new_tokens"))
    min_tokens: int | None = Field(None, ge=0, le=_most("max_new_tokens"))
    ignore_eos: bool | None = None
    temperature: float | None = Field(None, ge=0, le=_most("temperature"), description="0 is greedy.")
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=_most("top_k"), description="0 and -1 keep all tokens.")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=_least("repetition_penalty"), le=_most("repetition_penalty"))
    num_beams: int | None = Field(None, ge=1, le=_most("num_beams"), description="Above 1 is beam search.")
    seed: int | None = Field(None, ge=-MAX_SEED - 1, le=MAX_SEED)
    stop: (
        Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]], Field(max_length=MAX_STOPS)]
        | None
    ) = None
    logprobs: bool | None = Field(None, description="Of the model itself, before temperature and the like.")
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS, description="Needs logprobs.")
    mm_processor_kwargs: PictureOptions | None = None
    chat_template_kwargs: TemplateOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    frequency_penalty: Annotated[float | None, _only(0)] = None
    presence_penalty: Annotated[float | None, _only(0)] = None
    logit_bias: Annotated[dict[str, float] | None, NO_FIELDS] = None
    tools: Annotated[list[Any] | None, NO_ITEMS] = None
    tool_choice: Annotated[Any, _only("none", "auto")] = None
    functions: Annotated[list[Any] | None, NO_ITEMS] = None
    function_call: Annotated[Any, _only("none", "auto")] = None
    parallel_tool_calls: bool | None = None
    response_format: Annotated[dict[str, Any] | None, PLAIN_TEXT] = None
    modalities: Annotated[list[str] | None, _only(["text"])] = None
    audio: Annotated[Any, NOTHING] = None
    prediction: Annotated[Any, NOTHING] = None
    web_search_options: Annotated[Any, NOTHING] = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    reasoning_effort: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
