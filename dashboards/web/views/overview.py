"""The overview: one card per machine, and one line that sums them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboards.web.i18n import Language
from dashboards.web.icons import icon
from dashboards.web.markup import Child, Markup, h
from dashboards.web.parts import age, empty, figure, live, state_chip
from dashboards.web.site import View
from dashboards.web.views.charts import ribbon_rows
from dashboards.web.views.signals import value
from plant.assets import Machine
from plant.clock import MINUTE
from plant.historian.base import Trend
from plant.oee import Oee
from plant.plant import MachineNow
from plant.points import Point
from plant.shifts import Shift
from plant.states import STATES, State, Timeline
from plant.tags import Tag

QUIET_AFTER_S = 60.0
"""A machine from which nothing came for so long is shown dimmed."""

ENOUGH_NS = 10 * MINUTE
ENOUGH_COVERAGE = 0.1
"""OEE and its factors are shown from so much known planned time, and from so large a share of it, on."""

_DOWN = (State.STOPPED, State.FAULT)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a card shows besides the figures: its first signal, now and over the last hour, and the shift's states."""

    last: Point | None = None
    trend: Trend | None = None
    states: Timeline | None = None


_NOTHING = Glance()


def page(machines: Sequence[MachineNow], glances: Mapping[str, Glance], view: View) -> Markup:
    """The whole page."""
    t = view.t
    if not machines or all(now.last_point_ns is None for now in machines):
        body: Markup = empty(
            "empty",
            t("Nothing has arrived yet"),
            t("As soon as a machine delivers its first value, its state and OEE appear here."),
            h("a", t("See the connections"), href=view.to("/connections"), class_="button primary"),
        )
    else:
        body = h("div", [card(now, glances.get(now.machine.id, _NOTHING), view) for now in machines], class_="cards")
    return h(
        "div",
        h("div", h("h1", t("Overview")), live("summary", summary(machines, t), "p", class_="lead"), class_="page-head"),
        body,
        class_="page",
    )


def fragments(machines: Sequence[MachineNow], glances: Mapping[str, Glance], view: View) -> dict[str, Markup]:
    """The cards, by live key. Values come beside them: see `first_signals`."""
    found = {"summary": summary(machines, view.t)}
    for now in machines:
        glance = glances.get(now.machine.id, _NOTHING)
        found[f"card-{now.machine.id}"] = card_body(now, glance, view)
        found[f"spark-{now.machine.id}"] = sparkline(glance.trend)
    return found


def first_signals(machines: Sequence[Machine]) -> dict[str, Tag]:
    """The first chart tag of each machine, by tag id: its card shows it."""
    return {machine.chart[0].id: machine.chart[0] for machine in machines if machine.chart}


def summary(machines: Sequence[MachineNow], t: Language) -> Markup:
    """3 of 5 machines are running · 1 needs attention."""
    heard = [now for now in machines if now.last_point_ns is not None]
    if not heard:
        return h("span", t("No machine has delivered data yet."))
    running = sum(now.state is State.RUNNING for now in machines)
    down = sum(now.state in _DOWN for now in machines)
    silent = sum(now.state is State.UNKNOWN for now in machines)
    said: list[Child] = [t("{n} of {m} machines are running", n=running, m=len(machines))]
    if down:
        said.append(h("span", t.plural("{n} is stopped", "{n} are stopped", down), class_="attention"))
    if silent:
        said.append(t.plural("{n} without data", "{n} without data", silent))
    return h("span", [h("span", part, class_="said") for part in said])


def card(now: MachineNow, glance: Glance, view: View) -> Markup:
    """One machine; all of it is a link to its page. The link stays while the rest is replaced: it may have focus."""
    machine = now.machine
    return h(
        "article",
        h(
            "header",
            h("h2", h("a", machine.name, href=view.to_machine(machine.id), id=f"to-{machine.id}")),
            h("p", " › ".join(machine.path[2:]), class_="place"),
            h("span", icon("chevron", 18), class_="go"),
        ),
        live(f"card-{machine.id}", card_body(now, glance, view)),
        signal(now, glance, view.t),
        h(
            "footer",
            h("span", view.t("Last value")),
            age(now.last_point_ns, now.time_ns, view.t, QUIET_AFTER_S, key=f"machine-{machine.id}"),
        ),
        class_="card machine-card",
    )


def card_body(now: MachineNow, glance: Glance, view: View) -> Markup:
    t = view.t
    quiet = now.last_point_ns is None or now.time_ns - now.last_point_ns > QUIET_AFTER_S * 1e9
    return h(
        "div",
        h("div", state_chip(now.state, t), since(now, t), class_="card-state"),
        h(
            "div",
            h(
                "div",
                h("p", shift_word(now.shift, t), class_="label"),
                h("p", figure(t.percent(told(now.oee).oee if now.oee else None), "%"), class_="big"),
                coverage(now.oee, t),
                class_="card-oee",
            ),
            factors(now.oee, t),
            class_="card-figures",
        ),
        h("div", parts_line(now.oee, t), class_="card-parts"),
        ribbon(glance.states, now, t),
        class_="card-body quiet" if quiet else "card-body",
        data_state=now.state.value,
    )


def since(now: MachineNow, t: Language) -> Markup | None:
    """Since when the state holds; nothing while there is none."""
    if now.last_point_ns is None:
        return None
    if now.state_since_ns is None:
        return h("span", t("for more than a day"), class_="since")
    return h("span", t("since {time}", time=t.moment(now.state_since_ns, now.time_ns)), class_="since")


