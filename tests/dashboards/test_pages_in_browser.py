"""The pages as a reader meets them: no errors, no other host, live values, keyboard, phone, wrong addresses."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import DESKTOP, PHONE, browser, scrolls_sideways, visit
from tests.processes import REPOSITORY, free_port

__all__ = ["browser"]
pytestmark = pytest.mark.system
NOT_FOUND = ("the server responded with a status of 404",)


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the small plant's pages. Asks for the browser first: without one nothing is started."""
    port, folder = free_port(), tmp_path_factory.mktemp("pages")
    process = subprocess.Popen([sys.executable, "-m", "tests.dashboards.app", str(port), str(folder)], cwd=REPOSITORY)
    try:
        _wait_for(f"http://127.0.0.1:{port}/alive", process)
        yield f"http://127.0.0.1:{port}"
        assert not (REPOSITORY / ".nicegui").exists(), "NiceGUI wrote into the working directory"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError("the pages did not start")


def _charts_drawn(page: Page, n: int) -> None:
    expect(page.locator(".nicegui-echart canvas")).to_have_count(n)


@pytest.mark.parametrize(
    ("path", "heading"),
    [("/", "Översikt"), ("/machine/mill-1", "Fräs 1"), ("/machine/mill-1?window=7d", "Fräs 1"),
     ("/machine/packer-1", "Packmaskin 1"), ("/connections", "Anslutningar")],
)  # fmt: skip
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_each_page_opens_in_swedish_and_fits(
    browser: Browser, site: str, path: str, heading: str, size: tuple[int, int]
) -> None:
    with visit(browser, site, size, locale="sv-SE") as page:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.locator("html")).to_have_attribute("lang", "sv")
        expect(page.locator("main:not([role=none])")).to_have_count(1)
        assert not scrolls_sideways(page)


