from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import RequestError
from app.remote.options import write_options
from app.remote.profiles import NEUTRAL, OURS, PROFILES, UNKNOWN, Profile
from app.sampling import BY_NAME, OPTIONS, RARE, SamplingParams

ALL = [*PROFILES.values(), UNKNOWN]


def of(profile: Profile, **values: object) -> SamplingParams:
    return SamplingParams.of(values, profile.defaults)


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.title)
def test_every_option_is_taken_or_ours_or_hidden(profile: Profile) -> None:
    for option in OPTIONS:
        assert option.name in profile.fields or option.name in OURS or option.name in profile.hidden_options
    assert profile.hidden_options >= RARE


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.title)
def test_the_defaults_are_such_that_nothing_is_refused(profile: Profile) -> None:
    write_options(of(profile), profile)
    write_options(of(profile, do_sample=False, num_beams=1), profile)
    if profile.beam_fields:
        write_options(of(profile, do_sample=False), profile)


def test_neutral_values_are_valid_and_those_of_the_options() -> None:
    for name, value in NEUTRAL.items():
        if name in BY_NAME:
            assert BY_NAME[name].check(value) == value
    for name in ("seed", "max_slice_nums", "enable_thinking", "downsample_mode"):
        assert BY_NAME[name].default == NEUTRAL[name]


def test_what_the_model_has_not_is_left_out_and_refused_if_asked() -> None:
    ours = PROFILES["minicpm"]
    body = write_options(of(ours, top_k=0), ours, {"max_slice_nums", "top_k", "temperature"})
    assert "max_slice_nums" not in body["mm_processor_kwargs"] and body["mm_processor_kwargs"]["max_frames"] == 64
    assert "top_k" not in body
    assert body["temperature"] == 0.7  # there is no leaving this one out
    with pytest.raises(RequestError, match="max_slice_nums is 4"):
        write_options(of(ours, max_slice_nums=4), ours, {"max_slice_nums"})
    searched = of(ours, do_sample=False, repetition_penalty=1.0)
    assert "repetition_penalty" not in write_options(searched, ours, {"beam.repetition_penalty"})
    assert "repetition_penalty" in write_options(of(ours), ours, {"beam.repetition_penalty"})


def test_off_is_what_the_engine_calls_it() -> None:
    assert write_options(of(PROFILES["sglang"], top_k=0), PROFILES["sglang"])["top_k"] == -1
    assert write_options(of(PROFILES["sglang"], top_k=9), PROFILES["sglang"])["top_k"] == 9
    assert write_options(of(PROFILES["vllm"], top_k=0), PROFILES["vllm"])["top_k"] == 0


def test_stop_texts_and_shortest_answers_go_where_they_can() -> None:
    params = replace(of(PROFILES["vllm"]), stop=("END",), min_new_tokens=3)
    assert write_options(params, PROFILES["vllm"]).items() >= {"stop": ["END"], "min_tokens": 3}.items()
    params = replace(of(PROFILES["ollama"]), stop=("END",))
    assert write_options(params, PROFILES["ollama"])["stop"] == ["END"]
    with pytest.raises(RequestError, match="min_new_tokens is 3; Ollama takes no min_new_tokens"):
        write_options(replace(params, min_new_tokens=3), PROFILES["ollama"])
