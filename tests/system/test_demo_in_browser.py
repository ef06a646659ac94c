"""The running demo in a real browser: every page in every size, both languages and themes, with living values."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PHONE, TABLET, WALL, browser, scrolls_sideways, visit
from tests.processes import Running, free_port, running

__all__ = ["browser"]
pytestmark = pytest.mark.system
PAGES = {
    "/": ("Overview", "Översikt"),
    "/machine/cnc-1": ("CNC mill 1", "CNC mill 1"),
    "/connections": ("Connections", "Anslutningar"),
}


@pytest.fixture(scope="module")
def demo(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Asks for the browser first: without one nothing is started."""
    data = tmp_path_factory.mktemp("demo")
    ports = {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}
    with running("demo", "--no-browser", "--data-dir", data, "--history-days", "1", env=ports) as system:
        system.wait_for(lambda: all(m["last_point"] for m in system.get("/api/machines")["machines"]))
        yield system


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("size", [PHONE, TABLET, WALL])
@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("sv", "dark"), ("sv", "light"), ("en", "dark")])
def test_every_page_opens_whole(
    browser: Browser, demo: Running, path: str, size: tuple[int, int], language: str, theme: str
) -> None:
    with visit(browser, demo.url, size, locale="sv-SE" if language == "sv" else "en-GB") as page:
        page.emulate_media(color_scheme=theme)
        page.goto(path)
        english, swedish = PAGES[path]
        expect(page.get_by_role("heading", level=1)).to_contain_text(swedish if language == "sv" else english)
        expect(page.locator("html")).to_have_attribute("lang", re.compile(f"^{language}"))
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (brightness(dark) < 100) == (theme == "dark"), dark
        assert not scrolls_sideways(page)


def brightness(css: str) -> float:
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", css)[:3])
    return (red + green + blue) / 3


@pytest.mark.parametrize("path", PAGES)
def test_a_value_changes_before_the_readers_eyes(browser: Browser, demo: Running, path: str) -> None:
    with visit(browser, demo.url) as page:
        page.goto(path)
        page.wait_for_function(f"({READINGS})().length > 2")
        page.wait_for_function(f"before => ({READINGS})().join() !== before", arg=readings(page), timeout=20_000)


# Numbers with a unit, as a reader sees them: not clocks, and not "4 s ago", which changes without any new value.
READINGS = r"""() => [...document.querySelectorAll("main td, main span")].map(e => e.innerText.trim())
    .filter(text => /^[\d.,\s]+(A|kW|bar|°C|%|mm\/s|1\/min)$/.test(text))"""


def readings(page: Page) -> str:
    return ",".join(page.evaluate(READINGS))
