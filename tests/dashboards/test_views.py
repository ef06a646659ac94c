"""What the pages say, without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dashboards.web import frame
from dashboards.web.advice import source_advice
from dashboards.web.i18n import language
from dashboards.web.markup import Markup, h
from dashboards.web.pages.table import PAGES
from dashboards.web.site import Site, View, reader
from dashboards.web.views import connections, machine, overview, signals
from dashboards.web.windows import Choice, Kind
from dashboards.web.words import FAULT_WORDS, LINK_WORDS, STATE_WORDS, quality_word
from plant.clock import HOUR, MINUTE, SECOND, Window, parse_iso
from plant.config import ReplaySource
from plant.connections import Fault, Link, OutboxStatus, SourceStatus
from plant.historian.base import HistorianHealth
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import PointBatch, Quality
from plant.states import STATES, State
from tests.dashboards.factory import FakeConnections, config, fill

NOW = parse_iso("2026-05-03T10:30:00Z")
SV = View(language("sv", "Europe/Stockholm"))
EN = View(language("en", "Europe/Stockholm"))
STORE = HistorianHealth(ok=True, name="duckdb", rows=1284, bytes=2_000_000)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    historian = DuckDbHistorian(tmp_path_factory.mktemp("views") / "h.duckdb", clock=lambda: NOW)
    fill(historian, NOW)
    yield Plant(config(), historian, clock=lambda: NOW)
    historian.close()


@pytest.fixture
def empty_plant(tmp_path: Path) -> Iterator[Plant]:
    historian = DuckDbHistorian(tmp_path / "h.duckdb", clock=lambda: NOW)
    yield Plant(config(), historian, clock=lambda: NOW)
    historian.close()


def text(html: str) -> str:
    """What a reader reads."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def test_markup_escapes_all_that_is_not_markup() -> None:
    assert h("p", "<script>", h("b", "&"), class_='"x"') == ('<p class="&quot;x&quot;">&lt;script&gt;<b>&amp;</b></p>')
    assert h("p", None, False, ["a", Markup("<i>")], hidden=None) == "<p>a<i></p>"


# Overview


def test_the_overview_sums_up(plant: Plant) -> None:
    read = text(overview.page(plant.overview(), {}, SV))
    assert "2 av 4 maskiner i drift" in read
    assert "2 utan data" in read
    assert "Fräs 1" in read
    assert re.search(r"TAK, skift Dag \d\d,\d %", read)
    assert "kassation räknas inte" in read  # the press


def test_an_empty_plant_says_what_will_come(empty_plant: Plant) -> None:
    html = overview.page(empty_plant.overview(), {}, EN)
    assert "Nothing has arrived yet" in text(html)
    assert 'href="/connections"' in html


def test_a_machine_without_data_shows_a_dash_and_its_coverage(plant: Plant) -> None:
    (packer,) = [now for now in plant.overview() if now.machine.id == "packer-1"]
    read = text(overview.card(packer, overview.Glance(), EN))
    assert "OEE, shift Dag – " in read
    assert "Data for 0 % of the time" in read
    assert " 0.0 %" not in read


def test_a_cards_link_is_outside_what_is_replaced(plant: Plant) -> None:
    parts = overview.fragments(plant.overview(), {}, EN)
    assert not [key for key, html in parts.items() if "<a " in html]
    assert set(parts) == {"summary"} | {f"{part}-{m.id}" for m in plant.machines() for part in ("card", "spark")}


def test_a_sparkline_breaks_at_a_gap(plant: Plant) -> None:
    window = Window(NOW - 12 * HOUR, NOW)
    line = overview.sparkline(plant.trend("mill-1.load", window, 120))
    assert line.count("M") >= 2
    assert "nan" not in line


# Machine


def test_oee_is_told_with_what_it_is_made_of(plant: Plant) -> None:
    oee = plant.oee("mill-1", Window(NOW - 6 * HOUR, NOW))
    read = text(machine.oee_body(oee, EN.t))
    assert f"{EN.t.percent(oee.oee)} %" in read
    assert f"{EN.t.hours(oee.run_ns)} run time of {EN.t.hours(oee.known_ns)} known planned time" in read
    assert f"{oee.produced} parts × 40 s ideal cycle" in read
    assert f"{oee.good} good of {oee.produced}" in read
    shares = [float(share) for share in re.findall(r"flex-grow:([\d.]+)", machine.time_elements(oee, EN.t))]
    assert sum(shares) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("known_ns", "planned_ns", "shown"),
    [(9 * MINUTE, 9 * MINUTE, False), (10 * MINUTE, 90 * MINUTE, True), (10 * MINUTE, 101 * MINUTE, False)],
)
def test_oee_needs_ten_minutes_and_a_tenth_of_the_time(
    plant: Plant, known_ns: int, planned_ns: int, *, shown: bool
) -> None:
    oee = plant.oee("mill-1", Window(NOW - 6 * HOUR, NOW))
    states_ns = dict.fromkeys(STATES, 0) | {State.RUNNING: known_ns, State.UNKNOWN: planned_ns - known_ns}
    panel = text(machine.oee_body(replace(oee, states_ns=states_ns), EN.t))
    assert ("Too little data" not in panel) is shown
    assert (re.match(r"OEE – .*= Availability – .*× Performance – .*× Quality –", panel) is None) is shown
    assert ("%" in text(overview.factors(replace(oee, states_ns=states_ns), EN.t))) is shown


