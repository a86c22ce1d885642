"""A real server, a real Chromium, and the page as a user sees it. Every wait is for a condition."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

from benchmarks.ports import free_port
from tests.browser.contexts import Contexts
from tests.checkpoints import untrained
from tests.conftest import FAILED

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "assets" / "examples"
TINY = ROOT / "assets" / "tiny-minicpm-v"
SCREENSHOTS = ROOT / "tests" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage""".split()
# Each window of the browser loads two more pages for its address bar. Playwright's own list is replaced by this one.
UNUSED = """WebUIOmniboxPopup WebUIOmniboxAimPopup WebUIOmniboxFullPopup AimEnabled HttpsUpgrades MediaRouter
    PaintHolding HttpsFirstBalancedModeAutoEnable LensOverlay ThirdPartyStoragePartitioning OptimizationHints
    PreconnectToSearch NetworkTimeServiceQuerying DestroyProfileOnBrowserClose
    AvoidUnnecessaryBeforeUnloadCheckSync""".split()
FLAGS.append("--disable-features=" + ",".join(UNUSED))
# A page of a site that is open already need not be compiled anew.
FLAGS.append("--process-per-site")
DESKTOP = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US"}
PATIENCE = 90_000  # ms, on a busy machine
START = 300  # seconds a server may take there to come up, or to end
DEMO = ["web_demo_2.6.py", "--port", "{port}"]
SERVERS = {
    "echo": [*DEMO, "--backend", "echo"],
    "tiny": [*DEMO, "--model", str(TINY), "--device", "cpu", "--max-new-tokens", "24"],
    "short": ["tests/browser/short_server.py", "{port}", str(TINY)],
    "verbatim": ["tests/browser/verbatim_server.py", "{port}"],
}
KEPT = ("echo", "verbatim", "tiny")


class ChatPage:
    """What a user does on the page, by accessible names."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", self._note_error)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note_request)
        self.open()

    def open(self) -> None:
        self.page.goto(self.url)
        expect(self.page.get_by_placeholder(re.compile("Ask anything|就你的图片"))).to_be_visible()
        expect(self.page.get_by_role("button", name=re.compile("^(Send|发送)$"))).to_have_count(1)

    def reload(self) -> None:
        before = list(self.errors)
        self.open()
        self.errors[:] = before  # Gradio reports the streams of the page that was left as aborted

    @property
    def box(self) -> Locator:
        return self.page.get_by_placeholder("Ask anything about your images and videos")

    @property
    def send_button(self) -> Locator:
        return self.page.get_by_role("button", name="Send", exact=True)

    @property
    def stop_button(self) -> Locator:
        return self.page.get_by_role("button", name="Stop", exact=True)

    @property
    def messages(self) -> Locator:
        """All bubbles: questions at even, answers at odd places."""
        return self.page.locator(".conversation .ms-gr-pro-chatbot-message")

    @property
    def footers(self) -> Locator:
        """Figures under complete answers."""
        return self.page.get_by_text(re.compile(r"\d+ tokens? · "))

    def message(self, index: int) -> Locator:
        return self.messages.nth(index)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def choose(self, *files: Path) -> None:
        """Choose files to attach."""
        # One that folds up is still there, for some seconds, and what is chosen in it shows as a number alone.
        if not self.page.locator(".ms-gr-ant-sender-header:not([class*=motion-leave])").count():
            self.button("Attach images and videos").click()
        self.page.locator(".message-box input[type=file]").first.set_input_files(list(files))

    def attach(self, *files: Path) -> None:
        """Choose files and wait until the server has them."""
        self.choose(*files)
        expect(self.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(len(files))
        expect(self.page.locator("[class*=status-uploading]")).to_have_count(0)

    def write(self, text: str) -> None:
        """Put a text into the box by real input events, which the page tells from its own."""
        self.box.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)

    def send(self, text: str) -> None:
        self.write(text)
        self.send_button.click()

    def ask(self, text: str, *files: Path) -> Locator:
        """Send and wait for the complete answer; returns it."""
        before = self.footers.count()
        if files:
            self.attach(*files)
        self.send(text)
        expect(self.footers).to_have_count(before + 1)
        self.idle()
        return self.messages.last

    def until(self, holds: str, arg: object = None) -> None:
        """Wait until what a JavaScript function gives holds; it may be async, which Playwright's own does not await."""
        deadline = monotonic() + PATIENCE / 1000
        while not self.page.evaluate(holds, arg):
            assert monotonic() < deadline, f"it never came to that: {holds} with {arg!r}"
            self.page.wait_for_timeout(50)

    def idle(self) -> None:
        expect(self.stop_button).to_have_count(0)
        expect(self.send_button).to_be_visible()

    @contextmanager
    def slowed(self, times: float) -> Iterator[None]:
        """As on a machine that much slower, and as before behind the block: other pages share the process."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": times})
        try:
            yield
        finally:
            session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
            session.detach()

    def shoot(self, name: str) -> None:
        """Keep a picture for a developer to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def _note_error(self, message) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}".strip())

    def _note_request(self, request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser, a server and a model on two busy cores: two more tries, which the summary counts as reruns."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2))


@contextmanager
def serving(command: list[str], log: Path) -> Iterator[str]:
    """A server process on a free port, until the block ends."""
    port = free_port()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *(word.format(port=port) for word in command)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START)  # on a busy machine its end takes long too


