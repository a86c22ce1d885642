"""Two replicas of the embedded model on CPUs, and a client of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import openai

from benchmarks.ports import free_port

ROOT = Path(__file__).parents[2]
TINY = ROOT / "assets" / "tiny-minicpm-v"
PATIENCE = 400  # seconds, on a busy machine


class Cluster:
    """A running one."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process, self.url = process, url
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=PATIENCE)

    def get(self, path: str) -> str:
        """What is there; empty if nothing is."""
        try:
            return urlopen(f"{self.url}{path}", timeout=20).read().decode()
        except HTTPError as error:
            return error.read().decode()
        except (URLError, OSError):
            return ""

    def replicas(self) -> dict[str, int]:
        """The processes of the replicas that run, by their names."""
        found = re.findall(r'(?m)^minicpmv_replica\{pid="(\d+)",replica="(\w+)"\} 1', self.get("/metrics"))
        return {name: int(pid) for pid, name in found}

    def count(self, name: str, **labels: str) -> float:
        """A number of /metrics, those of all replicas added up."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(f"{name}{{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))

    def wait_for(self, wanted: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not wanted():
            assert self.process.poll() is None, "the cluster ended"
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.2)

    def wait_until_two(self) -> None:
        self.wait_for(lambda: '"2 of 2 replicas ready"' in self.get("/health"))

    def ask(self, messages: list[dict[str, Any]], **fields: Any) -> tuple[str, Any]:
        """A whole answer; returns the replica's name with it."""
        fields = {"temperature": 0, "max_tokens": 8, "model": "tiny-minicpm-v"} | fields
        raw = self.client.chat.completions.with_raw_response.create(messages=messages, **fields)
        return raw.headers["x-replica"], raw.parse()


class Stream(threading.Thread):
    """An answer that is being written; `error` is what ended it before its end."""

    def __init__(self, cluster: Cluster, text: str, tokens: int) -> None:
        super().__init__(daemon=True)
        self._cluster, self._tokens = cluster, tokens
        self._messages: Any = [{"role": "user", "content": text}]
        self.pieces: list[str] = []
        self.replica = ""
        self.new_tokens = 0
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            raw = self._cluster.client.chat.completions.with_raw_response.create(
                model="tiny-minicpm-v", messages=self._messages, stream=True, max_tokens=self._tokens,
                stream_options={"include_usage": True}, extra_body={"ignore_eos": True},
            )  # fmt: skip
            self.replica = raw.headers["x-replica"]
            for event in raw.parse():
                self.new_tokens = event.usage.completion_tokens if event.usage else 0
                if event.choices and event.choices[0].delta.content:
                    self.pieces.append(event.choices[0].delta.content)
        except Exception as error:
            self.error = error

    def wait_until_it_writes(self) -> None:
        self._cluster.wait_for(lambda: len(self.pieces) > 3 or self.error is not None)
        assert self.error is None, self.error


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[Cluster]:
    """A cluster whose files lie in a folder, a short one: sockets have names of few letters."""
    port = free_port()
    command = [sys.executable, "-m", "app.replicas", "--model", str(TINY), "--device", "cpu", "--dtype", "fp32",
               "--port", str(port), *flags]  # fmt: skip
    environment = os.environ | {"HOME": str(folder), "RAY_TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        cluster = Cluster(process, f"http://127.0.0.1:{port}")
        try:
            cluster.wait_until_two()
            yield cluster
        except BaseException:
            print((folder / "log").read_text("utf-8", "replace")[-8000:])
            raise
        finally:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                process.send_signal(number)
                try:
                    process.wait(20)
                    break
                except subprocess.TimeoutExpired:
                    continue


def error_of(body: str) -> Any:
    return json.loads(body)["error"]