def shift_word(shift: Shift | None, t: Language) -> str:
    if shift is None:
        return t("OEE, last 8 hours")
    return t("OEE, shift {name}", name=shift.name) if shift.name else t("OEE today")


def enough(oee: Oee) -> bool:
    """Whether enough is known for a percentage: a factor of one minute's data misleads, however right it is."""
    return oee.known_ns >= ENOUGH_NS and (oee.coverage or 0.0) >= ENOUGH_COVERAGE


def told(oee: Oee) -> Oee:
    """The figures as they are shown: without OEE and factors where too little is known."""
    return oee if enough(oee) else replace(oee, availability=None, performance=None, quality=None, oee=None)


def coverage(oee: Oee | None, t: Language) -> Markup:
    """How much of the planned time is known: the reader judges the figure by it."""
    if oee is None:
        return h("p", t("No state signal"), class_="coverage")
    if oee.coverage is None:
        return h("p", t("No planned time"), class_="coverage")
    share, few = t.share(oee.coverage), not enough(oee)
    low = few or oee.coverage < 0.9
    text = t("Data for {share} % of the time", share=share)
    if few and oee.known_ns:
        known = t.duration(oee.known_ns)
        text = t("Too little data: {known} known, {share} % of the time", known=known, share=share)
    return h("p", low and icon("info", 14), text, class_="coverage low" if low else "coverage")


def factors(oee: Oee | None, t: Language) -> Markup:
    """The three factors, small, as bars against 100 %."""
    oee = oee and told(oee)
    rows = (
        ("A", t("Availability"), oee.availability if oee else None),
        ("P", t("Performance"), oee.performance if oee else None),
        ("Q", t("Quality"), oee.quality if oee else None),
    )
    return h(
        "dl",
        [
            h(
                "div",
                h("dt", name, title=letter),
                h("dd", figure(t.percent(value, 0), "%")),
                h("div", value is not None and h("span", style=f"width:{min(value, 1) * 100:.1f}%"), class_="meter"),
            )
            for letter, name, value in rows
        ],
        class_="factors",
    )


def parts_line(oee: Oee | None, t: Language) -> Markup:
    """Good parts and scrap."""
    produced = oee.produced if oee else None
    if oee is None or produced is None:
        return h("p", t("Parts are not counted"), class_="muted")
    if oee.scrap is None or oee.good is None:
        return h(
            "p",
            _counted(produced, t.plural("part", "parts", produced), t),
            h("span", t("scrap not counted"), class_="muted"),
        )
    return h(
        "p",
        _counted(oee.good, t.plural("good", "good", oee.good), t),
        h("span", t.integer(oee.scrap), " ", t.plural("scrapped", "scrapped", oee.scrap), class_="muted"),
    )


def _counted(n: int, word: str, t: Language) -> Markup:
    return h("span", figure(t.integer(n)), " ", word)


def ribbon(states: Timeline | None, now: MachineNow, t: Language) -> Markup | None:
    """The shift's states as one thin band; what is to come is blank."""
    if states is None:
        return None
    window = states.window
    rows = ribbon_rows(states, min(now.time_ns, window.end_ns))
    start, length = window.start_ns // 1_000_000, window.length_ns / 1_000_000
    segments = [
        h(
            "span",
            class_="seg",
            data_state=STATES[code].value,
            style=f"left:{(begin - start) / length:.4%};width:{(end - begin) / length:.4%}",
        )
        for begin, end, code in rows
    ]
    return h(
        "div",
        h("div", segments, class_="mini-ribbon", role="img", aria_label=t("States of the shift")),
        h("p", h("span", t.clock(window.start_ns)), h("span", t.clock(window.end_ns)), class_="spark-label"),
    )


def signal(now: MachineNow, glance: Glance, t: Language) -> Markup | None:
    """The first chart tag: its newest value, and its last hour as a line."""
    chart = now.machine.chart
    if not chart:
        return None
    tag = chart[0]
    newest = live(f"value-{tag.id}", value(tag, glance.last, t), "span")
    return h(
        "div",
        h("p", h("span", tag.label_in(t.code)), newest, class_="spark-label"),
        live(f"spark-{now.machine.id}", sparkline(glance.trend), class_="spark"),
    )


def sparkline(trend: Trend | None, width: int = 240, height: int = 40) -> Markup:
    """A line over equal buckets; it breaks where buckets are empty for five minutes or more."""
    mean = np.empty(0) if trend is None else trend.mean
    rows = np.flatnonzero(~np.isnan(mean))
    if trend is None or not len(rows):
        return Markup("")
    low, high = float(mean[rows].min()), float(mean[rows].max())
    pad = (high - low) * 0.1 or max(abs(high) * 0.1, 1.0)
    low, high = low - pad, high + pad
    x = rows / max(len(mean) - 1, 1) * width
    y = height - (mean[rows] - low) / (high - low) * height
    step = max(round(5 * MINUTE / max(trend.bucket_ns, 1)), 2)
    broken = np.append(True, np.diff(rows) > step)
    path = "".join(
        f"{'M' if new else 'L'}{a:.1f} {b:.1f}"
        for a, b, new in zip(x.tolist(), y.tolist(), broken.tolist(), strict=True)
    )
    return h(
        "svg",
        h("path", d=path),
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        class_="sparkline",
        aria_hidden="true",
    )
