"""Two real replicas on this machine's cores: who gets what, and what happens when one goes."""

from __future__ import annotations

import base64
import io
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import openai
import pytest
from PIL import Image

from app.backends.openai import OpenAIBackend
from app.errors import GenerationError
from app.messages import Image as Picture
from app.messages import Message
from app.sampling import SamplingParams
from app.settings import Settings
from benchmarks.replicas import measure, summary
from tests.embedded import QUERIES
from tests.replicas.cluster import PATIENCE, Cluster, Stream, error_of, running

LONG = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=4000, min_new_tokens=4000)
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(3 * PATIENCE),
]  # everything else of replicas is tested without Ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        running(Path(folder), "--replicas", "2") as cluster,
    ):
        yield cluster


def question(text: str, colour: str = "red") -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (90, 90), colour).save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def texts_of_both(cluster: Cluster) -> dict[str, str]:
    """How a conversation begins that is at home on each of the replicas."""
    found: dict[str, str] = {}
    for number in range(40):
        text = f"Tell story {number}"
        found.setdefault(cluster.ask([{"role": "user", "content": text}], max_tokens=1)[0], text)
        if len(found) == 2:
            return found
    raise AssertionError("one replica gets everything")


def streams_on_both(cluster: Cluster, tokens: int) -> list[Stream]:
    """A stream on each replica, both being written."""
    streams = [Stream(cluster, text, tokens) for text in texts_of_both(cluster).values()]
    for stream in streams:
        stream.wait_until_it_writes()
    assert {stream.replica for stream in streams} == set(cluster.replicas())
    return streams


def test_both_replicas_get_work(cluster: Cluster) -> None:
    assert set(texts_of_both(cluster)) == set(cluster.replicas())
    assert cluster.count("minicpmv_answers_total", end="length") >= 2


def test_a_conversation_stays_where_its_cache_is(cluster: Cluster) -> None:
    for colour in ("red", "green", "blue"):
        messages: list[dict[str, Any]] = [question("What colour is it?", colour)]
        homes = set()
        for turn in range(3):
            home, answer = cluster.ask(messages)
            homes.add(home)
            cached = answer.usage.prompt_tokens_details.cached_tokens
            assert (cached > 48) if turn else True, (turn, answer.usage)
            messages += [
                {"role": "assistant", "content": answer.choices[0].message.content},
                {"role": "user", "content": f"And what else, {turn}?"},
            ]
        assert len(homes) == 1


def test_the_benchmark_finds_that_turns_meet_their_cache(cluster: Cluster) -> None:
    figures = summary(measure(cluster.url, users=3, turns=3))
    assert figures["follow_ups"] == 6 and figures["same_replica"] == 1.0
    assert 0.5 < figures["reused"] < 1.0 and figures["ttft_s"] > 0


def test_the_page_answers_through_it(cluster: Cluster, tmp_path: Path) -> None:
    Image.new("RGB", (90, 90), "red").save(tmp_path / "red.png")
    backend = OpenAIBackend(Settings(model="m", backend="openai", engine="minicpm", base_urls=[f"{cluster.url}/v1"]))
    try:
        backend.start()
        params = SamplingParams(do_sample=False, max_new_tokens=8)
        asked = [Message.of("user", Picture(tmp_path / "red.png"), "What colour is it?")]
        chunks = list(backend.stream(asked, params))
        assert "".join(chunk.text for chunk in chunks) and chunks[-1].finish_reason
        assert chunks[-1].usage and chunks[-1].usage.vision_tokens == QUERIES
    finally:
        backend.close()


def test_errors_have_the_shape_of_the_protocol(cluster: Cluster) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        cluster.ask([{"role": "user", "content": "Hi"}], model="other")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        cluster.ask([{"role": "user", "content": "Hi"}], max_tokens=0)
    assert error_of(cluster.get("/nowhere"))["type"] == "invalid_request_error"
    assert [card.id for card in cluster.client.models.list().data] == ["tiny-minicpm-v"]
    assert "/v1/chat/completions" in cluster.get("/openapi.json")


