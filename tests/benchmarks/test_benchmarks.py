"""Every benchmark runs through the real command line and prints what it promises, with figures that can be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from app.engine.tickets import Ticket
from app.errors import GenerationError
from app.messages import Chunk, Usage
from benchmarks import gpu, growth, startup
from benchmarks.__main__ import NAMES, main, table
from benchmarks.options import Cases, Options
from tests.benchmarks.conftest import Measure
from tests.checkpoints import folder

TURN = {"ttft1_s", "ttft2_s", "ratio", "edited_s", "regenerate_s", "prompt_tokens", "cached_tokens", "cached_slices"}


def assert_positive(row: dict[str, Any], *but: str) -> None:
    for name, figure in row.items():
        assert figure > 0 or name in but, name


def test_turns(measure: Measure) -> None:
    cases = measure("turns", "--small")
    assert list(cases) == ["image10.turn2", "video64.turn2"]
    for row in cases.values():
        assert set(row) == TURN
        assert_positive(row)
        assert row["ratio"] == pytest.approx(row["ttft2_s"] / row["ttft1_s"], rel=0.1, abs=1e-3)
        assert row["cached_tokens"] < row["prompt_tokens"]
    assert cases["image10.turn2"]["cached_slices"] == 10


def test_concurrency(measure: Measure) -> None:
    cases = measure("concurrency", "--small")
    assert list(cases) == ["users1", "users2", "users4", "users8", "users8_text"]
    for row in cases.values():
        assert {"tokens_per_s", "one_after_another_tokens_per_s", "ratio", "worst_gap_s"} <= set(row)
        assert_positive(row)


def test_decode(measure: Measure) -> None:
    cases = measure("decode", "--small")
    assert list(cases) == ["text", "image448", "image1344", "video16"]
    assert [row["vision_tokens"] for row in cases.values()] == [0, 64, 640, 1024]
    for row in cases.values():
        assert_positive(row, "vision_tokens", "ratio", "mb_per_token")
        assert row["ratio"] == pytest.approx(row["tokens_per_s"] / row["limit_tokens_per_s"], rel=0.1, abs=1e-3)
        # What is read per token times the rate is what is read per second.
        assert row["limit_tokens_per_s"] * row["mb_per_token"] / 1e3 == pytest.approx(row["read_gb_per_s"], rel=0.2)
    # Keys and values of a longer prompt are more to read.
    assert cases["video16"]["mb_per_token"] > cases["text"]["mb_per_token"]


def test_compile_is_for_decode(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr("benchmarks.decode.compile_layers", compiled.append)  # tests/engine/test_compiling.py does it
    row = measure("decode", "--small", "--compile")["text"]
    assert row["compiled_ratio"] == pytest.approx(row["compiled_tokens_per_s"] / row["tokens_per_s"], rel=0.1)
    assert len(compiled) == 1
    with pytest.raises(SystemExit):
        main(["turns", "--compile"])


def test_vision(measure: Measure) -> None:
    cases = measure("vision", "--small")
    assert list(cases) == ["equal", "mixed"]
    for row in cases.values():
        assert row["slices_per_s"] > 0 and row["padded_slices_per_s"] > 0 and row["ratio"] > 0
        # Both forms compute the same, or the comparison says nothing.
        assert row["difference"] < 1e-4


def test_vision_says_which_models_it_cannot_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vision", "--small", "--device", "cpu", "--model", str(folder("minicpm-v-2"))]) == 1
    assert "allowed is a MiniCPM-V 2.6" in capsys.readouterr().err


def test_preprocess(measure: Measure) -> None:
    cases = measure("preprocess", "--small")
    assert list(cases) == ["1344x1344", "4000x3000", "1280x720"]
    for row in cases.values():
        assert row["same"] is True
        assert_positive(row)
        assert row["decode_ms"] < row["ms"] + row["slice_by_slice_ms"]


def test_video(measure: Measure) -> None:
    cases = measure("video", "--small")
    assert list(cases) == ["short", "long"]
    assert (cases["short"]["frames"], cases["long"]["frames"]) == (10, 20)
    for row in cases.values():
        assert row["pyav_s"] > 0 and row["pyav_peak_mb"] > 0
        assert ("ratio" in row) == ("decord_s" in row)


@pytest.mark.thorough
def test_load(measure: Measure) -> None:
    cases = measure("load", "--small")
    ways = ("engine", "wire", "endpoint", "page")
    kinds = ("users1", "users4", "spread4")
    assert list(cases) == [f"{of}_{way}_{kind}" for of in ("tiny", "echo") for kind in kinds for way in ways]
    assert cases["tiny_page_users4"]["answers"] == 4
    for name, row in cases.items():
        assert_positive(row, *(f"{what}_overhead_ms" for what in ("ttft_p50", "ttft_p95", "token_p50", "token_p95")))
        assert row["ttft_p50_ms"] <= row["ttft_p95_ms"]
        assert ("ttft_p50_overhead_ms" in row) == ("engine" not in name)


def test_an_answer_of_somebody_else_ends_the_load_benchmark() -> None:
    from benchmarks.load import Asked, check

    expected = ["the first", "the second"]
    check([Asked(0.1, 0.2, 3, text) for text in expected], expected, "page")
    for wrong in ("", "the", "the second" * 2, "the first"):
        with pytest.raises(GenerationError, match="lost, mixed or doubled"):
            check([Asked(0.1, 0.2, 3, "the first"), Asked(0.1, 0.2, 3, wrong)], expected, "page")


@pytest.mark.thorough
def test_memory(measure: Measure) -> None:
    cases = measure("memory", "--small")
    assert list(cases) == ["load", "image10", "video64"]
    for name, row in cases.items():
        assert_positive(row, "tokens")
        assert (row["tokens"] > 0) == (name != "load")
        assert row["ratio"] == pytest.approx(row["peak_mb"] / row["estimate_mb"], rel=0.05)
        # At least the weights lie in memory, in fp32 here.
        assert row["peak_mb"] > row["weights_mb"] and row["estimate_mb"] >= row["weights_mb"]


def test_growth_and_its_plot(measure: Measure, tmp_path: Path) -> None:
    plot = tmp_path / "plots" / "growth.svg"
    cases = measure("growth", "--small", "--plot", str(plot))
    assert list(cases) == ["turns1", "turns2", "images1", "images2", "users1", "users2"]
    for row in cases.values():
        assert_positive(row, "cached_tokens")
    assert cases["turns1"]["cached_tokens"] < cases["turns2"]["cached_tokens"]
    assert cases["images1"]["prompt_tokens"] + 64 < cases["images2"]["prompt_tokens"]
    assert cases["users1"]["ratio"] == 1
    drawn = plot.read_text("utf-8")
    for word in ("turns", "images", "users", "nothing kept", "follow-up", "seconds", "tokens per second"):
        assert word in drawn
    # Six boxes, with a line of its own for each figure over the counts.
    assert drawn.count('id="axes_') == 6 and drawn.count('clip-path="url') >= 8


def check_startup(cases: dict[str, Any]) -> None:
    assert list(cases) == ["help", "first_page", "first_token"]
    assert_positive(cases["help"])
    assert cases["first_token"]["first_token_s"] > cases["first_page"]["server_s"] > cases["help"]["python_s"] > 0


@pytest.mark.slow
def test_startup_without_a_browser_says_so(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "find_browser", lambda: None)
    cases = measure("startup", "--small")
    check_startup(cases)
    assert set(cases["first_page"]) == {"server_s", "missing"}
    assert "CHROMIUM" in cases["first_page"]["missing"]


@pytest.mark.browser
@pytest.mark.slow
def test_startup_with_a_browser(measure: Measure) -> None:
    cases = measure("startup", "--small")
    check_startup(cases)
    assert set(cases["first_page"]) == {"server_s", "page_s", "bytes"}
    assert cases["first_page"]["page_s"] > 0 and cases["first_page"]["bytes"] > 100_000


@pytest.mark.slow
def test_front(measure: Measure) -> None:
    cases = measure("front", "--small")
    assert list(cases) == ["page"] and set(cases["page"]) == {"server_s", "cpu_s", "rss_mb", "ratio"}
    assert_positive(cases["page"])
    # Slower than a Python that does nothing, and with a page in memory.
    assert cases["page"]["ratio"] > 1 and cases["page"]["rss_mb"] > 50


def test_without_json_there_is_a_line_per_case() -> None:
    cases: Cases = {"one": {"seconds": 0.5, "ratio": 2.0}, "two": {"seconds": 1}}
    assert table(cases) == "one: seconds 0.5, ratio 2.0\ntwo: seconds 1"


def test_a_plot_of_what_draws_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["turns", "--plot", "x.svg"])
    assert "growth" in capsys.readouterr().err


@pytest.mark.thorough
@pytest.mark.browser
def test_smooth(measure: Measure) -> None:
    cases = measure("smooth", "--small")
    assert list(cases) == ["text", "markdown"]
    for row in cases.values():
        assert set(row) == {"lag_s", "lag_p95_s", "ratio", "behind_s"}
        assert row["lag_s"] >= row["lag_p95_s"] >= 0 and row["ratio"] > 0


def test_smooth_needs_a_browser(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("benchmarks.smooth.find_browser", lambda: None)
    assert main(["smooth", "--small"]) == 1
    assert "Install Chromium." in capsys.readouterr().err


def test_every_benchmark_is_tested_here() -> None:
    text = Path(__file__).read_text("utf-8")
    # This one is tested where two replicas run anyway.
    elsewhere = (Path(__file__).parents[1] / "replicas" / "test_cluster.py").read_text("utf-8")
    assert "from benchmarks.replicas import measure" in elsewhere
    for name in {*NAMES} - {"replicas"}:
        assert f'measure("{name}"' in text, name


@pytest.mark.thorough
def test_gpu(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr("app.engine.choose.compile_layers", compiled.append)  # tests/engine/test_compiling.py does it
    cases = measure("gpu", "--small", "--dtype", "auto")
    assert list(cases) == ["bf16", "bf16.compile", "int4", "int4.compile"] and len(compiled) == 2
    for row in cases.values():
        assert {"users1_tokens_per_s", "users8_tokens_per_s", "limit_tokens_per_s", "start_s", "made_s"} <= set(row)
        assert {"image1344_ttft1_s", "image1344_ttft2_s", "frames64_ttft1_s", "frames64_ttft2_s"} <= set(row)
        assert_positive(row, "made_s")
        assert row["image1344_tokens"] > 640 and row["frames64_tokens"] > 256


def test_gpu_gives_medians_and_warms_up_with_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, times, media = iter([9.0, 1.0, 5.0, 2.0, 30.0, 20.0, 10.0]), iter([99.0, 3.0, 1.0, 2.0] * 2), []

    def turns(engine: Any, medium: Any) -> tuple[Usage, Usage]:
        media.append(medium)
        first = next(times)
        return Usage(700, ttft=first), Usage(750, ttft=first / 10)

    monkeypatch.setattr(gpu, "make_engine", lambda *arguments: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(gpu, "_crowd", lambda *arguments: next(rates))
    monkeypatch.setattr(gpu, "_turns", turns)
    monkeypatch.setattr(gpu, "undo", lambda runner: None)
    monkeypatch.setattr(gpu, "weights_of_a_token", lambda loaded: [torch.ones(1)])
    monkeypatch.setattr(gpu, "read_rate", lambda weights, repeats: 4.0)
    loaded: Any = SimpleNamespace(device=torch.device("cpu"), runner=None)
    figures = gpu.measure(Options(small=True, repeats=3), loaded, "bf16", compiled=False)
    assert (figures["users1_tokens_per_s"], figures["users8_tokens_per_s"]) == (2.0, 20.0)
    for name in ("image1344", "frames64"):
        assert (figures[f"{name}_ttft1_s"], figures[f"{name}_ttft2_s"]) == (2.0, 0.2)
    assert len({medium.source for medium in media}) == len(media) == 8


def test_the_users_of_a_crowd_are_different_ones() -> None:
    seen: list[str] = []

    def submit(messages: Any, params: Any, user: str = "") -> Ticket:
        seen.append(user)
        ticket = Ticket(messages, params, user)
        ticket.emit(Chunk(finish_reason="stop", usage=Usage(new_tokens=1, ttft=0.1)))
        return ticket

    engine: Any = SimpleNamespace(submit=submit)
    growth._crowd(engine, 32, "name", 1)
    assert len(set(seen)) == 32, "one user alone may not have so many answers at once"


def test_gpu_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu", "--device", "cpu"]) == 1
    assert "needs a CUDA device; chosen is cpu." in capsys.readouterr().err
