"""`/machine/{id}`: everything about one machine in one place."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from nicegui import ui

from dashboards.web.chart import Chart
from dashboards.web.i18n import Language
from dashboards.web.live import News
from dashboards.web.markup import Markup, h, join
from dashboards.web.pages.base import Loaded
from dashboards.web.parts import button_link, empty, live, notice
from dashboards.web.site import Site, View
from dashboards.web.views import charts, machine, signals
from dashboards.web.windows import Choice, Kind, Shown, recorded_day, resolve
from dashboards.web.words import STATE_WORDS
from plant.assets import Machine
from plant.clock import MINUTE, SECOND, Window
from plant.errors import UserInputError
from plant.oee import Oee
from plant.plant import MachineNow, Part, Plant
from plant.points import Point, PointBatch, Quality
from plant.states import CODE, STATES, Timeline
from plant.tags import Tag

_PARTS = 12
_FIGURES_EVERY_NS = {Kind.SHIFT: 5 * SECOND, Kind.TODAY: 5 * SECOND, Kind.OWN: 10 * SECOND}
_FIGURES_SELDOM_NS = MINUTE


@dataclass(frozen=True, slots=True)
class Figures:
    """What is calculated from the window: together, so that they agree."""

    oee: Oee | None
    timeline: Timeline | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One tag's chart, ready for the browser. `about` is what its script needs to go on by itself."""

    tag: Tag
    options: dict[str, Any]
    about: dict[str, Any]
    far_outside: tuple[float, ...]


def load(site: Site, view: View) -> Loaded:
    plant, t = site.plant, view.t
    assert view.machine_id is not None
    now = plant.now(view.machine_id)
    the_machine, now_ns = now.machine, now.time_ns
    shown = resolve(view.choice, now_ns, plant.calendar, t.zone)
    if shown is None:
        raise UserInputError(
            t("This window cannot be shown: its times are incomplete, or it ends before it starts."),
            next_step=t("Choose From and To again under “Own” in the header."),
        )
    recorded = plant.recorded(the_machine.id)
    if recorded is None:
        return _nothing_yet(now, view)
    message = None
    if recorded.overlap(shown.window) is None:
        choice = Choice.own(recorded_day(recorded, t.zone), t.zone)
        message = _no_data_here(recorded, choice, view, now_ns)
        if not view.choice.explicit:
            view = replace(view, choice=choice)
            shown = resolve(choice, now_ns, plant.calendar, t.zone) or shown
    figures = _figures(plant, the_machine, shown, now_ns)
    found = _charts(plant, the_machine, shown, view, now_ns)
    last = signals.newest(plant, [tag.id for tag in the_machine.tags])
    build = partial(_show, site, view, now, shown, figures, found, last, message)
    keep = MachineLive(site, view, the_machine, shown) if shown.live else None
    return Loaded(build, keep, the_machine.name)


# What there is


def _figures(plant: Plant, the_machine: Machine, shown: Shown, now_ns: int) -> Figures:
    window = shown.window
    if window.start_ns < now_ns < window.end_ns:
        window = Window(window.start_ns, now_ns)
    has_states = the_machine.config.states is not None
    return Figures(
        plant.oee(the_machine.id, window) if has_states else None,
        plant.states(the_machine.id, window) if has_states else None,
        plant.parts(the_machine.id, window, _PARTS),
    )


