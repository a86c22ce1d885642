"""Two replicas without a model behind the ingress, in one process: one dies or fails before its answer begins."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from ray.exceptions import RayActorError

from app.replicas import replica
from app.replicas.ingress import make_ingress
from app.replicas.relay import Replicas
from app.replicas.routing import parted, ranked
from app.replicas.tunnel import Asked
from app.settings import Settings
from tests.waiting import awaited

SETTINGS = Settings(model="m", backend="echo", api_only=True)
NAMES = ("a1", "b2")


class Deployment:
    """A handle to both; what is sent is pickled, as between processes.

    Attributes:
        deadly: piece of an answer whose third one ends the replica that writes it.
    """

    def __init__(self, replicas: dict[str, replica.ModelReplica]) -> None:
        self.replicas = replicas
        self.deadly = b""
        self._session = ""

    def options(self, session_id: str = "", **others: Any) -> Deployment:
        self._session = session_id
        return self

    def remote(self, asked: Asked) -> Any:
        conversation, avoided = parted(self._session)
        name = ranked(conversation, dict.fromkeys(self.replicas, 0), avoided)[0][0]
        return Answer(self, name, pickle.dumps(asked))


class Answer:
    """Of one of them."""

    def __init__(self, deployment: Deployment, name: str, asked: bytes) -> None:
        self._deployment, self._name, self._asked = deployment, name, asked

    async def __aiter__(self) -> AsyncIterator[Any]:
        seen = b""
        async for piece in self._deployment.replicas[self._name].answer(pickle.loads(self._asked)):
            yield piece
            seen += piece if isinstance(piece, bytes) else b""
            if self._deployment.deadly and seen.count(self._deployment.deadly) > 2:
                self._deployment.deadly = b""
                raise RayActorError

    def cancel(self) -> None:
        """There is no work of another process to end."""


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    made = {}
    for name in NAMES:
        monkeypatch.setattr(replica.serve, "get_replica_context", lambda name=name: SimpleNamespace(replica_tag=name))
        made[name] = replica.ModelReplica(SETTINGS)
    yield Deployment(made)
    for one in made.values():
        one.__del__()


def replies(deployment: Deployment, *asked: dict[str, Any]) -> list[httpx.Response]:
    """Those to some requests, one after another."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_ingress(Replicas(deployment), SETTINGS))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingress", timeout=60) as client:
            return [await client.post("/v1/chat/completions", json=fields) for fields in asked]

    return awaited(ask())


def question(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "prompt_cache_key": "a talk"} | fields


def test_a_replica_that_dies_before_its_answer_begins_is_noticed_by_nobody(deployment: Deployment) -> None:
    deployment.deadly = b'"progress":{'
    told = {"include_usage": True, "include_progress": True}
    words = "some words " * 60  # progress is told twice a second
    (reply,) = replies(deployment, question(words, stream=True, num_beams=3, stream_options=told))
    *events, done = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert not deployment.deadly and done == "[DONE]" and "error" not in reply.text
    chunks = [json.loads(event) for event in events]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta.get("role") for delta in deltas].count("assistant") == 1
    assert "".join(delta.get("content", "") for delta in deltas).startswith("Message 1: text")
    assert len({chunk["id"] for chunk in chunks if chunk["choices"]}) == 1, "an answer has one name"
    assert len({chunk["id"] for chunk in chunks if chunk.get("progress")}) == 2, "two have worked on it"


def test_a_replica_that_dies_in_its_answer_ends_it(deployment: Deployment) -> None:
    deployment.deadly = b'"content":"'
    (reply,) = replies(deployment, question("some words " * 10, stream=True))
    assert reply.text.count('"code":"replica_lost"') == 1 and "Message" in reply.text


def test_what_a_failed_replica_is_asked_the_other_one_answers(deployment: Deployment) -> None:
    *failures, answer = replies(deployment, *[question("/fail it")] * 3, question("Hello"))
    (failed,) = {failure.headers["x-replica"] for failure in failures}
    assert {failure.status_code for failure in failures} == {500}
    assert answer.status_code == 200 and answer.headers["x-replica"] != failed
    assert "Hello" in answer.json()["choices"][0]["message"]["content"]
