"""A request's fields as decoding options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.api.errors import ApiError
from app.api.schema import AssistantMessage, ChatMessage, ChatRequest, ToolMessage
from app.backends.base import Capabilities
from app.errors import RequestError
from app.remote.profiles import NEUTRAL
from app.sampling import BY_NAME, SamplingParams

SEEDS = 2**31
ALL_TOKENS = -1  # vLLM's top_k for what is 0 here


def read_options(
    request: ChatRequest, system_prompt: str, adapter: str, capabilities: Capabilities, defaults: Mapping[str, Any]
) -> SamplingParams:
    """The options of a request; what it does not say is the model's own default.

    Args:
        defaults: by option name, those of the model and of the command line.

    Raises:
        AppError: something is asked that cannot be had; nothing is ignored that would change an answer.
    """
    refuse_unsupported(request)
    longest = request.max_completion_tokens or request.max_tokens
    pictures, template = request.mm_processor_kwargs, request.chat_template_kwargs
    values = {
        "do_sample": _samples(request, defaults),
        "num_beams": request.num_beams,
        "temperature": _clamped("temperature", request.temperature or None),
        "top_p": _clamped("top_p", request.top_p),
        "top_k": NEUTRAL["top_k"] if request.top_k == ALL_TOKENS else request.top_k,
        "repetition_penalty": request.repetition_penalty,
        "max_new_tokens": longest,
        "seed": None if request.seed is None else request.seed % SEEDS,
        "max_slice_nums": pictures and pictures.max_slice_nums,
        "max_frames": pictures and pictures.max_frames,
        "downsample_mode": pictures and pictures.downsample_mode,
        "enable_thinking": template and template.enable_thinking,
        "system_prompt": system_prompt,
    }
    given = {name: value for name, value in values.items() if value is not None}
    _check_effect(given, capabilities, defaults)
    params = SamplingParams.of(given, defaults)
    if params.searching:
        _refuse_sampling(request)
    if request.temperature == 0 and not _searches(request):
        # What else is left to the model is as it is when sampling: greedy is no search with its own defaults.
        params = replace(params, do_sample=False, num_beams=1)
    numbered = pictures.use_image_id if pictures else None
    if numbered and capabilities.max_images == 1:
        raise RequestError(f"use_image_id was asked; {capabilities.model} has one image and numbers none.")
    return replace(
        params,
        adapter=adapter,
        min_p=request.min_p or 0.0,
        min_new_tokens=params.max_new_tokens if request.ignore_eos else request.min_tokens or 0,
        stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
        use_image_id=numbered,
        logprobs=_logprobs(request, params, capabilities),
    )


def refuse_unsupported(request: ChatRequest) -> None:
    """Raise an `ApiError` if a field asks for what no model here does."""
    tools = request.tools or request.functions or any(map(_is_about_tools, request.messages))
    _refuse(bool(tools), "tools", "no model here calls tools")
    for name in ("tool_choice", "function_call"):
        _refuse(getattr(request, name) not in (None, "none", "auto"), name, "no model here calls tools")
    _refuse(bool(request.logit_bias), "logit_bias", "the engine cannot change single tokens")
    for name in ("frequency_penalty", "presence_penalty"):
        _refuse(bool(getattr(request, name)), name, "the engine has none; repetition_penalty is what it has")
    kind = "text" if request.response_format is None else request.response_format.get("type")
    _refuse(kind != "text", "response_format", "answers are plain text")
    _refuse(request.modalities not in (None, ["text"]), "modalities", "answers are plain text")
    for name in ("audio", "prediction", "web_search_options"):
        _refuse(getattr(request, name) is not None, name, "no model here has it")


def _logprobs(request: ChatRequest, params: SamplingParams, capabilities: Capabilities) -> int | None:
    """How many alternatives of each token to tell; None where nothing is to be told of them."""
    if request.top_logprobs and not request.logprobs:
        raise ApiError(
            f"top_logprobs is {request.top_logprobs}; logprobs is not true.", "Set logprobs too.", param="top_logprobs"
        )
    if not request.logprobs:
        return None
    _refuse(not capabilities.logprobs, "logprobs", f"{capabilities.model} does not tell probabilities")
    _refuse(params.searching, "logprobs", "beam search tells none")
    return request.top_logprobs or 0


def _is_about_tools(message: ChatMessage) -> bool:
    if isinstance(message, AssistantMessage):
        return bool(message.tool_calls or message.function_call)
    return isinstance(message, ToolMessage)


def _searches(request: ChatRequest) -> bool:
    return request.num_beams is not None and request.num_beams > 1


def _samples(request: ChatRequest, defaults: Mapping[str, Any]) -> bool:
    if _searches(request) and request.temperature:
        raise ApiError("num_beams asks for beam search and temperature for sampling.", "Give one.", param="num_beams")
    if request.num_beams is None and request.temperature is None:
        return bool(defaults.get("do_sample", True))
    return not _searches(request)


def _refuse_sampling(request: ChatRequest) -> None:
    """Raise an `ApiError` if a field asks for something that a search, which draws nothing, has no use for."""
    for name in ("top_p", "top_k", "min_p"):
        if getattr(request, name) not in (None, NEUTRAL[name], ALL_TOKENS):
            hint = "Leave it out, or sample: num_beams 1 and a temperature."
            raise ApiError(f"{name} was asked; beam search does not sample.", hint, param=name)


def _check_effect(given: Mapping[str, Any], capabilities: Capabilities, defaults: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in capabilities.hidden_options:
            continue
        nothing = value in (NEUTRAL.get(name), defaults.get(name, BY_NAME[name].default))
        # Another engine has a number of slices of its own, which it does not tell: no number is known to be that.
        if not nothing or name == "max_slice_nums":
            raise RequestError(f"{name} was asked; {capabilities.model} has no such option.", "Leave it out.")


def _clamped(name: str, value: float | None) -> float | None:
    """The protocol's ranges begin at 0, the options' a little above."""
    least = BY_NAME[name].minimum
    return value if value is None or least is None else max(value, least)


def _refuse(wrong: bool, name: str, why: str) -> None:
    if wrong:
        raise ApiError(f"{name} cannot be had: {why}.", "Leave it out.", code="unsupported_parameter", param=name)
