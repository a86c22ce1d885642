"""What a run says while it goes on: a line per log, the same as JSON Lines, and the loss curve as a picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

LOG = "log.jsonl"
CURVE = "loss.png"


class Progress(TrainerCallback):
    """Prints a line per log and keeps OUT/log.jsonl; in the main process alone.

    Args:
        out: where the lines go; None is stdout.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.began = self.last_time = monotonic()
        self.first_step = self.last_tokens = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock; a run that goes on keeps the lines before the step it goes on from."""
        self.began = self.last_time = monotonic()
        self.first_step, self.last_tokens = state.global_step, state.num_input_tokens_seen
        if state.is_world_process_zero:
            path = Path(args.output_dir) / LOG
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [row for row in read_log(path) if row["step"] <= state.global_step] if state.global_step else []
            path.write_text("".join(f"{json.dumps(row)}\n" for row in kept), "utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """One line, and one row."""
        logs = logs or {}
        if not state.is_world_process_zero or not logs.keys() & {"loss", "eval_loss"}:
            return
        row = {"step": state.global_step, "steps": state.max_steps} | {
            name: value for name, value in logs.items() if name in KEPT
        }
        if "loss" in logs:
            row |= self._speed(state)
        with (Path(args.output_dir) / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(line(row), file=self.out, flush=True)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Draw the curve anew."""
        if state.is_world_process_zero:
            draw_curve(state.log_history, Path(args.output_dir) / CURVE)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw the whole curve."""
        self.on_save(args, state, control)

    def _speed(self, state: TrainerState) -> dict[str, float]:
        """Tokens per second since the last log, memory in bytes, and seconds left."""
        now, tokens = monotonic(), state.num_input_tokens_seen
        per_second = (tokens - self.last_tokens) / max(now - self.last_time, 1e-9)
        per_step = (now - self.began) / max(state.global_step - self.first_step, 1)
        self.last_time, self.last_tokens = now, tokens
        return {
            "tokens_per_second": round(per_second, 1),
            "memory": used_memory(),
            "seconds_left": round(per_step * (state.max_steps - state.global_step), 1),
        }


KEPT = frozenset({"loss", "eval_loss", "learning_rate", "grad_norm", "epoch"})


def line(row: Mapping[str, Any]) -> str:
    """A row as a line to read."""
    parts = [f"step {row['step']}/{row['steps']}"]
    if "eval_loss" in row:
        parts.append(f"evaluation loss {row['eval_loss']:.4f}")
    if "loss" in row:
        parts.append(f"loss {row['loss']:.4f}")
    if "tokens_per_second" in row:
        parts += [
            f"{row['tokens_per_second']:,.0f} tokens/s",
            f"{row['memory'] / 2**30:.1f} GiB",
            f"{duration(row['seconds_left'])} left",
        ]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """A time span as 45 s, 12 min or 3 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def used_memory() -> int:
    """Bytes in use: the most that the GPU held so far, or of main memory now."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return int(psutil.Process().memory_info().rss)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log.jsonl; none if there is no such file. A row that was cut off is left out."""
    rows = []
    for text in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(text))
        except ValueError:
            continue
    return rows


def draw_curve(history: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Draw loss and evaluation loss over steps as a PNG; nothing where nothing was logged."""
    rows = list(history)
    curves = {
        label: [(row["step"], row[key]) for row in rows if key in row]
        for key, label in (("loss", "loss"), ("eval_loss", "evaluation loss"))
    }
    if not any(curves.values()):
        return
    # Imported late, and without its global state: this is the one place that draws.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    for label, points in curves.items():
        if points:
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 50 else "", label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    FigureCanvasAgg(figure).print_png(path)
