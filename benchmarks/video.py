"""The video readers side by side: seconds and peak memory of choosing and decoding a clip's frames.

`short`: 10 seconds of 1280 x 720, a key frame every 10 seconds, 10 frames; `long`: 60 minutes of 640 x 360, 64 frames.
Every reading has a process of its own. `ratio` is another reader's time over that of the default one, `pyav`; decord is
left out where it is not installed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from app.media.video import Reader, read_frames
from benchmarks.clips import looped_clip
from benchmarks.fresh import held_bytes, in_fresh_process, peak_bytes
from benchmarks.options import Cases, Options, median
from benchmarks.timing import ratio, seconds_of

REPEATS = 3
MODULES = {"pyav": "av", "decord": "decord"}
# Width, height, and how often a clip of 10 seconds is played.
CLIPS = {"short": (1280, 720, 1), "long": (640, 360, 360)}


def run(options: Options) -> Cases:
    """Every reader on each clip, in turn."""
    readers = [reader for reader in get_args(Reader) if find_spec(MODULES.get(reader, reader))]
    cases: Cases = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (width, height, times) in CLIPS.items():
            if options.small:
                width, height, times = width // 4, height // 4, min(times, 2)
            path = looped_clip(Path(folder) / f"{name}.mp4", width, height, times)
            rows = [
                {reader: in_fresh_process(read, path, reader) for reader in readers} for _ in range(options.repeats)
            ]
            cases[name] = _summary(rows, readers)
    return cases


def read(path: Path, reader: Reader) -> dict[str, float]:
    """Read a clip's frames as the application does; seconds, and the bytes that came on top."""
    __import__(MODULES[reader])
    before, frames = held_bytes(), []
    seconds = seconds_of(lambda: frames.extend(read_frames(path, reader=reader).frames))
    return {"seconds": seconds, "bytes": peak_bytes() - before, "frames": len(frames)}


def _summary(rows: Sequence[dict[str, dict[str, float]]], readers: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"frames": int(rows[0][readers[0]]["frames"])}
    for reader in readers:
        found[f"{reader}_s"] = median([row[reader]["seconds"] for row in rows])
        found[f"{reader}_peak_mb"] = median([row[reader]["bytes"] / 1e6 for row in rows], 1)
    if "decord" in readers:
        seconds = ([row[reader]["seconds"] for row in rows] for reader in ("decord", "pyav"))
        found["ratio"] = ratio(*seconds)
    return found
