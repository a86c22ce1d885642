"""`/chat` as a program calls it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError as ClientError

from app.backends.echo import EchoBackend
from app.errors import MediaError, RequestError
from app.settings import Settings
from app.ui.api import history_turns, uploaded_file
from app.ui.demo import CONCURRENT, build_demo

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    # Of its own, as a server's is: another one that ends would delete the same picture from a shared folder.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        yield from served()


def served() -> Iterator[Client]:
    demo = build_demo(EchoBackend(delay=0.001, adapters=["menu"]), Settings(model="none", port=8000, backend="echo"))
    demo.queue(default_concurrency_limit=CONCURRENT)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_port=None)
    yield Client(url, verbose=False)
    demo.close()


def test_only_chat_is_public(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/chat"]
    names = [parameter["parameter_name"] for parameter in endpoints["/chat"]["parameters"]]
    assert names == ["message", "files", "history", "params"]


def test_the_answer_grows(client: Client) -> None:
    job = client.submit("/slow hello", [], [], {"seed": 3}, api_name="/chat")
    last = job.result()
    outputs = job.outputs()
    assert "seed=3" in last and 'text "/slow hello"' in last
    assert len(outputs) > 1
    assert all(later.startswith(earlier) for earlier, later in pairwise(outputs))


def test_files_come_before_the_text(client: Client) -> None:
    files = [handle_file(EXAMPLES / "shapes.png"), handle_file(EXAMPLES / "ball.mp4")]
    answer = client.predict("What?", files, [], {}, api_name="/chat")
    assert 'image 1 of 640x480 px, video 1 of 10 frames, text "What?"' in answer


def test_history_counts(client: Client) -> None:
    history = [
        {"role": "user", "content": [{"type": "image", "path": handle_file(EXAMPLES / "shapes.png")}, {"text": "a"}]},
        {"role": "assistant", "content": "b"},
    ]
    assert client.predict("c", [], history, {}, api_name="/chat").startswith("Message 2:")


def test_a_call_names_its_adapter(client: Client) -> None:
    assert "adapter='menu'" in client.predict("hi", [], [], {"adapter": "menu"}, api_name="/chat")
    assert "adapter" not in client.predict("hi", [], [], {"adapter": "base"}, api_name="/chat")


def test_defaults(client: Client) -> None:
    assert "all at their defaults" in client.predict(message="hi", api_name="/chat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hi", [], [], {"top_q": 1}), "Unknown option top_q"),
        (("hi", [], [], {"top_p": 7}), "top_p: got 7"),
        (("hi", [], [], {"adapter": "ocr"}), "Adapter 'ocr' was asked; Echo has base, menu"),
        (("hi", [], [], {"adapter": 3}), "adapter: got 3"),
        (("", [], [], {}), "empty"),
        (("hi", [], [{"role": "assistant", "content": "x"}], {}), "history has the roles"),
        (("hi", [{"path": "/etc/passwd"}], [], {}), "not uploaded"),
        (("/fail", [], [], {}), "The echo failed"),
    ],
)
def test_errors_are_readable(client: Client, arguments: tuple, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        client.predict(*arguments, api_name="/chat")


def test_a_file_that_is_no_media(client: Client, tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("text")
    with pytest.raises(ClientError, match="Attachment 1: The file is text"):
        client.predict("hi", [handle_file(text)], [], {}, api_name="/chat")


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
@pytest.mark.parametrize("where", ["files", "history"])
def test_a_path_on_the_server_sent_past_the_client_is_not_opened(client: Client, meta: dict, where: str) -> None:
    picture = {"path": str(EXAMPLES / "pair_1.png")} | meta
    history = [{"role": "user", "content": [picture]}, {"role": "assistant", "content": "x"}]
    data = ["hi", [picture], [], {}] if where == "files" else ["hi", [], history, {}]
    call = httpx.post(f"{client.src}gradio_api/call/chat", json={"data": data}).json()
    result = httpx.get(f"{client.src}gradio_api/call/chat/{call['event_id']}").text
    assert "event: error" in result
    assert "Message" not in result


@pytest.mark.parametrize("item", [None, 3, "", "/etc/passwd", {"path": "../../etc/passwd"}, {"url": "http://a/b.png"}])
def test_only_uploads_are_opened(item: object) -> None:
    with pytest.raises(MediaError, match="not uploaded"):
        uploaded_file(item)


@pytest.mark.parametrize(
    "history",
    [
        [{"role": "user", "content": "x"}],
        [{"role": "system", "content": "x"}, {"role": "assistant", "content": "y"}],
        ["x", "y"],
        [{"role": "user", "content": 3}, {"role": "assistant", "content": "y"}],
        [{"role": "user", "content": [3]}, {"role": "assistant", "content": "y"}],
    ],
)
def test_a_history_of_another_shape_is_refused(history: list) -> None:
    with pytest.raises(RequestError, match="history"):
        history_turns(history, 1000)
