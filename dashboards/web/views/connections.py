"""The connections: every source with its tags, what is wrong in plain words, and the next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboards.web.advice import source_advice, tag_advice
from dashboards.web.i18n import DASH, Language
from dashboards.web.icons import icon
from dashboards.web.markup import Child, Markup, h, join
from dashboards.web.parts import advice_notice, age, figure, live, notice, tone_chip
from dashboards.web.site import View
from dashboards.web.views.signals import quality, signal_cells, value
from dashboards.web.words import FAULT_WORDS, KIND_WORDS, LINK_ICONS, LINK_TONES, LINK_WORDS
from plant.assets import Machine
from plant.clock import MINUTE
from plant.connections import Fault, Link, OutboxStatus, SourceStatus, TagStatus
from plant.historian.base import HistorianHealth
from plant.tags import Tag

Tags = Mapping[str, Tag]
Limits = Mapping[str, float | None]

_RAW_LENGTH = 60
_PATIENCE_NS = 15 * MINUTE


def page(
    sources: Sequence[SourceStatus] | None,
    outbox: OutboxStatus | None,
    store: HistorianHealth,
    machines: Sequence[Machine],
    limits: Limits,
    view: View,
    now_ns: int,
) -> Markup:
    t = view.t
    tags = {tag.id: tag for machine in machines for tag in machine.tags}
    names = {machine.id: machine.name for machine in machines}
    if sources is None:
        body: Child = notice(
            "info",
            t("Stored data only: no gateway runs in this program."),
            t("Start it with `testbed run` or `testbed demo` to see the sources here."),
        )
    else:
        body = [source(one, tags, names, limits, t, now_ns) for one in sources]
    return h(
        "div",
        h(
            "div",
            h("h1", t("Connections")),
            live("summary", summary(sources or (), t), "p", class_="lead"),
            class_="page-head",
        ),
        body,
        h(
            "section",
            h("h2", t("On the way to the store")),
            live("store", store_body(outbox, store, t, now_ns)),
            class_="card panel",
        ),
        class_="page connections",
    )


def fragments(
    sources: Sequence[SourceStatus],
    outbox: OutboxStatus | None,
    store: HistorianHealth,
    tags: Tags,
    view: View,
    now_ns: int,
) -> dict[str, Markup]:
    """What changes from second to second, by live key."""
    t = view.t
    found = {"summary": summary(sources, t), "store": store_body(outbox, store, t, now_ns)}
    for one in sources:
        found[f"source-{one.name}"] = source_head(one, t, now_ns)
        found[f"trouble-{one.name}"] = trouble(one, t, now_ns)
        found[f"count-{one.name}"] = tag_count(one, t)
        for status in one.tags:
            tag = tags.get(status.tag)
            found[f"value-{status.tag}"] = value(tag, status.last, t)
            found[f"quality-{status.tag}"] = quality(status.last, t)
            found[f"raw-{status.tag}"] = raw(status, tag, t)
    return found


def summary(sources: Sequence[SourceStatus], t: Language) -> Markup:
    """2 of 3 sources deliver · 1 needs a look."""
    if not sources:
        return Markup("")
    good = sum(one.link is Link.CONNECTED and one.fault is Fault.NONE for one in sources)
    bad = sum(one.link in (Link.DISCONNECTED, Link.FAILING) for one in sources)
    said: list[Child] = [t("{n} of {m} sources deliver", n=good, m=len(sources))]
    if bad:
        said.append(h("span", t.plural("{n} needs a look", "{n} need a look", bad), class_="attention"))
    return join([h("span", part, class_="said") for part in said])


def source(one: SourceStatus, tags: Tags, names: Mapping[str, str], limits: Limits, t: Language, now_ns: int) -> Markup:
    """One source: how the link is, what is wrong, its tags. Tags fold away; they open by themselves on trouble."""
    titles = [
        h("th", name, scope="col", class_="num" if number else None)
        for name, number in (
            (t("Signal"), False),
            (t("Value"), True),
            (t("Quality of the value"), False),
            (t("Age"), True),
            (t("Machine"), False),
            (t("Raw → value"), False),
        )
    ]
    rows = [
        h("tr", tag_cells(status, tags.get(status.tag), names, limits.get(status.tag), t, now_ns))
        for status in one.tags
    ]
    table = h("table", h("thead", h("tr", titles)), h("tbody", rows)) if rows else no_tags(t)
    return h(
        "section",
        live(f"source-{one.name}", source_head(one, t, now_ns)),
        live(f"trouble-{one.name}", trouble(one, t, now_ns), class_="trouble"),
        h(
            "details",
            h(
                "summary",
                h("span", icon("chevron", 16), class_="turn"),
                live(f"count-{one.name}", tag_count(one, t), "span"),
            ),
            h("div", table, class_="scroll"),
            open=bool(rows),
            class_="tags",
        ),
        class_="card panel source",
        aria_label=one.name,
    )


def no_tags(t: Language) -> Markup:
    return h("p", t("No tag is read from this source."), class_="muted")


def tag_count(one: SourceStatus, t: Language) -> Markup:
    """18 tags · 1 with a fault · 3 wait for their first value."""
    faults = sum(status.fault not in (Fault.NONE, Fault.NO_DATA) for status in one.tags)
    waiting = sum(status.fault is Fault.NO_DATA for status in one.tags)
    said: list[Child] = [t.plural("{n} tag", "{n} tags", len(one.tags))]
    if faults:
        said.append(h("span", t.plural("{n} with a fault", "{n} with a fault", faults), class_="attention"))
    if waiting:
        said.append(t.plural("{n} waits for its first value", "{n} wait for their first value", waiting))
    return join([h("span", part, class_="said") for part in said])


def source_head(one: SourceStatus, t: Language, now_ns: int) -> Markup:
    facts: list[tuple[str, Child]] = [
        (t("Since"), t.moment(one.since_ns, now_ns)),
        (t("Last good value"), age(one.last_good_ns, now_ns, t)),
        (t("Round trip"), figure(t.number(one.round_trip_ms, 1), "ms")),
        (t("Messages") if one.kind in ("mqtt", "sparkplug") else t("Reads"), figure(t.integer(one.reads))),
        (t("Errors"), errors(one, t)),
        (t("Late polls"), figure(t.integer(one.overruns))),
    ]
    if not one.kind.startswith("modbus-"):
        facts = [fact for fact in facts if fact[0] not in (t("Round trip"), t("Late polls"))]
    return h(
        "div",
        h(
            "div",
            h("h2", one.name),
            h("p", t(KIND_WORDS.get(one.kind, one.kind)), " · ", h("code", one.endpoint), class_="muted"),
            class_="source-name",
        ),
        tone_chip(LINK_TONES[one.link], LINK_ICONS[one.link], t(LINK_WORDS[one.link])),
        h("dl", [h("div", h("dt", name), h("dd", fact)) for name, fact in facts], class_="elements"),
        class_="source-head",
    )


def errors(one: SourceStatus, t: Language) -> Markup:
    """How many, and of which kinds."""
    total = sum(one.errors.values())
    kinds = ", ".join(
        f"{t(FAULT_WORDS[fault])} {t.integer(n)}"
        for fault, n in sorted(one.errors.items(), key=lambda item: -item[1])
        if n and FAULT_WORDS[fault]
    )
    return h("span", figure(t.integer(total)), kinds and h("span", f" ({kinds})", class_="muted"))


def trouble(one: SourceStatus, t: Language, now_ns: int) -> Markup:
    """What happened, since when, and the next step; then the tags that fail by themselves."""
    found = source_advice(one, t)
    notes = []
    if found is not None:
        since = t("Since {time}.", time=t.moment(one.since_ns, now_ns)) + " "
        notes.append(advice_notice("bad" if one.link is Link.DISCONNECTED else "warn", found, since))
    long_since = now_ns - one.since_ns > _PATIENCE_NS  # some topics speak once per part
    by_fault: dict[tuple[Fault, str], list[str]] = {}
    for status in one.tags:
        if status.fault not in (Fault.NONE, one.fault) and (status.fault is not Fault.NO_DATA or long_since):
            by_fault.setdefault((status.fault, status.detail), []).append(status.tag)
    for (fault, detail), tag_ids in by_fault.items():
        said = tag_advice(fault, detail, one, t)
        if said is not None:
            notes.append(
                advice_notice(
                    "info" if fault is Fault.NO_DATA else "warn", said, h("span", h("code", _list(tag_ids)), ": ")
                )
            )
    return join(notes)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" + {len(names) - 3}" if len(names) > 3 else "")


def tag_cells(
    status: TagStatus, tag: Tag | None, names: Mapping[str, str], limit_s: float | None, t: Language, now_ns: int
) -> Markup:
    machine_id, _, name = status.tag.partition(".")
    return join(
        [
            h("th", tag.label_in(t.code) if tag is not None else name, scope="row", title=status.tag),
            signal_cells(status.tag, tag, status.last, limit_s, t, now_ns),
            h("td", names.get(machine_id, machine_id)),
            live(f"raw-{status.tag}", raw(status, tag, t), "td", class_="raw"),
        ]
    )


def raw(status: TagStatus, tag: Tag | None, t: Language) -> Markup:
    """What came over the wire, and what became of it."""
    if not status.raw:
        return h("span", DASH, class_="muted")
    short = status.raw if len(status.raw) <= _RAW_LENGTH else status.raw[:_RAW_LENGTH] + "…"
    return h("span", h("code", short, title=status.raw), " → ", value(tag, status.last, t))


def store_body(outbox: OutboxStatus | None, store: HistorianHealth, t: Language, now_ns: int) -> Markup:
    """What waits between the sources and the store, and what the store says of itself."""
    facts: list[tuple[str, Child]] = []
    if outbox is not None:
        facts += [
            (t("Waiting"), t.plural("{n} point", "{n} points", outbox.points)),
            (t("Oldest"), age(outbox.oldest_ns, now_ns, t)),
            (t("Size of the buffer"), t.bytes(outbox.bytes)),
            (t("Stored since start"), t.plural("{n} point", "{n} points", outbox.forwarded_points)),
            (t("Dropped"), t.plural("{n} point", "{n} points", outbox.dropped_points)),
        ]
    facts += [
        (t("In the store"), t.plural("{n} point", "{n} points", store.rows)),
        (t("Size of the store"), t.bytes(store.bytes)),
    ]
    notes = []
    if outbox is not None and outbox.fault is not Fault.NONE:
        waiting = t("The store takes no points at the moment. They wait in the buffer on this computer; none is lost.")
        if outbox.dropped_points:
            waiting = t("The store takes no points at the moment. The newest ones wait in the buffer on this computer.")
        notes.append(
            notice(
                "warn",
                waiting,
                outbox.detail or t("It is tried again by itself. Check that the disk has room."),
            )
        )
    if outbox is not None and outbox.dropped_points:
        text = t("The buffer was full: the oldest points were dropped.")
        notes.append(notice("bad", text, t("Bring the store back, or allow the buffer more room.")))
    if not store.ok:
        notes.append(notice("bad", t("The store reports a fault."), store.message))
    return h(
        "div", notes, h("dl", [h("div", h("dt", n), h("dd", f)) for n, f in facts], class_="elements"), class_="store"
    )
