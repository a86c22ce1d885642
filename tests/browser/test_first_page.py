"""What a browser that was never here is sent."""

from __future__ import annotations

import pytest

from benchmarks.browser import open_first_page
from tests.browser.conftest import chromium

pytestmark = pytest.mark.browser

MOST = 3_500_000  # bytes


def test_the_first_page_is_small(servers: dict[str, str]) -> None:
    sent = open_first_page(servers["echo"], chromium()).bytes
    assert 100_000 < sent < MOST
