"""Ports of this machine for servers that are started as processes of their own."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOWEST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")  # Linux; elsewhere what it is there by default
DEFAULT = 32_768


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody.

    Asking the system for one (port 0) gives one of those that it gives to every connection that goes out, and to
    whoever asks next: the seconds that a server takes to start are enough for that to happen.
    """
    end = int(RANGE.read_text().split()[0]) if RANGE.is_file() else DEFAULT
    while True:
        port = LOWEST + secrets.randbelow(max(end, LOWEST + 1000) - LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
