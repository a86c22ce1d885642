"""From the command to a page that can be typed into.

    python -m benchmarks.first_page --runs 3 -- --model assets/tiny-minicpm-v --device cpu

Everything after "--" goes to web_demo_2.6.py. Prints one JSON object: medians over the runs, in seconds, of the
time until the server answers, until the message box is visible in a cold Chromium (needs Playwright), and of
`--help`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "web_demo_2.6.py"
BROWSER_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()


def main() -> None:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "server", nargs="*", default=["--model", str(ROOT / "assets/tiny-minicpm-v"), "--device", "cpu"]
    )
    flags = parser.parse_args()
    rows = [run(flags.server) for _ in range(flags.runs)]
    print(json.dumps({name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}, indent=2))


def run(server: list[str]) -> dict[str, float]:
    """One start of the server, in seconds."""
    started = time.monotonic()
    subprocess.run([sys.executable, str(SCRIPT), "--help"], check=True, stdout=subprocess.DEVNULL)
    row = {"help_s": time.monotonic() - started}
    port = free_port()
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, str(SCRIPT), *server, "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(url, process)
        row["server_answers_s"] = time.monotonic() - started
        row["page_visible_after_s"] = visible(url)
    finally:
        process.terminate()
        process.wait(20)
    return row


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[Any]) -> None:
    """Returns once the server answers."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"The server ended with exit code {process.returncode}.")


def visible(url: str) -> float:
    """Seconds from the request until the message box shows, in a browser without a cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        page = browser.new_page()
        started = time.monotonic()
        page.goto(url)
        page.get_by_placeholder("Ask anything about your images and videos").wait_for()
        seconds = time.monotonic() - started
        browser.close()
    return seconds


if __name__ == "__main__":
    main()
