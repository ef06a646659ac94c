"""Small pieces of pages that several of them use. Pure: they return HTML."""

from __future__ import annotations

from dashboards.web.advice import Advice
from dashboards.web.i18n import DASH, Language
from dashboards.web.icons import icon
from dashboards.web.markup import Child, Markup, h
from dashboards.web.words import STATE_WORDS
from plant.states import State


def state_chip(state: State, t: Language, *, large: bool = False) -> Markup:
    """A state: coloured sign with its icon, and the word."""
    return h(
        "span",
        h("span", icon(state.value, 20 if large else 16), class_="sign"),
        h("span", t(STATE_WORDS[state])),
        class_="chip large" if large else "chip",
        data_state=state.value,
    )


def tone_chip(tone: str, icon_name: str, word: str) -> Markup:
    """A judgement (ok, warn, bad, quiet): coloured sign with an icon, and the word."""
    return h("span", h("span", icon(icon_name, 14), class_="sign"), h("span", word), class_="chip", data_tone=tone)


def figure(value: str, unit: str = "") -> Markup:
    """A number with its unit smaller beside it; a dash has no unit."""
    return h("span", value, unit and value != DASH and h("span", "\u00a0" + unit, class_="unit"), class_="figure")


def age(
    time_ns: int | None, now_ns: int, t: Language, stale_after_s: float | None = None, key: str | None = None
) -> Markup:
    """How long ago, counted on by the browser, dimmed where too old. With a key, new times come as `ages`."""
    stale = time_ns is not None and stale_after_s is not None and now_ns - time_ns > stale_after_s * 1e9
    return h(
        "time",
        t.ago(time_ns, now_ns),
        class_="age stale" if stale else "age",
        data_age=None if time_ns is None else time_ns // 1_000_000,
        data_age_of=key,
        data_stale_s=stale_after_s,
    )


def notice(tone: str, title: Child, text: Child = None, *actions: Child, role: str = "status") -> Markup:
    """A message in the page: what happened, and the next step."""
    sign = {"bad": "cross", "warn": "warning", "ok": "check"}.get(tone, "info")
    return h(
        "div",
        h("span", icon(sign, 18), class_="sign"),
        h("div", h("p", title, class_="notice-title"), text and h("p", text), actions and h("p", *actions)),
        class_="notice",
        data_tone=tone,
        role=role,
    )


def advice_notice(tone: str, found: Advice, where: Child = None) -> Markup:
    return notice(tone, [where, found.what], found.next_step)


def empty(icon_name: str, title: str, text: str, *actions: Child) -> Markup:
    """An empty state: what will be here, and the one thing to do now."""
    return h(
        "div",
        icon(icon_name, 40),
        h("h2", title),
        h("p", text),
        actions and h("p", *actions, class_="actions"),
        class_="empty",
    )


def button_link(href: str, label: str, *, primary: bool = False) -> Markup:
    return h("a", label, href=href, class_="button primary" if primary else "button")


def live(key: str, content: Child, tag: str = "div", **attributes: object) -> Markup:
    """A place whose content the browser replaces when the server sends a new one under the same key."""
    return h(tag, content, data_live=key, **attributes)