def test_values_are_live(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/mill-1")
        value = page.locator(".now-value[data-live='value-mill-1.load']")
        before = value.inner_text()
        expect(value).not_to_have_text(before)
        _charts_drawn(page, 4)


def test_one_cursor_reads_all_charts(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/mill-1?window=today")
        _charts_drawn(page, 4)
        chart = page.locator(".trend").first
        readouts = page.locator("[data-readout]")
        for offset in range(0, 60, 4):  # until the page's script has joined the charts
            chart.hover(position={"x": 200 + offset, "y": 60})
            if all(re.match(r"\d\d:\d\d", text) for text in readouts.all_inner_texts()):
                break
            page.wait_for_timeout(100)
        assert [bool(re.match(r"\d\d:\d\d", text)) for text in readouts.all_inner_texts()] == [True] * 4


def test_language_and_theme_are_remembered(browser: Browser, site: str) -> None:
    with visit(browser, site, locale="de-DE") as page:
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        page.locator("#settings").click()
        page.get_by_role("button", name="Svenska").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Översikt")
        page.locator("#settings").click()
        page.get_by_role("button", name="Mörkt").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.goto("/connections")
        expect(page.get_by_role("heading", level=1)).to_have_text("Anslutningar")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_keyboard_reaches_a_machine(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/")
        expect(page.locator("#to-mill-1")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("#to-mill-1")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Fräs 1")
        assert page.url.endswith("/machine/mill-1")


def test_a_window_is_in_the_address_and_comes_back(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/mill-1")
        expect(page.locator("#window-shift")).to_have_attribute("aria-current", "true")
        page.locator("#window-7d").click()
        expect(page.locator(".oee-panel .panel-head .muted")).to_contain_text("7 days")
        assert page.url.endswith("/machine/mill-1?window=7d")
        page.reload()
        expect(page.locator("#window-7d")).to_have_attribute("aria-current", "true")
        page.go_back()
        expect(page.locator("#window-shift")).to_have_attribute("aria-current", "true")
        page.locator("#machine-picker").select_option(label="Press 1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Press 1")


def test_an_impatient_reader_breaks_nothing(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/mill-1")
        for kind in ("7d", "today", "30d", "shift", "7d"):
            page.locator(f"#window-{kind}").click()
        expect(page.locator(".oee-panel .panel-head .muted")).to_contain_text("7 days")
        _charts_drawn(page, 4)


def test_an_own_window(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/saw-1")
        page.locator("#window-own").click()
        page.get_by_label("From").fill("2018-05-09T15:00")
        page.get_by_label("To", exact=True).fill("2018-05-09T16:00")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator(".oee-panel .panel-head .muted")).to_have_text("9 May 2018 15:00–16:00")
        assert "window=own&from=2018-05-09T15" in page.url
        page.goto("/machine/saw-1?window=own&from=2018-05-09T16:00&to=2018-05-09T15:00")
        expect(page.get_by_role("alert")).to_contain_text("ends before it starts")


def test_a_recording_is_shown_by_itself_and_offered_elsewhere(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/saw-1")
        expect(page.locator(".notice")).to_contain_text("this is the recording")
        expect(page.locator(".oee-panel .panel-head .muted")).to_have_text("9 May 2018 15:20–16:20")
        page.goto("/machine/saw-1?window=today")
        page.get_by_role("link", name="Show the recording").click()
        expect(page.locator(".oee-panel .panel-head .muted")).to_have_text("9 May 2018 15:20–16:20")


def test_a_source_in_trouble_says_the_next_step(browser: Browser, site: str) -> None:
    with visit(browser, site) as page:
        page.goto("/connections")
        expect(page.get_by_text("Nobody listens on 127.0.0.1:15021.")).to_be_visible()
        expect(page.get_by_text("is the port right (usually 502)?")).to_be_visible()


@pytest.mark.parametrize("path", ["/machine/no-such", "/machine/mill-1/deeper", "/nothing"])
def test_a_wrong_address_is_a_404_with_a_way_back(browser: Browser, site: str, path: str) -> None:
    with visit(browser, site, expected=NOT_FOUND) as page:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404
        page.get_by_role("link", name="To the overview").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_wall_has_no_controls(browser: Browser, site: str) -> None:
    with visit(browser, site, (1920, 1080)) as page:
        page.goto("/?wall=1")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("nav.side")).to_be_hidden()
        expect(page.locator("#settings")).to_have_count(0)
        assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") > 16


def test_a_chart_is_saved_as_csv(browser: Browser, site: str, tmp_path: Path) -> None:
    with visit(browser, site) as page:
        page.goto("/machine/mill-1?window=today")
        _charts_drawn(page, 4)
        page.wait_for_timeout(500)
        with page.expect_download() as download:
            page.get_by_role("button", name="Save Spindle load as CSV").click()
        download.value.save_as(tmp_path / "load.csv")
        *origin, blank, head, first = (tmp_path / "load.csv").read_text("utf-8-sig").splitlines()[:9]
        assert origin[:4] == ["Plant,Provfabriken", "Machine,Fräs 1", "Signal,Spindle load (mill-1.load)", "Unit,%"]
        assert (origin[-1], blank, head) == ("Origin,Simulated", "", "time,mean,min,max")
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+\+0[12]:00,[\d.-]+,[\d.-]+,[\d.-]+$", first)


def test_a_swedish_csv_has_decimal_commas_and_its_gaps(browser: Browser, site: str, tmp_path: Path) -> None:
    with visit(browser, site, locale="sv-SE") as page:
        page.goto("/machine/saw-1")
        _charts_drawn(page, 2)
        page.wait_for_timeout(500)
        for kind in ("CSV", "bild"):
            with page.expect_download() as download:
                page.get_by_role("button", name=f"Spara force som {kind}").click()
            download.value.save_as(tmp_path / kind)
        lines = (tmp_path / "CSV").read_text("utf-8-sig").splitlines()
        assert lines[5] == "Ursprung;Simulerad"
        assert any(re.match(r"2018-05-09T15:[\d:.]+\+02:00;\d+,\d+;", line) for line in lines)
        assert sum(line.endswith(";;;") for line in lines) == 1
        assert (tmp_path / "bild").read_bytes().startswith(b"\x89PNG")
        assert page.locator(".trend").first.evaluate("e => e.scrollHeight <= e.clientHeight")
