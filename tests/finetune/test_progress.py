from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from transformers import TrainerControl, TrainerState, TrainingArguments

from finetune.progress import Progress, draw_curve, duration, line, read_log


def args(folder: Path) -> TrainingArguments:
    return TrainingArguments(output_dir=str(folder), use_cpu=True)


def test_lines_and_rows(tmp_path: Path) -> None:
    out = io.StringIO()
    progress, control = Progress(out), TrainerControl()
    state = TrainerState(max_steps=40)
    progress.on_train_begin(args(tmp_path), state, control)
    progress.began -= 10.0
    progress.last_time -= 10.0
    state.global_step, state.num_input_tokens_seen = 10, 5000
    progress.on_log(args(tmp_path), state, control, {"loss": 1.5, "learning_rate": 1e-4, "epoch": 0.5})
    progress.on_log(args(tmp_path), state, control, {"eval_loss": 2.5, "epoch": 0.5})
    progress.on_log(args(tmp_path), state, control, {"train_runtime": 3.0})
    first, second = read_log(tmp_path / "log.jsonl")
    assert (first["step"], first["steps"], first["loss"], first["learning_rate"]) == (10, 40, 1.5, 1e-4)
    assert first["tokens_per_second"] == pytest.approx(500, rel=0.05)
    assert first["seconds_left"] == pytest.approx(30, rel=0.05)
    assert first["memory"] > 1e6
    assert second["eval_loss"] == 2.5 and "tokens_per_second" not in second
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("step 10/40  loss 1.5000  ") and lines[0].endswith("s left")
    assert lines[1] == "step 10/40  evaluation loss 2.5000"


def test_other_processes_say_nothing(tmp_path: Path) -> None:
    out = io.StringIO()
    state = TrainerState(max_steps=4, is_world_process_zero=False)
    progress = Progress(out)
    progress.on_train_begin(args(tmp_path), state, TrainerControl())
    progress.on_log(args(tmp_path), state, TrainerControl(), {"loss": 1.0})
    progress.on_train_end(args(tmp_path), state, TrainerControl())
    assert not out.getvalue() and not list(tmp_path.iterdir())


def test_a_run_that_goes_on_keeps_the_rows_before(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "lo')
    state = TrainerState(max_steps=9, global_step=2)
    Progress(io.StringIO()).on_train_begin(args(tmp_path), state, TrainerControl())
    assert read_log(log) == [{"step": 1}, {"step": 2}]
    state.global_step = 0
    Progress(io.StringIO()).on_train_begin(args(tmp_path), state, TrainerControl())
    assert read_log(log) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3700, "1 h 02 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_line_with_everything() -> None:
    row = {"step": 1, "steps": 2, "loss": 0.25, "tokens_per_second": 1234.5, "memory": 3 * 2**30, "seconds_left": 200}
    assert line(row) == "step 1/2  loss 0.2500  1,234 tokens/s  3.0 GiB  3 min left"


def test_the_curve(tmp_path: Path) -> None:
    draw_curve([{"train_runtime": 1, "step": 1}], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    rows = [{"step": step, "loss": 4.0 / step} for step in range(1, 9)]
    draw_curve(rows, tmp_path / "one.png")
    draw_curve([*rows, {"step": 8, "eval_loss": 1.0}, {"step": 4, "eval_loss": 3.0}], tmp_path / "two.png")
    one, two = Image.open(tmp_path / "one.png"), Image.open(tmp_path / "two.png")
    assert one.size == two.size == (800, 450)
    assert len(one.convert("RGB").getcolors(1 << 20) or []) > 10
    assert one.tobytes() != two.tobytes()