def _charts(plant: Plant, the_machine: Machine, shown: Shown, view: View, now_ns: int) -> list[Drawing]:
    tags = [tag for tag in the_machine.chart if not tag.type.is_text]
    window = shown.window
    trends = plant.trends([tag.id for tag in tags], window, charts.buckets(window))
    found = []
    for tag in tags:
        trend = trends[tag.id]
        hold_ns = charts.hold_of(trend, plant.config.stale_after_s(tag))
        breaks = charts.breaks(plant.points(tag.id, window)) if charts.needs_breaks(trend, hold_ns) else []
        rows, y = charts.rows(trend, hold_ns, breaks), charts.value_scale(trend, tag)
        about = {
            "id": tag.id,
            "name": f"{tag.label_in(view.t.code)} ({tag.unit})" if tag.unit else tag.label_in(view.t.code),
            "unit": tag.unit,
            "decimals": tag.decimals,
            "bucket": trend.bucket_ns // 1_000_000,
            "start": window.start_ns // 1_000_000,
            "hold": None if hold_ns is None else hold_ns // 1_000_000,
            "y": [y.low, y.high, y.step],
            "valid": None if tag.low is None or tag.high is None else [tag.low, tag.high],
            "rolling": shown.rolling,
            "origin": machine.origin(plant.config.plant, the_machine, tag, shown, view.t, now_ns),
        }
        found.append(
            Drawing(tag, charts.value_chart(tag, rows, y, window, view.t), about, charts.far_outside(trend, tag))
        )
    return found


# On screen


def _nothing_yet(now: MachineNow, view: View) -> Loaded:
    t = view.t
    html = h(
        "div",
        machine.head(now, view),
        empty(
            "empty",
            t("Nothing has arrived from this machine yet"),
            t("Its state, OEE and signals appear here with the first value."),
            button_link(view.to("/connections"), t("See the connections"), primary=True),
        ),
        class_="page",
    )
    return Loaded(lambda: ui.html(html, sanitize=False), None, now.machine.name)


def _no_data_here(recorded: Window, choice: Choice, view: View, now_ns: int) -> Markup:
    """Nothing in this window, but there is a recording: show it, or offer to."""
    t = view.t
    span = t.span(recorded.start_ns, recorded.end_ns, now_ns)
    if not view.choice.explicit:
        return notice("info", t("Nothing newer has arrived: this is the recording."), t("Recorded: {span}", span=span))
    offer = button_link(view.to_machine(view.machine_id or "", choice), t("Show the recording"), primary=True)
    return notice("info", t("No data in this window."), t("Recorded: {span}", span=span), offer)


def _show(
    site: Site,
    view: View,
    now: MachineNow,
    shown: Shown,
    figures: Figures,
    found: list[Drawing],
    last: dict[str, Point],
    message: Markup | None,
) -> None:
    """Put it all on screen and hand the charts to the page's script."""
    t, the_machine, now_ns = view.t, now.machine, now.time_ns
    title = machine.window_title(shown, t, now_ns)
    with ui.element("div").classes("page machine"):
        ui.html(
            join([machine.head(now, view), message, machine.oee_panel(figures.oee, title, t)]),
            sanitize=False,
        ).classes("stack")
        with ui.element("section").classes("card panel charts") as section:
            section.props["aria-label"] = t("States and signals")
            if figures.timeline is not None:
                _ribbon(figures.timeline, shown, title, t, now_ns)
            for chart in found:
                _chart(chart, last.get(chart.tag.id), title, t)
            if not found:
                ui.html(h("p", t("No signal is a number: there is nothing to draw."), class_="muted"), sanitize=False)
        limits = {tag.id: site.plant.config.stale_after_s(tag) for tag in the_machine.tags}
        ui.html(_tables(the_machine, figures, last, limits, t, now_ns), sanitize=False).classes("tables")


def _ribbon(timeline: Timeline, shown: Shown, title: str, t: Language, now_ns: int) -> None:
    head = h("div", h("h3", t("States")), h("p", class_="readout", data_readout="ribbon"), class_="chart-head")
    ui.html(head, sanitize=False)
    rows = charts.ribbon_rows(timeline, charts.shown_until(shown.window, now_ns))
    about = {"id": "ribbon", "words": [t(STATE_WORDS[state]) for state in STATES], "rolling": shown.rolling}
    options = charts.ribbon_chart(rows, shown.window, t)
    Chart(options, about, label=t("States over {window}", window=title)).classes("ribbon")
    ui.html(live("legend", machine.legend(timeline.durations_ns(), t)), sanitize=False)


def _chart(chart: Drawing, point: Point | None, title: str, t: Language) -> None:
    ui.html(machine.chart_head(chart.tag, point, chart.far_outside, t), sanitize=False)
    label = t("{name} over {window}", name=chart.about["name"], window=title)
    Chart(chart.options, chart.about, label=label).classes("trend")


