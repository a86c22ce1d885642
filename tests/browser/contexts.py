"""Browser contexts that the tests of a file use one after another, for a page opens in half the time in a used one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

# What a page may have left behind for the next one; what was fetched stays.
LEFT = "cookies,local_storage,indexeddb,cache_storage,service_workers"


class Contexts:
    """Those of one browser.

    Args:
        browser: its pages of one site share a process, which an empty page keeps alive: what was compiled for a page
            is there for the next.
        urls: of the servers that were started so far.
    """

    def __init__(self, browser: Browser, urls: Callable[[], list[str]]) -> None:
        self._browser, self._urls = browser, urls
        self._free: dict[str, list[BrowserContext]] = {}
        # Of each: its options, and the page that keeps its process alive for those of this site.
        self._known: dict[BrowserContext, tuple[str, Page]] = {}
        self._shared: BrowserContext | None = None

    def shared(self, options: Mapping[str, Any], url: str) -> BrowserContext:
        """The one of whoever needs nothing special."""
        if self._shared is None:
            self._shared = self._new(options, url)
        return self._shared

    def take(self, options: Mapping[str, Any], url: str) -> BrowserContext:
        """One with these options that keeps nothing, until it is given back."""
        free = self._free.get(_key(options))
        return free.pop() if free else self._new(options, url)

    def _new(self, options: Mapping[str, Any], url: str) -> BrowserContext:
        context = self._browser.new_context(**options)
        page = context.new_page()
        page.route("**", lambda route: route.fulfill(body=""))
        page.goto(url)
        self._known[context] = _key(options), page
        return context

    def give_back(self, context: BrowserContext) -> None:
        """Close the pages that were opened in it and empty its store, for whoever takes it next; not the shared one's.

        One that was given back already stays as it is.
        """
        key, held = self._known[context]
        if context is self._shared or context in self._free.get(key, []):
            return
        for page in context.pages:
            if page is not held:
                page.close()
        session = context.new_cdp_session(held)
        for url in self._urls():
            session.send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": LEFT})
        session.detach()
        self._free.setdefault(key, []).append(context)

    def drop(self, context: BrowserContext) -> None:
        """Close it: nobody knows what is left in it."""
        if context is self._shared:
            self._shared = None
        if self._known.pop(context, None):
            context.close()


def _key(options: Mapping[str, Any]) -> str:
    return repr(sorted(options.items()))
