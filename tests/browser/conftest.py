"""A real browser, and what it saw of a page: the judge of whether anything on it is active."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SETTLED_MS = 200
"""Time for an `onload` or a failed picture to do its work once the page is loaded."""


@dataclass
class Seen:
    """What happened while a page was open. `ran` names the payloads that were carried out."""

    title: str = ""
    ran: set[str] = field(default_factory=set)
    dialogs: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    text: str = ""

    def asked_of(self, host: str) -> list[str]:
        return [url for url in self.requests if host in url]


@dataclass
class Viewer:
    """Opens pages, each in a profile of its own; nothing outside this machine is reached."""

    browser: Any

    def look(self, url: str, *, cookies: tuple[dict[str, str], ...] = ()) -> Seen:
        """Open `url`, click every link that is no address, and say what happened."""
        seen = Seen()
        context = self.browser.new_context()
        try:
            context.add_cookies(list(cookies))
            context.route("**/*", _let_through)
            page = context.new_page()
            page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.accept()))
            page.on("console", lambda message: seen.console.append(message.text))
            page.on("request", lambda request: seen.requests.append(request.url))
            page.goto(url)
            page.wait_for_load_state("load")
            page.wait_for_timeout(SETTLED_MS)
            seen.links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
            page.evaluate(
                "for (const a of document.querySelectorAll('a[href]'))"
                " if (!/^(https?|file|mailto):/.test(a.href)) a.click()"
            )
            page.wait_for_timeout(SETTLED_MS)
            seen.ran = set(page.evaluate("window.ran || []"))
            seen.title = page.title()
            seen.text = page.inner_text("body")
        finally:
            context.close()
        return seen

    def use(self, url: str, act: Callable[[Any], None]) -> Seen:
        """Open `url`, let `act` do with the page what a person would do, and say what happened."""
        seen = Seen()
        context = self.browser.new_context()
        try:
            context.route("**/*", _let_through)
            page = context.new_page()
            page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.accept()))
            page.on("request", lambda request: seen.requests.append(request.url))
            page.goto(url)
            page.wait_for_load_state("networkidle")
            act(page)
            page.wait_for_load_state("networkidle")
            seen.ran = set(page.evaluate("window.ran || []"))
            seen.text = page.inner_text("body")
        finally:
            context.close()
        return seen


def _let_through(route: Any) -> None:
    url = route.request.url
    if url.startswith(("file:", "data:", "http://127.0.0.1:", "about:", "blob:")):
        route.continue_()
    else:
        route.abort()


# Not "package": this folder is none, so the browser would stay open for the whole session, and what
# it starts meanwhile would be found by a test that looks for leftovers.
@pytest.fixture(scope="module")
def viewer() -> Iterator[Viewer]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    # Chromium refuses its own sandbox to root; the pages are ours.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield Viewer(browser)
        finally:
            browser.close()