def test_without_scrap_the_product_says_so(plant: Plant) -> None:
    read = text(machine.oee_body(plant.oee("press-1", Window(NOW - 6 * HOUR, NOW)), SV.t))
    assert "Kassation räknas inte: T × A" in read


def test_a_machine_without_state_signal_says_what_to_do() -> None:
    assert "Name the tag under `states`" in text(machine.oee_body(None, EN.t))


def test_parts_have_time_cycle_and_result(plant: Plant) -> None:
    parts = plant.parts("mill-1", Window(NOW - 6 * HOUR, NOW), 12)
    read = text(machine.parts_table(parts, counted=True, t=SV.t, now_ns=NOW))
    assert "Tid sedan förra detaljen" in read
    assert "Godkänd" in read
    assert "Inga detaljer" in text(machine.parts_table((), counted=True, t=SV.t, now_ns=NOW))


def test_signals_show_value_quality_and_age(plant: Plant) -> None:
    mill = plant.machine("mill-1")
    table = machine.signals_table(mill.tags, plant.last(tag.id for tag in mill.tags), {}, EN.t, NOW)
    assert "Spindle load" in text(table)
    assert "execute Good" in text(table)
    assert table.count("data-age-of=") == len(mill.tags)


# Connections


def test_trouble_is_told_with_its_next_step(plant: Plant) -> None:
    fake = FakeConnections(plant.historian, NOW)
    read = text(connections.page(fake.sources(), fake.outbox(), STORE, plant.machines(), {}, EN, NOW))
    assert "2 of 3 sources deliver · 1 needs a look" in read.replace("deliver 1", "deliver · 1")
    assert "Since 12:18. Nobody listens on 127.0.0.1:15021. Is the machine on, and is the port right" in read
    assert "mill-1.temperature_2 : The device has no such address (exception 2)." in read
    assert "4265 5C29 →" in read
    assert "480 points" in read


def test_stored_data_only_is_said_calmly(plant: Plant) -> None:
    html = connections.page(None, None, STORE, plant.machines(), {}, SV, NOW)
    assert "Endast sparade data" in text(html)
    assert 'data-tone="bad"' not in html


def test_a_full_buffer_is_not_hidden(plant: Plant) -> None:
    outbox = OutboxStatus(9, 900, 9_000, NOW - HOUR, 12, 100, Fault.UNREACHABLE, "disk full")
    read = text(connections.store_body(outbox, STORE, EN.t, NOW))
    assert "disk full" in read
    assert "the oldest points were dropped" in read
    assert "none is lost" not in read


@pytest.mark.parametrize("detail", ["", "2", "exception 11", "exception 99"])
@pytest.mark.parametrize("kind", ["modbus-tcp", "mqtt"])
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_every_fault_has_words_and_a_next_step(fault: Fault, kind: str, detail: str) -> None:
    source = SourceStatus("s", kind, "10.0.0.7:502", Link.DISCONNECTED, NOW, fault, detail)
    for view in (SV, EN):
        found = source_advice(source, view.t)
        assert found is not None
        assert len(found.what) > 10
        assert len(found.next_step) > 10
        assert "{" not in found.what + found.next_step


def test_patience_with_topics_that_speak_once_per_part(plant: Plant) -> None:
    fake = FakeConnections(plant.historian, NOW)
    (broker,) = [source for source in fake.sources() if source.kind == "mqtt"]
    waiting = SimpleNamespace(fault=Fault.NO_DATA, detail="", tag="x.y")
    young = SourceStatus(broker.name, "mqtt", "b:1", Link.CONNECTED, NOW - MINUTE, tags=(waiting,))  # type: ignore[arg-type]
    assert connections.trouble(young, EN.t, NOW) == ""
    assert "1 waits for its first value" in text(connections.tag_count(young, EN.t))


