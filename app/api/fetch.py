"""Media from other hosts: only those that are named, and never a machine that is not on the public internet.

A name is looked up once, every address it has is checked, and the connection goes to the address that was checked, so
that a name that changes its mind between the two gains nothing. Redirects are followed by hand, each checked as the
first URL was.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import Any
from urllib.parse import urljoin, urlsplit

from app.api.errors import ApiError, too_large

MAX_REDIRECTS = 3
TIMEOUT = 10.0  # seconds without a byte
DEADLINE = 60.0  # seconds for all files of a request
PIECE = 256 * 1024  # bytes
PORTS = {"http": 80, "https": 443}
# Addresses of these hold one of IPv4, which may be private.
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
# Not on the internet, though not every version of the standard library knows: those of one site, and of documentation.
INTERNAL = (IPv6Network("fec0::/10"), IPv6Network("3fff::/20"))

Address = IPv4Address | IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address is of a machine on the public internet."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address.sixtofour or address.teredo or any(address in network for network in TRANSLATED + INTERNAL):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


@dataclass(frozen=True, slots=True)
class _Target:
    """One URL, taken apart and checked."""

    secure: bool
    host: str
    port: int
    path: str


class Fetcher:
    """Gets files by http(s).

    Args:
        hosts: names that may be asked; "*.NAME" is every name below NAME, and "NAME:PORT" allows that port, which is
            else the scheme's own. None allowed means that no URL is.
        allowed: whether an address may be connected to.
    """

    def __init__(self, hosts: Sequence[str] = (), allowed: Callable[[Address], bool] = is_public) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._allowed = allowed

    def fetch(self, url: str, most: int, deadline: float | None = None) -> bytes:
        """The file at a URL.

        Args:
            most: bytes.
            deadline: on the clock of `monotonic`; `DEADLINE` from now if None.

        Raises:
            ApiError: the host is not allowed or not public, does not answer with a file, or that is too large.
        """
        deadline = monotonic() + DEADLINE if deadline is None else deadline
        secure = False
        for _ in range(MAX_REDIRECTS + 1):
            target = self._check(url)
            if secure and not target.secure:
                raise refused("The URL is redirected from https to http.")
            secure = target.secure
            found = self._ask(target, most, deadline)
            if isinstance(found, bytes):
                return found
            try:
                url = urljoin(url, found)
            except ValueError:
                raise refused("The URL is redirected to one that is malformed.") from None
        raise refused(f"The URL is redirected more than {MAX_REDIRECTS} times.")

    def _check(self, url: str) -> _Target:
        if not self._hosts:
            raise refused("URLs of other hosts are not read here.", "Send the file as a data URL.")
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".").encode("idna").decode()
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            raise refused("The URL is malformed.") from None
        if parts.scheme not in PORTS or not host or parts.username is not None or parts.password is not None:
            raise refused("The URL is not a plain http(s) URL.")
        if not self._is_listed(host, port, port == PORTS[parts.scheme]):
            raise refused("The URL's host is not one of those that are allowed.", "Send the file as a data URL.")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(not "!" <= letter <= "~" for letter in path):
            raise refused("The URL has characters that must be escaped.")
        return _Target(parts.scheme == "https", host, port, path)

    def _is_listed(self, host: str, port: int, usual: bool) -> bool:
        for listed in self._hosts:
            name, mark, number = listed.rpartition(":") if listed.rpartition(":")[2].isdigit() else (listed, "", "")
            if int(number) != port if mark else not usual:
                continue
            if host == name or (name.startswith("*.") and host.endswith(name[1:])):
                return True
        return False

    def _ask(self, target: _Target, most: int, deadline: float) -> bytes | str:
        """The file, or where it is instead."""
        connection = _connection(target, self._connect(target, deadline), deadline)
        try:
            connection.request("GET", target.path, headers={"Accept": "image/*, video/*", "User-Agent": "minicpm-v"})
            response = connection.getresponse()
            if response.status in (301, 302, 303, 307, 308) and (location := response.headers.get("Location")):
                return location
            if response.status != 200:
                raise refused(f"The host answers with status {response.status} instead of a file.")
            return _read(response, most, deadline)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise refused(f"The host does not deliver the file ({type(cause).__name__}).") from None
        finally:
            connection.close()

    def _connect(self, target: _Target, deadline: float) -> socket.socket:
        """A connection to an address that is allowed; refused if any of the name's is not."""
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise refused("The URL's host is not known.") from None
        addresses = [str(item[4][0]) for item in found]
        if not addresses or not all(self._allowed(ip_address(address.partition("%")[0])) for address in addresses):
            raise refused("The URL's host is not on the public internet.")
        try:
            return socket.create_connection((addresses[0], target.port), timeout=_seconds_left(deadline))
        except OSError as cause:
            raise refused(f"The URL's host cannot be reached ({type(cause).__name__}).") from None


def refused(message: str, hint: str = "") -> ApiError:
    """A URL that is not read; it is not repeated, for it may hold secrets."""
    return ApiError(message, hint, code="invalid_url")


class _Reader(io.RawIOBase):
    """What comes from a host, until a deadline for all of it, status line and headers included.

    The socket's own timeout begins anew with every byte.
    """

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = plain, deadline
        self._bytes: Any = plain.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, at least one byte but at the end."""
        self._socket.settimeout(_seconds_left(self._deadline))
        return int(self._bytes.readinto(buffer))

    def close(self) -> None:
        """Let go of the socket."""
        self._bytes.close()
        super().close()

    def makefile(self, mode: str) -> io.BufferedReader:
        """This itself, as `http.client` asks a socket for it."""
        return io.BufferedReader(self, PIECE)


def _seconds_left(deadline: float) -> float:
    """How long to wait for the next byte.

    Raises:
        TimeoutError: the deadline has passed.
    """
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return min(TIMEOUT, left)


def _connection(target: _Target, plain: socket.socket, deadline: float) -> http.client.HTTPConnection:
    """HTTP on a connection that stands; its certificate is checked against the name."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT)
    try:
        secure = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=target.host) if target.secure else plain
        )
    except OSError as cause:
        plain.close()
        raise refused(f"The URL's host cannot be trusted ({type(cause).__name__}).") from None
    connection.sock = secure
    connection.response_class = partial(_response, deadline=deadline)  # type: ignore[assignment]
    connection.default_port = PORTS["https" if target.secure else "http"]
    return connection


def _response(plain: socket.socket, *, deadline: float, **options: Any) -> http.client.HTTPResponse:
    reader: Any = _Reader(plain, deadline)
    return http.client.HTTPResponse(reader, **options)


def _read(response: http.client.HTTPResponse, most: int, deadline: float) -> bytes:
    data = bytearray()
    while piece := response.read1(PIECE):
        data += piece
        if len(data) > most:
            raise too_large(most)
        if monotonic() > deadline:
            raise refused(f"The files take more than {DEADLINE:.0f} s.")
    if response.length:
        raise refused("The host ends before the file does.")
    return bytes(data)
