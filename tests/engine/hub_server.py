"""A server on this machine that speaks as much of both hubs' HTTP interfaces as their clients need to fetch a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has and what it was asked."""

    repositories: Mapping[str, Mapping[str, bytes]]
    gated: frozenset[str] = frozenset()
    url: str = ""
    fetched: list[str] = field(default_factory=list)  # names of the files whose content was sent


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve the hub on a free port; `hub.url` says where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = unquote(url.path).strip("/").split("/")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        match parts:
            case ["api", "v1", "models", owner, name, "repo", "files"]:
                self._modelscope_files(f"{owner}/{name}")
            case ["api", "v1", "models", owner, name, "repo"]:
                self._file(f"{owner}/{name}", query["FilePath"])
            case ["api", "models", owner, name, "revision", _]:
                self._hugging_face_info(f"{owner}/{name}")
            case ["api", "models", owner, name, "tree", _]:
                self._hugging_face_tree(f"{owner}/{name}")
            case [owner, name, "resolve", _, *path]:
                self._file(f"{owner}/{name}", "/".join(path))
            case _:
                self._send(404)

    do_HEAD = do_GET

    def _modelscope_files(self, repository: str) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            return self._json({"Code": 10010205001, "Message": "not found", "Success": False}, 404)
        listing = [
            {"Path": name, "Name": name, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ]
        self._json({"Code": 200, "Success": True, "Data": {"Files": listing}})

    def _hugging_face_info(self, repository: str) -> None:
        if repository not in self.hub.repositories:
            return self._send(404, {"X-Error-Code": "RepoNotFound"})
        self._json({"id": repository, "sha": COMMIT, "siblings": []})

    def _hugging_face_tree(self, repository: str) -> None:
        if repository not in self.hub.repositories:
            return self._send(404, {"X-Error-Code": "RepoNotFound"})
        files = self.hub.repositories[repository]
        self._json([{"type": "file", "path": n, "size": len(d), "oid": _oid(d)} for n, d in files.items()])

    def _file(self, repository: str, name: str) -> None:
        if repository in self.hub.gated:
            return self._send(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask for access"})
        if repository not in self.hub.repositories:
            return self._send(404, {"X-Error-Code": "RepoNotFound"})
        data = self.hub.repositories[repository].get(name)
        if data is None:
            return self._send(404, {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.hub.fetched.append(name)
        self._send(200, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT}, data)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