def test_a_client_that_hangs_up_ends_the_work(cluster: Cluster) -> None:
    before = cluster.count("minicpmv_answers_total", end="cancelled")
    body: Any = {"model": "tiny-minicpm-v", "messages": [{"role": "user", "content": "Tell me all"}]}
    with cluster.client.chat.completions.create(
        **body, stream=True, max_tokens=4000, extra_body={"ignore_eos": True}
    ) as answer:
        for number, _ in enumerate(answer):
            if number == 5:
                break
    cluster.wait_for(lambda: cluster.count("minicpmv_answers_total", end="cancelled") == before + 1)
    cluster.wait_for(lambda: cluster.count("minicpmv_answers_running") == 0)


def test_a_replica_that_is_killed_takes_only_its_own_answers_with_it(cluster: Cluster) -> None:
    before = cluster.replicas()
    streams = streams_on_both(cluster, 1500)
    page = OpenAIBackend(Settings(model="m", backend="openai", engine="minicpm", base_urls=[cluster.url]))
    try:
        page.start()
        chunks = page.stream([Message.of("user", "Tell me all you know")], LONG)
        kept = next(chunk.text for chunk in chunks if chunk.text)
        # The page shares a replica with one of the two streams.
        busy = {name: cluster.count("minicpmv_answers_running", replica=name) for name in before}
        lost, other = sorted(streams, key=lambda stream: -busy[stream.replica])
        os.kill(before[lost.replica], signal.SIGKILL)
        with pytest.raises(GenerationError, match="replica"):
            for chunk in chunks:
                kept += chunk.text
        assert len(kept) > 1, "the page keeps what was written"
        lost.join(PATIENCE)
        assert isinstance(lost.error, openai.APIError) and lost.error.code == "replica_lost", lost.error
        assert lost.pieces
        # Nobody waits for the new one: the replica that is left answers, whoever's home was the other one.
        again = list(page.stream([Message.of("user", "Tell me all you know")], SamplingParams(max_new_tokens=4)))
        assert again[-1].finish_reason
        assert cluster.ask([{"role": "user", "content": "Are you there?"}])[0] in cluster.replicas()
        other.join(PATIENCE)
        assert other.error is None and other.new_tokens == 1500
    finally:
        page.close()
    cluster.wait_until_two()
    assert lost.replica not in cluster.replicas() and other.replica in cluster.replicas()


def test_replacing_all_replicas_loses_no_request(cluster: Cluster) -> None:
    before = set(cluster.replicas())
    failures: list[Exception] = []
    answered: list[str] = []
    enough = Event()

    def keep_asking(user: int) -> None:
        while not enough.is_set():
            try:
                answered.append(cluster.ask([{"role": "user", "content": f"User {user} asks"}])[0])
            except Exception as error:
                failures.append(error)
            enough.wait(0.3)

    users = [Thread(target=keep_asking, args=(user,), daemon=True) for user in range(3)]
    long = streams_on_both(cluster, 600)
    for user in users:
        user.start()
    cluster.process.send_signal(signal.SIGHUP)
    try:
        cluster.wait_for(lambda: len(found := set(cluster.replicas())) == 2 and not found & before)
        time.sleep(1)  # with the new ones alone
    finally:
        enough.set()
    for thread in [*users, *long]:
        thread.join(PATIENCE)
    assert not failures
    assert [stream.error for stream in long] == [None, None] and [stream.new_tokens for stream in long] == [600, 600]
    assert set(answered) & set(cluster.replicas()), "the new replicas answered nobody"


def test_the_end_waits_for_answers(cluster: Cluster) -> None:
    stream = Stream(cluster, "One more story", 300)
    stream.wait_until_it_writes()
    cluster.process.send_signal(signal.SIGTERM)
    stream.join(PATIENCE)
    assert stream.error is None and stream.new_tokens == 300
    assert cluster.process.wait(PATIENCE) == 0