def _tables(
    the_machine: Machine,
    figures: Figures,
    last: dict[str, Point],
    limits: dict[str, float | None],
    t: Language,
    now_ns: int,
) -> Markup:
    signals = machine.signals_table(the_machine.tags, last, limits, t, now_ns)
    return join(
        [
            h(
                "section",
                h("h2", t("Last parts")),
                live("parts", _parts(the_machine, figures, t, now_ns), class_="scroll"),
                class_="card panel",
            ),
            h("section", h("h2", t("Signals")), h("div", signals, class_="scroll"), class_="card panel"),
        ]
    )


def _parts(the_machine: Machine, figures: Figures, t: Language, now_ns: int) -> Markup:
    return machine.parts_table(figures.parts, the_machine.config.parts is not None, t, now_ns)


# What changes


class MachineLive:
    """Signals and points every second, the figures every few; a change of state at once."""

    def __init__(self, site: Site, view: View, the_machine: Machine, shown: Shown) -> None:
        self._plant, self._view, self._machine, self._shown = site.plant, view, the_machine, shown
        self._tags = {tag.id: tag for tag in the_machine.tags}
        self._drawn = {tag.id for tag in the_machine.chart if not tag.type.is_text}
        self._every_ns = _FIGURES_EVERY_NS.get(shown.choice.kind, _FIGURES_SELDOM_NS)
        self._figures_ns = 0
        self._now: MachineNow | None = None
        self._html: dict[str, Markup] = {}

    @property
    def key(self) -> Hashable:
        # An own window is one reader's; the others are the same for everyone who chose them in this shift or day.
        window = self._shown.window.start_ns if not self._shown.rolling else 0
        return "machine", self._machine.id, self._shown.choice, window, self._view.t.code

    def news(self, now_ns: int, batch: PointBatch) -> News:
        self._tell_state()
        if now_ns - self._figures_ns >= self._every_ns:
            self._tell_figures(now_ns)
        last = signals.newest(self._plant, self._tags)
        html = self._html | signals.signal_news(self._tags, last, self._view.t)
        return News(html, {"points": self._points(batch), "ribbon": self._ribbon(), "ages": signals.ages(last)})

    def _tell_state(self) -> None:
        now = self._plant.now(self._machine.id)
        if self._now is not None and self._now.state is not now.state:
            self._figures_ns = 0  # the figures go with the state
        self._now = now
        self._html["state"] = machine.state_line(now, self._view.t)

    def _tell_figures(self, now_ns: int) -> None:
        t, self._figures_ns = self._view.t, now_ns
        shown = (
            resolve(self._shown.choice, now_ns, self._plant.calendar, t.zone) if self._shown.rolling else self._shown
        )
        figures = _figures(self._plant, self._machine, shown or self._shown, now_ns)
        self._html["oee"] = machine.oee_body(figures.oee, t)
        self._html["parts"] = _parts(self._machine, figures, t, now_ns)
        if figures.timeline is not None:
            self._html["legend"] = machine.legend(figures.timeline.durations_ns(), t)

    def _points(self, batch: PointBatch) -> dict[str, list[list[float | None]]]:
        """[time ms, value] by tag; None where the tag was reported BAD."""
        found: dict[str, list[list[float | None]]] = {}
        for i, tag_id in enumerate(batch.tags):
            if tag_id not in self._drawn:
                continue
            rows = batch.tag == i
            bad = batch.quality[rows] < Quality.UNCERTAIN
            times, values = batch.time_ns[rows] // 1_000_000, batch.value[rows]
            found[tag_id] = [
                [time, None if is_bad or value != value else value]
                for time, value, is_bad in zip(times.tolist(), values.tolist(), bad.tolist(), strict=True)
            ]
        return found

    def _ribbon(self) -> list[int] | None:
        """[since ms, code] of the state now."""
        if self._now is None or self._machine.config.states is None:
            return None
        return [(self._now.state_since_ns or 0) // 1_000_000, CODE[self._now.state]]
