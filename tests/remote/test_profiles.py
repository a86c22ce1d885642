from __future__ import annotations

import pytest

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


def test_off_is_what_the_engine_calls_it() -> None:
    assert write_options(of(PROFILES["sglang"], top_k=0), PROFILES["sglang"])["top_k"] == -1
    assert write_options(of(PROFILES["sglang"], top_k=9), PROFILES["sglang"])["top_k"] == 9
    assert write_options(of(PROFILES["vllm"], top_k=0), PROFILES["vllm"])["top_k"] == 0


def test_stop_texts_and_shortest_answers_go_where_they_can() -> None:
    from dataclasses import replace

    from app.errors import RequestError

    params = replace(of(PROFILES["vllm"]), stop=("END",), min_new_tokens=3)
    assert write_options(params, PROFILES["vllm"]).items() >= {"stop": ["END"], "min_tokens": 3}.items()
    params = replace(of(PROFILES["ollama"]), stop=("END",))
    assert write_options(params, PROFILES["ollama"])["stop"] == ["END"]
    with pytest.raises(RequestError, match="min_new_tokens is 3; Ollama takes no min_new_tokens"):
        write_options(replace(params, min_new_tokens=3), PROFILES["ollama"])