def _wait_until_up(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = monotonic() + START
    while True:
        if process.poll() is not None or monotonic() > deadline:
            raise RuntimeError(f"The server did not start:\n{log.read_text()[-2000:]}")
        try:
            urlopen(url, timeout=5).close()
            return
        except (URLError, ConnectionError, TimeoutError):
            sleep(0.2)  # else asking takes half of the processor from what is to start


class Urls(dict[str, str]):
    """URLs of servers by name, each started when first asked for; they end together.

    Args:
        others: servers that somebody else starts and ends.
    """

    def __init__(self, logs: Path, others: Mapping[str, str] | None = None) -> None:
        self._logs, self._others = logs, others
        self._running = ExitStack()

    def __missing__(self, name: str) -> str:
        if self._others is not None and name in KEPT:
            self[name] = self._others[name]
        else:
            self[name] = self._running.enter_context(serving(self._command(name), self._logs / f"{name}.log"))
        return self[name]

    def _command(self, name: str) -> list[str]:
        if name != "untrained":
            return SERVERS[name]
        # Made where a file asks for it, for most do not.
        return [*DEMO, "--model", str(untrained(self._logs)), "--device", "cpu", "--max-new-tokens", "24"]

    def close(self) -> None:
        self._running.close()


@pytest.fixture(scope="session")
def kept_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    """Servers until the last test: those that many files ask, of which one has a model."""
    with closing(Urls(tmp_path_factory.mktemp("servers"))) as urls:
        yield urls


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, kept_servers: Urls) -> Iterator[Urls]:
    """All servers. Others end with the file: with a model they hold a gigabyte, and a suite starts twenty."""
    with closing(Urls(tmp_path_factory.mktemp("servers"), kept_servers)) as urls:
        yield urls


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Not longer than the file: its loop counts as running in this thread, where no other can run meanwhile."""
    with sync_playwright() as started:
        yield started


def chromium() -> str:
    """The path of the browser."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        pytest.fail("No Chromium found; install one or name it with CHROMIUM=/path/to/chromium.")
    return path


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def contexts(browser: Browser, servers: Urls) -> Contexts:
    return Contexts(browser, lambda: list(servers.values()))


@pytest.fixture
def open_chat(contexts: Contexts, servers: Urls, request: pytest.FixtureRequest):
    """Opens pages; afterwards keeps a screenshot if the test failed, and checks that nothing went wrong unseen.

    A page with options of its own has a store of its own; the others of a file share one.
    """
    expect.set_options(timeout=PATIENCE)
    opened: list[ChatPage] = []

    def open_page(server: str = "echo", **options) -> ChatPage:
        url = servers[server]
        context = contexts.take(DESKTOP | options, url) if options else contexts.shared(DESKTOP, url)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        opened.append(ChatPage(page, url))
        return opened[-1]

    yield open_page
    failed = request.node.stash[FAILED]
    for number, chat in enumerate(opened):
        if failed:
            chat.shoot(re.sub(r"\W+", "_", request.node.name) + (f"_{number}" if number else ""))
        chat.page.close()
        if failed:
            contexts.drop(chat.page.context)
        else:
            contexts.give_back(chat.page.context)
    for chat in opened:
        assert chat.errors == []
        assert chat.foreign == []


@pytest.fixture
def chat(open_chat) -> ChatPage:
    """A page of the echo server."""
    return open_chat("echo")


@pytest.fixture
def own_chat(open_chat) -> ChatPage:
    """One with a store of its own."""
    return open_chat("echo", viewport=DESKTOP["viewport"])


@pytest.fixture(params=[pytest.param("echo", marks=pytest.mark.thorough), "tiny"])
def any_chat(open_chat, request: pytest.FixtureRequest) -> ChatPage:
    """A page of the echo server, then one of the tiny model."""
    return open_chat(request.param)


@pytest.fixture(params=[pytest.param("echo", marks=pytest.mark.thorough), "untrained"])
def endless_chat(open_chat, request: pytest.FixtureRequest) -> ChatPage:
    """A page of the echo server, then one of a model that never comes to an end."""
    return open_chat(request.param)


@pytest.fixture
def examples() -> Path:
    return EXAMPLES
