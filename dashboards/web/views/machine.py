"""The machine's page: what OEE is made of, the state ribbon's legend, the last parts, the signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboards.web.i18n import DASH, Language
from dashboards.web.icons import icon
from dashboards.web.markup import Markup, h
from dashboards.web.parts import figure, live, state_chip
from dashboards.web.site import View
from dashboards.web.views.overview import coverage, since, told
from dashboards.web.views.signals import signal_cells, value
from dashboards.web.windows import Kind, Shown
from plant.assets import Machine
from plant.clock import SECOND
from plant.config import PlantSection
from plant.oee import Oee
from plant.plant import MachineNow, Part
from plant.points import Point
from plant.states import STATES, State
from plant.tags import Tag


def head(now: MachineNow, view: View) -> Markup:
    """Where the machine stands in the plant, its name, and what it does now."""
    steps = [h("li", name) for name in now.machine.path]
    return h(
        "div",
        h("nav", h("ol", steps), class_="breadcrumb", aria_label=view.t("Place in the plant")),
        h("h1", now.machine.name),
        live("state", state_line(now, view.t), class_="machine-state"),
        class_="page-head machine-head",
    )


def state_line(now: MachineNow, t: Language) -> Markup:
    """The state and since when."""
    if now.machine.config.states is None:
        return h("div", h("span", t("This machine has no state signal."), class_="muted"))
    return h("div", state_chip(now.state, t, large=True), since(now, t))


def window_title(shown: Shown, t: Language, now_ns: int) -> str:
    """What the figures are about: Shift Dag, 3 maj 06:00–14:00."""
    span = t.span(shown.window.start_ns, shown.window.end_ns, now_ns)
    match shown.choice.kind:
        case Kind.SHIFT if shown.shift is not None and shown.shift.name:
            name = t("Shift {name}", name=shown.shift.name)
        case Kind.SHIFT if shown.shift is not None:
            name = t("Today")
        case Kind.SHIFT:
            name = t("Last 8 hours")
        case Kind.TODAY:
            name = t("Today")
        case Kind.DAYS_7:
            name = t("7 days")
        case Kind.DAYS_30:
            name = t("30 days")
        case _:
            return span
    return f"{name}, {span}"


# OEE and what it is made of


def oee_panel(oee: Oee | None, title: str, t: Language) -> Markup:
    return h(
        "section",
        h("div", h("h2", t("OEE")), h("p", title, class_="muted"), class_="panel-head"),
        live("oee", oee_body(oee, t)),
        class_="card panel oee-panel",
        aria_label=t("OEE"),
    )


def oee_body(oee: Oee | None, t: Language) -> Markup:
    """OEE = availability × performance × quality, each with the figures behind it, then the time elements."""
    if oee is None:
        return h("p", t("OEE needs a state signal. Name the tag under `states` in plant.yaml."), class_="muted")
    shown = told(oee)
    note = (
        None if oee.quality_counted or shown.oee is None else h("p", t("Scrap not counted: A × P"), class_="coverage")
    )
    return h(
        "div",
        h(
            "div",
            h(
                "div",
                h("p", t("OEE"), class_="label"),
                h("p", figure(t.percent(shown.oee), "%"), class_="big"),
                coverage(oee, t),
                note,
                class_="product",
            ),
            h("span", "=", class_="operator", aria_hidden="true"),
            _factor(t("Availability"), shown.availability, _availability_words(oee, t), t),
            h("span", "×", class_="operator", aria_hidden="true"),
            _factor(t("Performance"), shown.performance, _performance_words(shown, t), t),
            h("span", "×", class_="operator", aria_hidden="true"),
            _factor(t("Quality"), shown.quality, _quality_words(oee, t), t),
            class_="equation",
        ),
        time_elements(oee, t),
        class_="oee-body",
    )


def _factor(name: str, value: float | None, words: str, t: Language) -> Markup:
    return h(
        "div",
        h("p", name, class_="label"),
        h("p", figure(t.percent(value), "%"), class_="medium"),
        h("p", words, class_="coverage"),
        class_="factor",
    )


def _availability_words(oee: Oee, t: Language) -> str:
    if not oee.known_ns:
        return t("No known planned time")
    return t("{run} run time of {known} known planned time", run=t.hours(oee.run_ns), known=t.hours(oee.known_ns))


def _performance_words(oee: Oee, t: Language) -> str:
    if oee.produced is None or oee.ideal_cycle_s is None:
        return t("Parts are not counted")
    cycle = t.number(oee.ideal_cycle_s, 0 if oee.ideal_cycle_s == int(oee.ideal_cycle_s) else 1)
    words = t.plural("{n} part × {cycle} s ideal cycle", "{n} parts × {cycle} s ideal cycle", oee.produced, cycle=cycle)
    if oee.performance is not None and oee.performance > 1:
        return words + " – " + t("over 100 %: is the ideal cycle right?")
    return words


def _quality_words(oee: Oee, t: Language) -> str:
    if oee.scrap is None:
        return t("Scrap not counted")
    return t("{good} good of {produced}", good=t.integer(oee.good), produced=t.integer(oee.produced))


def time_elements(oee: Oee, t: Language) -> Markup:
    """Planned time as one bar of what it was spent on, and the elements in words. They sum to the window."""
    planned = oee.planned_ns
    parts = [(state, oee.states_ns[state]) for state in STATES if oee.states_ns[state]]
    bar = [
        h("span", class_="seg", data_state=state.value, style=f"flex-grow:{length / planned:.5f}")
        for state, length in parts
    ]
    elements = (
        (t("Planned production time"), planned),
        (t("Run time"), oee.run_ns),
        (t("Downtime"), oee.down_ns),
        (t("No data"), oee.states_ns[State.UNKNOWN]),
        (t("Unplanned time"), oee.unplanned_ns),
    )
    counts = (
        (t("Good parts"), oee.good),
        (t("Scrap"), oee.scrap),
        (t("Parts outside planned time"), oee.unplanned_parts or None),
    )
    return h(
        "div",
        h("div", bar, class_="bar", aria_hidden="true") if planned else None,
        h(
            "dl",
            [h("div", h("dt", name), h("dd", t.hours(length))) for name, length in elements],
            [h("div", h("dt", name), h("dd", figure(t.integer(n)))) for name, n in counts if n is not None],
            class_="elements",
        ),
        class_="time-elements",
    )


# Ribbon, parts, signals


def legend(durations: Mapping[State, int], t: Language) -> Markup:
    """The states of the window with how long they lasted."""
    total = sum(durations.values()) or 1
    return h(
        "ul",
        [
            h(
                "li",
                state_chip(state, t),
                h("span", t.hours(durations[state])),
                h("span", figure(t.share(durations[state] / total), "%"), class_="muted"),
            )
            for state in STATES
            if durations[state] >= SECOND
        ],
        class_="legend",
    )


def parts_table(parts: Sequence[Part], counted: bool, t: Language, now_ns: int) -> Markup:  # noqa: FBT001
    """The last parts: when, how long after the part before (stops included), good or scrap."""
    if not counted:
        return h("p", t("Parts are not counted. Name the counter under `parts` in plant.yaml."), class_="muted")
    if not parts:
        return h("p", t("No parts in this window."), class_="muted")
    return h(
        "table",
        h(
            "thead",
            h(
                "tr",
                h("th", t("Time"), scope="col"),
                h("th", t("Parts"), scope="col", class_="num"),
                h("th", t("Time since the part before"), scope="col", class_="num"),
                h("th", t("Result"), scope="col"),
            ),
        ),
        h("tbody", [_part_row(part, t, now_ns) for part in parts]),
    )


def _part_row(part: Part, t: Language, now_ns: int) -> Markup:
    if part.scrap is None:
        result = h("span", DASH, class_="muted", title=t("Scrap not counted"))
    elif part.scrap:
        words = t("Scrap") if part.scrap >= part.count else t("{n} scrap", n=t.integer(part.scrap))
        result = h("span", icon("cross", 14), words, class_="result bad")
    else:
        result = h("span", icon("check", 14), t("Good part"), class_="result")
    return h(
        "tr",
        h("td", t.moment(part.time_ns, now_ns, seconds=True)),
        h("td", t.integer(part.count), class_="num"),
        h("td", figure(t.number(part.cycle_s, 1), "s"), class_="num"),
        h("td", result),
    )


def signals_table(
    tags: Sequence[Tag], last: Mapping[str, Point], limits_s: Mapping[str, float | None], t: Language, now_ns: int
) -> Markup:
    """Every signal of the machine with its newest value, quality in words and age."""
    names = (t("Signal"), t("Value"), t("Quality of the value"), t("Age"))
    titles = [h("th", name, scope="col", class_="num" if i in (1, 3) else None) for i, name in enumerate(names)]
    rows = [
        h(
            "tr",
            h("th", tag.label_in(t.code), scope="row"),
            signal_cells(tag.id, tag, last.get(tag.id), limits_s.get(tag.id), t, now_ns),
        )
        for tag in tags
    ]
    return h("table", h("thead", h("tr", titles)), h("tbody", rows))


def chart_head(tag: Tag, point: Point | None, far_outside: Sequence[float], t: Language) -> Markup:
    """Name, unit and valid range on the left; on the right the value now, or under the cursor, and the exports."""
    name = tag.label_in(t.code)
    return h(
        "div",
        h("h3", name, tag.unit and h("span", " ", tag.unit, class_="muted")),
        h("p", valid_range(tag, t), class_="valid"),
        far_outside and h("p", icon("warning", 14), outside_words(far_outside, tag, t), class_="result warn"),
        h("p", class_="readout", data_readout=tag.id),
        live(f"value-{tag.id}", value(tag, point, t), "p", class_="now-value"),
        h(
            "span",
            _export("csv", "download", t("Save {name} as CSV", name=name), "CSV", tag.id),
            _export("png", "image", t("Save {name} as a picture", name=name), "PNG", tag.id),
            class_="exports",
        ),
        class_="chart-head",
    )


def origin(
    plant: PlantSection, the_machine: Machine, tag: Tag, shown: Shown, t: Language, now_ns: int
) -> list[list[str]]:
    """What an exported file says of itself: names and what they stand for."""
    said = [
        [t("Plant"), plant.name],
        [t("Machine"), the_machine.name],
        [t("Signal"), f"{tag.label_in(t.code)} ({tag.id})"],
        [t("Unit"), tag.unit or DASH],
        [t("Time window"), window_title(shown, t, now_ns)],
    ]
    return said + [[t("Origin"), t("Simulated")]] * plant.simulated


def outside_words(far_outside: Sequence[float], tag: Tag, t: Language) -> str:
    """What the chart leaves out: the values that would flatten all others."""
    low, high = (
        t.number(value, 0 if value == int(value) else tag.decimals) for value in (far_outside[0], far_outside[-1])
    )
    if len(far_outside) > 1:
        return t("values outside the valid range, {low} to {high}", low=low, high=high)
    if tag.low is not None and far_outside[0] < tag.low:
        return t("values outside the valid range, down to {low}", low=low)
    return t("values outside the valid range, up to {high}", high=high)


def valid_range(tag: Tag, t: Language) -> str:
    """The tag's limits in words: a line in the chart only shows those that are near."""

    def written(limit: float) -> str:
        return t.number(limit, 0 if limit == int(limit) else tag.decimals)

    if tag.low is not None and tag.high is not None:
        return t("valid {low}–{high}", low=written(tag.low), high=written(tag.high))
    if tag.high is not None:
        return t("valid up to {high}", high=written(tag.high))
    if tag.low is not None:
        return t("valid from {low}", low=written(tag.low))
    return ""


def _export(kind: str, sign: str, title: str, word: str, chart_id: str) -> Markup:
    return h(
        "button",
        icon(sign, 14),
        word,
        type="button",
        title=title,
        aria_label=title,
        data_export=kind,
        data_chart=chart_id,
    )
