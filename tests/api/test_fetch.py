"""Files from other hosts: named hosts on the public internet alone, whatever a name or a redirect says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import httpx
import pytest

from app.api.errors import ApiError
from app.api.fetch import Fetcher, is_public
from app.api.media import RequestMedia
from app.api.store import MediaStore
from tests.api.conftest import asked, image_part, picture

MOST = 10_000


class Handler(BaseHTTPRequestHandler):
    """/a.png is a file, /to/URL redirects there, /large is too large, /cut ends too early, /gone is not there.

    /slow drips its headers, /slow/body its body.
    """

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers["Host"]))
        if self.path.startswith("/slow"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if self.path == "/slow/body" else b""))
            with suppress(OSError):
                while not server.over.wait(0.02):
                    self.wfile.write(b"x")
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[len("/to/") :])
            self.end_headers()
            return
        body = b"x" * (MOST + 1) if self.path == "/large" else picture()
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(body) + (self.path == "/cut")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def host() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.over = [], threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses by name, in place of the network's."""
    table: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def lookup(name: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if name in table:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[name]]
        return real(name, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return table


def refusal(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(ApiError) as caught:
        fetcher.fetch(url, MOST)
    return str(caught.value)


def anywhere(hosts: Any) -> Fetcher:
    """One that believes this machine public."""
    return Fetcher(hosts, allowed=lambda address: True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
        ("3fff::1", False),
    ],
)
def test_only_public_addresses_are_connected_to(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def test_a_file_of_a_named_host_is_read(host: Any, names: dict[str, list[str]]) -> None:
    names["files.example"] = ["127.0.0.1"]
    url = f"http://files.example:{host.server_port}/a.png?size=1"
    assert anywhere([f"files.example:{host.server_port}"]).fetch(url, MOST) == picture()
    assert host.asked == [("/a.png?size=1", f"files.example:{host.server_port}")]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_named_host_with_a_private_address_is_not_asked(host: Any, names: dict[str, list[str]], address: str) -> None:
    names["files.example"] = [address]
    allowed = [f"files.example:{host.server_port}", "files.example"]
    assert "not on the public internet" in refusal(Fetcher(allowed), f"http://files.example:{host.server_port}/a.png")
    assert host.asked == []


def test_one_private_address_among_several_is_enough(host: Any, names: dict[str, list[str]]) -> None:
    names["files.example"] = ["93.184.216.34", "127.0.0.1"]
    assert "not on the public internet" in refusal(Fetcher(["files.example"]), "http://files.example/a.png")


def test_the_name_is_looked_up_once(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def lookup(name: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        looked_up.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    port = host.server_port
    anywhere([f"files.example:{port}"]).fetch(f"http://files.example:{port}/a.png", MOST)
    # What is looked up then is the address that was checked.
    assert [name for name in looked_up if name != "127.0.0.1"] == ["files.example"]


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ([], "http://files.example/a.png"),
        (["files.example"], "http://other.example/a.png"),
        (["files.example"], "http://files.example.evil.example/a.png"),
        (["files.example"], "http://evilfiles.example/a.png"),
        (["files.example"], "http://files.example:8080/a.png"),
        (["*.files.example"], "http://files.example/a.png"),
        (["files.example"], "http://files.example@evil.example/a.png"),
        (["files.example"], "http://user:secret@files.example/a.png"),
        (["files.example"], "ftp://files.example/a.png"),
        (["files.example"], "http:///a.png"),
        (["files.example"], "http://[files.example/a.png"),
        (["files.example"], "http://files.example/a b\r\nHost: x"),
        (["files.example"], "http://127.0.0.1/a.png"),
        (["files.example"], "http://2130706433/a.png"),
    ],
)
def test_other_urls_are_not_asked(names: dict[str, list[str]], hosts: list[str], url: str) -> None:
    assert "secret" not in refusal(anywhere(hosts), url)


def test_names_below_a_name_and_ports_may_be_listed(host: Any, names: dict[str, list[str]]) -> None:
    names["a.files.example"] = names["files.example"] = ["127.0.0.1"]
    fetcher = anywhere([f"*.files.example:{host.server_port}"])
    assert fetcher.fetch(f"http://A.Files.Example.:{host.server_port}/a.png", MOST) == picture()
    assert "not one of those" in refusal(fetcher, f"http://files.example:{host.server_port}/a.png")


def test_redirects_are_followed_and_checked_again(host: Any, names: dict[str, list[str]]) -> None:
    names["files.example"] = names["private.example"] = ["127.0.0.1"]
    port = host.server_port
    fetcher = anywhere([f"files.example:{port}"])
    start = f"http://files.example:{port}/to/"
    assert fetcher.fetch(f"{start}/a.png", MOST) == picture()
    for other in (f"http://private.example:{port}/a.png", f"http://127.0.0.1:{port}/a.png", "file:///etc/passwd"):
        host.asked.clear()
        assert refusal(fetcher, start + other)
        assert [path for path, _ in host.asked] == ["/to/" + other]
    assert "redirected more than" in refusal(fetcher, f"{start}/to//to//to//to//a.png")


def test_a_redirect_to_a_private_address_of_an_allowed_name_is_not_followed(
    host: Any, names: dict[str, list[str]]
) -> None:
    names["files.example"], names["inside.example"] = ["127.0.0.1"], ["127.0.0.2"]
    port = host.server_port
    fetcher = Fetcher(
        [f"files.example:{port}", f"inside.example:{port}"], allowed=lambda address: str(address) == "127.0.0.1"
    )
    url = f"http://files.example:{port}/to/http://inside.example:{port}/a.png"
    assert "not on the public internet" in refusal(fetcher, url)


def test_what_is_too_large_or_not_there_is_told(host: Any, names: dict[str, list[str]]) -> None:
    names["files.example"] = ["127.0.0.1"]
    fetcher = anywhere([f"files.example:{host.server_port}"])
    with pytest.raises(ApiError) as caught:
        fetcher.fetch(f"http://files.example:{host.server_port}/large", MOST)
    assert caught.value.status == 413
    assert "404" in refusal(fetcher, f"http://files.example:{host.server_port}/gone")
    assert "cannot be trusted" in refusal(
        anywhere([f"files.example:{host.server_port}"]), f"https://files.example:{host.server_port}/a.png"
    )
    host.shutdown()
    host.server_close()
    assert "cannot be reached" in refusal(fetcher, f"http://files.example:{host.server_port}/a.png")


def test_a_request_may_name_an_allowed_host(
    serve: Any, host: Any, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.service.Fetcher", anywhere)
    names["files.example"] = ["127.0.0.1"]
    server = serve(allow_url_hosts=(f"files.example:{host.server_port}",))
    request = asked(image_part(f"http://files.example:{host.server_port}/a.png"), "What?")
    text = server.client().chat.completions.create(**request).choices[0].message.content
    assert "image 1 of 4x3 px" in text


def test_a_request_may_not_name_this_machine(serve: Any, host: Any) -> None:
    server = serve(allow_url_hosts=(f"localhost:{host.server_port}",))
    body = asked(image_part(f"http://localhost:{host.server_port}/a.png"), "What?")
    reply = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert reply.status_code == 400 and "not on the public internet" in reply.text
    assert host.asked == []


def test_a_file_that_ends_too_early_is_none(host: Any) -> None:
    port = host.server_address[1]
    assert "ends before the file" in refusal(anywhere([f"127.0.0.1:{port}"]), f"http://127.0.0.1:{port}/cut")


def test_a_redirect_to_what_is_no_url_is_refused(host: Any) -> None:
    port = host.server_address[1]
    assert "malformed" in refusal(anywhere([f"127.0.0.1:{port}"]), f"http://127.0.0.1:{port}/to/http://[")


@pytest.mark.parametrize("path", ["/slow", "/slow/body"])
def test_a_host_that_drips_is_given_up_at_the_deadline(path: str, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.fetch.DEADLINE", 0.4)
    port = host.server_address[1]
    begun = time.monotonic()
    assert "deliver" in refusal(anywhere([f"localhost:{port}"]), f"http://localhost:{port}{path}")
    assert 0.3 < time.monotonic() - begun < 10


def test_all_files_of_a_request_share_one_deadline(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.media.DEADLINE", 0.4)
    port = host.server_address[1]
    with MediaStore() as store:
        media = RequestMedia(store, anywhere([f"localhost:{port}"]), MOST)
        for _ in range(3):
            with pytest.raises(ApiError, match=r"deliver|reached"):
                media.image(f"http://localhost:{port}/slow")
    assert len(host.asked) == 1, "the time of the request was over"


def test_nothing_is_fetched_for_who_has_hung_up(host: Any) -> None:
    port = host.server_address[1]
    with MediaStore() as store:
        media = RequestMedia(store, anywhere([f"localhost:{port}"]), MOST)
        media.release()
        with pytest.raises(ApiError, match="hung up"):
            media.image(f"http://localhost:{port}/a.png")
    assert host.asked == []
