"""Log probabilities that another engine tells."""

from __future__ import annotations

from types import SimpleNamespace as Of
from typing import Any

import pytest

from app.messages import LEAST_LOGPROB, Candidate, TokenLogprob
from app.remote.logprobs import few, read_logprobs
from app.remote.options import write_options
from app.remote.profiles import PROFILES
from app.remote.reading import read_event
from app.sampling import SamplingParams


def entry(token: Any = "a", logprob: Any = -1.0, data: Any = None, top: Any = ()) -> Any:
    return Of(token=token, logprob=logprob, bytes=data, top_logprobs=list(top))


def test_what_is_told_is_read_with_the_text() -> None:
    told = Of(content=[entry("a", -0.5, [97], [entry("a", -0.5, [97]), entry("b", -2)])])
    piece = read_event(Of(choices=[Of(delta=Of(content="a"), finish_reason=None, logprobs=told)]))
    best = Candidate("a", -0.5, b"a")
    assert piece.text == "a" and piece.logprobs == (TokenLogprob(best, (best, Candidate("b", -2.0))),)


@pytest.mark.parametrize("told", [None, Of(), Of(content=None), Of(content="all"), {"content": [1]}, Of(content=[3])])
def test_what_tells_nothing_is_nothing(told: Any) -> None:
    assert read_logprobs(told) == ()


def test_a_stranger_s_numbers_are_not_believed_unseen() -> None:
    bad = [entry(None), entry("a", "-1"), entry("a", None), entry("a", True)]
    odd = [entry("a", float("-inf")), entry("b", float("nan")), entry("c", -1, [300]), entry("d", -1, "d")]
    found = read_logprobs(Of(content=[*bad, *odd]))
    assert [one.chosen.token for one in found] == ["a", "b", "c", "d"]
    assert [one.chosen.logprob for one in found] == [LEAST_LOGPROB, LEAST_LOGPROB, -1, -1]
    assert all(one.chosen.data is None for one in found)


def test_no_more_is_told_than_was_asked_for() -> None:
    entries = (TokenLogprob(Candidate("a", -1), (Candidate("a", -1), Candidate("b", -2))),)
    assert [len(few(entries, most)[0].top) for most in (0, 1, 5)] == [0, 1, 2]
    assert few(entries, None) == ()


@pytest.mark.parametrize("name", [name for name, profile in PROFILES.items() if profile.logprobs])
def test_it_is_asked_for_where_it_can_be_had(name: str) -> None:
    plain = SamplingParams.of({}, PROFILES[name].defaults)
    assert "logprobs" not in write_options(plain, PROFILES[name])
    for count, asked in ((0, 1), (1, 1), (20, 20)):
        params = SamplingParams(logprobs=count)
        body = write_options(params, PROFILES[name])
        assert (body["logprobs"], body["top_logprobs"]) == (True, asked)
