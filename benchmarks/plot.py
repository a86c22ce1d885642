"""The figures of `growth` as a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmarks.options import Cases

WORDS = {
    "ttft_s": "first token",
    "forgotten_ttft_s": "first token, nothing kept",
    "follow_up_ttft_s": "first token of a follow-up",
    "tokens_per_s": "tokens per second",
}


def draw(cases: Cases, path: Path) -> None:
    """Write times above and rates below, a column each for turns, pictures and users; `path` ends with the format."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = [name for name in ("turns", "images", "users") if f"{name}1" in cases]
    figure = Figure(figsize=(3.6 * len(columns), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(columns), sharex="col", squeeze=False)
    for (above, below), name in zip(axes.T, columns, strict=True):
        rows = {int(match[1]): row for key, row in cases.items() if (match := re.fullmatch(rf"{name}(\d+)", key))}
        _lines(above, rows, [key for key in WORDS if key.endswith("ttft_s")], "seconds")
        _lines(below, rows, ["tokens_per_s"], "tokens per second")
        above.set(yscale="log", title=name)
        below.set(xlabel=name, ylim=(0, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date and no random ids, so that the same figures give the same file; letters stay letters.
    with rc_context({"svg.hashsalt": "growth", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _lines(axes: Any, rows: dict[int, dict[str, Any]], keys: list[str], label: str) -> None:
    for key in keys:
        if all(key in row for row in rows.values()):
            axes.plot(list(rows), [row[key] for row in rows.values()], marker="o", label=WORDS[key])
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rows), [str(count) for count in rows])
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