def test_every_state_link_quality_and_fault_has_a_word() -> None:
    assert set(STATE_WORDS) == set(State)
    assert set(LINK_WORDS) == set(Link)
    assert set(FAULT_WORDS) == set(Fault)
    assert all(quality_word(quality, SV.t) for quality in Quality)


# Frame


def test_reader_by_cookie_and_header() -> None:
    request = SimpleNamespace(cookies={"testbed_theme": "dark"}, headers={"accept-language": "sv"}, query_params={})
    t, theme = reader(request, "Europe/Stockholm")
    assert (t.code, theme) == ("sv", "dark")
    request.cookies = {"testbed_theme": "<script>", "testbed_language": "en"}
    t, theme = reader(request, "Europe/Stockholm")
    assert (t.code, theme) == ("en", "auto")


def test_the_header_offers_only_what_works_on_the_page(empty_plant: Plant) -> None:
    site = Site(empty_plant, None)
    by_id = {page.id: page for page in PAGES}
    assert "machine-picker" not in frame.header(site, EN, by_id["overview"])
    view = View(EN.t, machine_id="mill-1", choice=Choice(Kind.DAYS_7, explicit=True))
    header = frame.header(site, view, by_id["machine"])
    assert 'value="/machine/press-1?window=7d"' in header
    assert re.search(r'href="/machine/mill-1\?window=7d" aria-current="true"', header)
    assert "Simulated" in header
    wall = frame.header(site, View(EN.t, wall=True), by_id["overview"])
    assert "<button" not in wall
    assert "<select" not in wall


def test_the_badge_tells_real_recorded_and_simulated(empty_plant: Plant) -> None:
    real = config(simulated=False)
    recorded = real.model_copy(update={"sources": {"log": ReplaySource(type="replay", format="csv")}})
    for its_config, word in ((config(), "Simulated"), (real, "Live"), (recorded, "Recorded")):
        site = SimpleNamespace(plant=SimpleNamespace(config=its_config))
        assert text(frame.badge(site, EN.t)) == word  # type: ignore[arg-type]


def test_the_end_of_a_recording_is_no_fault(empty_plant: Plant) -> None:
    columns = np.zeros(2, np.int32), np.array([NOW - HOUR, NOW - HOUR + 1]), np.array([7.5, np.nan])
    quality = np.array([Quality.GOOD, Quality.BAD_END_OF_RECORDING], np.uint8)
    empty_plant.historian.write(PointBatch(("mill-1.load",), *columns, quality))
    point = signals.newest(empty_plant, ["mill-1.load", "mill-1.power"])["mill-1.load"]
    assert (point.value, point.time_ns) == (7.5, NOW - HOUR)
    shown = signals.quality(point, EN.t)
    assert "The recording ends here" in text(shown)
    assert "bad" not in shown


def test_the_navigation_leads_to_every_page(empty_plant: Plant) -> None:
    nav = frame.navigation(Site(empty_plant, None), View(SV.t, page="overview"), PAGES)
    assert re.findall(r'href="([^"]*)"', nav) == ["/", "/machine/mill-1", "/connections"]
    assert nav.count("aria-current") == 1


def test_the_settings_in_the_head_cannot_end_their_script() -> None:
    assert frame.head(SV.t, "</script>").count("</script>") == 2


# Colours


def _tokens(css: str, selector: str) -> dict[str, str]:
    block = css.split(selector, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("selector", [":root {", ':root[data-theme="dark"] {'])
def test_text_has_contrast_in_both_themes(selector: str) -> None:
    token = _tokens((frame.STATIC / "testbed.css").read_text(), selector)
    on_ground = [
        (ink, ground) for ink in ("ink", "ink-2", "accent", "bad", "warn") for ground in ("ground", "surface", "sunken")
    ]
    on_soft = [("ink", "warn-soft"), ("ink", "bad-soft"), ("accent-ink", "accent")]
    low = {pair: round(_contrast(token[pair[0]], token[pair[1]]), 2) for pair in on_ground + on_soft}
    assert not {pair: ratio for pair, ratio in low.items() if ratio < 4.5}
    signs = {state: round(_contrast(token[f"on-{state}"], token[state]), 2) for state in map(str, State)}
    assert not {state: ratio for state, ratio in signs.items() if ratio < 3}  # icons


def test_fresh_data_is_not_stale_and_old_is() -> None:
    from dashboards.web.parts import age

    assert "stale" not in age(NOW - SECOND, NOW, EN.t, 5).split("data-")[0]
    assert 'class="age stale"' in age(NOW - 10 * SECOND, NOW, EN.t, 5)
