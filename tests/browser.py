"""A browser for tests: Debian's or anyone's Chromium, driven by Playwright; the tests skip, saying so, without one.

    from tests.browser import browser, visit  # the fixture, and a watched page

    def test_opens(browser: Browser) -> None:
        with visit(browser, "http://127.0.0.1:8080") as page:
            page.goto("/")

`visit` fails when the page logs an error, raises one, or asks any other host for anything.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE, TABLET, DESKTOP, WALL = (390, 844), (1024, 768), (1440, 900), (1920, 1080)


def find_chromium() -> str | None:
    """The path in CHROMIUM_PATH, else the first known name on PATH."""
    return os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser per module: Playwright keeps an event loop running, which other modules' tests must not meet."""
    path = find_chromium()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} on PATH; set CHROMIUM_PATH")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *(["--no-sandbox"] if root else [])])
        yield found
        found.close()


@contextmanager
def visit(
    browser: Browser,
    base_url: str,
    size: tuple[int, int] = DESKTOP,
    *,
    locale: str = "en-GB",
    expected: tuple[str, ...] = (),
) -> Iterator[Page]:
    """A page of its own in a fresh profile. Console errors that contain an `expected` text are let pass."""
    wrong: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in expected):
            wrong.append(f"console {message.type}: {message.text}")

    def asked(url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != urlsplit(base_url).netloc:
            wrong.append(f"asked another host: {url}")

    context = browser.new_context(
        base_url=base_url, locale=locale, viewport={"width": size[0], "height": size[1]}, color_scheme="light"
    )
    try:
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", console)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        page.on("request", lambda request: asked(request.url))
        page.on("websocket", lambda socket: asked(socket.url))
        yield page
    finally:
        context.close()
    assert not wrong, "\n".join(wrong)


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
