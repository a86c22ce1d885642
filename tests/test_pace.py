"""The time to the first token, learned from answers."""

from __future__ import annotations

from random import Random

import pytest

from app.pace import REMEMBERED, Observed, Pace, fit


def rows(start: float, per_token: float, per_slice: float, count: int = 20, seed: int = 0) -> list[Observed]:
    random = Random(seed)
    made = []
    for _ in range(count):
        tokens, slices = random.randrange(10, 5000), random.randrange(0, 64)
        made.append(Observed(tokens, slices, start + per_token * tokens + per_slice * slices))
    return made


@pytest.mark.parametrize("figures", [(0.1, 0.002, 0.3), (0.0, 0.01, 0.05), (1.5, 0.0, 0.2), (0.2, 0.001, 0.0)])
def test_it_finds_what_made_the_times(figures: tuple[float, float, float]) -> None:
    assert fit(rows(*figures)) == pytest.approx(figures, rel=1e-6, abs=1e-6)


def test_noise_bends_it_little_and_never_below_zero() -> None:
    random = Random(1)
    noisy = [row._replace(seconds=row.seconds * random.uniform(0.8, 1.2)) for row in rows(0.1, 0.002, 0.3)]
    assert min(fit(noisy)) >= 0
    assert Pace(noisy).seconds(1000, 10) == pytest.approx(0.1 + 2 + 3, rel=0.2)
    falling = [Observed(10, 0, 5.0), Observed(1000, 0, 1.0)]
    assert min(fit(falling)) >= 0


def test_nothing_is_claimed_that_was_not_seen() -> None:
    pace = Pace()
    assert pace.seconds(100, 0) is None
    pace.learn(Observed(100, 0, 2.0))
    assert pace.seconds(100, 0) == pytest.approx(2.0)
    assert pace.seconds(100, 3) is None
    pace.learn(Observed(100, 4, 4.0))
    assert pace.seconds(100, 4) == pytest.approx(4.0)


def test_a_faster_machine_is_learned_anew() -> None:
    pace = Pace(rows(0, 0.01, 1.0, REMEMBERED))
    for row in rows(0, 0.001, 0.1, REMEMBERED, seed=1):
        pace.learn(row)
    assert pace.seconds(1000, 10) == pytest.approx(2.0, rel=1e-3)
