"""Decoding options as the fields of a request."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from app.errors import RequestError
from app.remote.profiles import NEUTRAL, Profile
from app.sampling import SamplingParams
from app.texts import Phrase

SAMPLING_ONLY = frozenset({"temperature", "top_p", "top_k", "min_p", "seed"})


def write_options(params: SamplingParams, profile: Profile, hidden: Collection[str] = ()) -> dict[str, Any]:
    """The fields that ask an engine for these options; every one it takes is sent, lest the server's own default holds.

    Args:
        hidden: options that its model has not, as `Capabilities.hidden_options` has them: it refuses them by name.

    Raises:
        RequestError: an option is asked that the engine does not take; it would be ignored, or worse.
    """
    searching = params.searching
    if searching and not profile.beam_fields:
        raise RequestError(Phrase("engine_no_beams", title=profile.title), Phrase("do_choose_sampling"))
    fields = profile.beam_fields if searching else profile.fields
    lacking = {name for name in NEUTRAL if name in hidden or (searching and f"beam.{name}" in hidden)}
    fields = {name: field for name, field in fields.items() if name not in lacking}
    _refuse_unknown(params, fields, profile)
    body: dict[str, Any] = dict(profile.beam_constants if searching else profile.constants)
    for name, field in fields.items():
        value = getattr(params, name)
        if not params.do_sample and not searching and name in SAMPLING_ONLY:
            value = 0 if name == "temperature" else None
        if value is None or value in ((), []):
            continue
        value = profile.off.get(name, value) if value == NEUTRAL.get(name) else value
        _put(body, field, list(value) if isinstance(value, tuple) else value)
    body |= _logprobs(params, profile)
    for name in profile.as_text & set(body):
        body[name] = json.dumps(body[name])
    return body


def _logprobs(params: SamplingParams, profile: Profile) -> dict[str, Any]:
    if params.logprobs is None:
        return {}
    if not profile.logprobs:
        raise RequestError(Phrase("engine_no_logprobs", title=profile.title), Phrase("do_leave_out"))
    # Without alternatives llama-server tells nothing at all.
    return {"logprobs": True, "top_logprobs": max(1, params.logprobs)}


def _refuse_unknown(params: SamplingParams, fields: Mapping[str, str], profile: Profile) -> None:
    for name, neutral in NEUTRAL.items():
        value = getattr(params, name)
        if name in fields or value == neutral or (not params.do_sample and name in SAMPLING_ONLY):
            continue
        how = Phrase("beams_take") if params.searching else Phrase("takes")
        hint = profile.hints.get(name, Phrase("do_leave_neutral", neutral=neutral))
        raise RequestError(Phrase("engine_no_option", name=name, value=value, title=profile.title, how=how), hint)


def _put(body: dict[str, Any], field: str, value: Any) -> None:
    """Set "a" or "a.b"."""
    outer, _, inner = field.rpartition(".")
    target = body.setdefault(outer, {}) if outer else body
    target[inner] = value
