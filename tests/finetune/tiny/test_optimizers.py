"""Rates over a run, and who learns which weights."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn

from finetune.tiny import embedded
from finetune.tiny.optimizers import MUON_RATE, RATE, Optimizers, is_matrix, schedule


def test_the_rate_rises_stays_and_falls() -> None:
    shares = [schedule(done, 100, 1000, 0.3) for done in range(1000)]
    assert shares[0] == 0.01 and shares[:100] == sorted(shares[:100])
    assert set(shares[100:700]) == {1.0}
    assert shares[700:] == sorted(shares[700:], reverse=True) and shares[850] == pytest.approx(0.5)
    assert shares[999] == 0.02


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    assert [schedule(done, 10, 100, 0.2) for done in range(80)] == [schedule(done, 10, 500, 0.2) for done in range(80)]


def test_muon_takes_the_matrices_between_hidden_vectors(small: None, tokenizer: Tokenizer) -> None:
    model = embedded.new_model(tokenizer)
    taken = {name for name, parameter in model.named_parameters() if is_matrix(name, parameter)}
    layer = "llm.model.layers.0."
    assert taken == {
        *(f"{layer}self_attn.{part}_proj.weight" for part in "qkvo"),
        *(f"{layer}mlp.{part}_proj.weight" for part in ("gate", "up", "down")),
        *(f"vpm.encoder.layers.0.self_attn.{part}_proj.weight" for part in ("q", "k", "v", "out")),
        *(f"vpm.encoder.layers.0.mlp.{part}.weight" for part in ("fc1", "fc2")),
        "resampler.attn.in_proj_weight", "resampler.attn.out_proj.weight", "resampler.kv_proj.weight", "resampler.proj",
    }  # fmt: skip


def stack() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(6, 6)]), "head": nn.Linear(6, 3), "slow": nn.Linear(6, 6)})


def named(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(f"m.{name}", parameter) for name, parameter in model.named_parameters()]


def learn(model: nn.Module, optimizers: Optimizers, steps: int) -> list[float]:
    norms = []
    for number in range(steps):
        inputs = torch.full((2, 6), 1.0 + number % 3)
        hidden = model["slow"](model["layers"][0](inputs))  # type: ignore[index]
        (100 * model["head"](hidden).square().mean()).backward()  # type: ignore[index]
        norms.append(optimizers.step(0.5))
    return norms


def test_rates_are_shared_out_by_prefix() -> None:
    optimizers = Optimizers(named(stack()), slow={"m.slow": 0.1})
    rates = sorted(group["lr"] for part in optimizers.parts for group in part.param_groups)
    assert rates == pytest.approx(sorted([RATE, RATE * 0.1, RATE * MUON_RATE]))
    optimizers.step(0.25)
    halved = sorted(group["lr"] for part in optimizers.parts for group in part.param_groups)
    assert halved == pytest.approx([rate * 0.25 for rate in rates])


def test_a_step_moves_everything_and_clears_the_gradients() -> None:
    model = stack()
    before = {name: parameter.clone() for name, parameter in named(model)}
    optimizers = Optimizers(named(model))
    (norm,) = learn(model, optimizers, 1)
    assert norm > 1
    assert all(not torch.equal(before[name], parameter) for name, parameter in named(model))
    assert all(parameter.grad is None for parameter in optimizers.parameters)


def test_the_state_comes_back() -> None:
    whole, stopped = stack(), stack()
    first, second = Optimizers(named(whole)), Optimizers(named(stopped))
    learn(whole, first, 6)
    learn(stopped, second, 3)
    resumed = stack()
    resumed.load_state_dict(stopped.state_dict())
    third = Optimizers(named(resumed))
    third.load_state_dict(second.state_dict())
    learn(resumed, third, 3)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_run_goes_on_with_shares_that_have_become_equal() -> None:
    model = stack()
    first = Optimizers(named(model), slow={"m.slow": 0.1, "m.head": 0.5})
    learn(model, first, 2)
    second = Optimizers(named(model), slow={"m.slow": 0.5, "m.head": 0.5})
    second.load_state_dict(first.state_dict())
    learn(model, second, 1)
    rates = {group["lr"] for part in second.parts for group in part.param_groups}
    assert rates == {RATE * 0.5, RATE * 0.25, RATE * MUON_RATE * 0.5}
