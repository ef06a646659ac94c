"""The frame's HTML: head, header with its pickers, navigation, skeleton. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dashboards.web.i18n import LANGUAGES, Language, msg
from dashboards.web.icons import icon
from dashboards.web.markup import Markup, h, join
from dashboards.web.pages.base import Page
from dashboards.web.site import LANGUAGE_COOKIE, THEME_COOKIE, Site, View
from dashboards.web.windows import Choice, Kind, resolve

STATIC = Path(__file__).parent / "static"
STATIC_URL = "/pages-static"

THEME_WORDS = {"auto": msg("As the device"), "light": msg("Light"), "dark": msg("Dark")}
WINDOW_WORDS = {
    Kind.SHIFT: msg("Shift"),
    Kind.TODAY: msg("Today"),
    Kind.DAYS_7: msg("7 days"),
    Kind.DAYS_30: msg("30 days"),
}


@cache
def static_url(name: str) -> str:
    """The address of a static file; it changes with the content, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{STATIC_URL}/{name}?v={digest}"


def head(t: Language, theme: str) -> Markup:
    """Style and script, and the theme before the first paint."""
    words = {
        "now": t("now"),
        "ago": t("{age} ago", age="{age}"),
        "s": t("{n} s", n="{n}"),
        "min": t("{n} min", n="{n}"),
        "h": t("{h} h", h="{h}"),
        "hm": t("{h} h {m} min", h="{h}", m="{m}"),
        "d": t("{d} d", d="{d}"),
        "dh": t("{d} d {h} h", d="{d}", h="{h}"),
    }
    settings = {"theme": theme, "language": t.code, "words": words, "zone": str(t.zone)}
    return join(
        [
            h("script", Markup(f"window.testbedSettings={_script_json(settings)}")),
            h("script", src=static_url("testbed.js")),
            h("link", rel="stylesheet", href=static_url("testbed.css")),
        ]
    )


def skip_link(t: Language) -> Markup:
    return h("a", t("To the content"), href="#main", class_="skip")


def header(site: Site, view: View, page: Page | None) -> Markup:
    """Plant, machine, window, badge, settings. On a wall: plant and badge only."""
    plant, t = site.plant.config.plant, view.t
    brand = h("a", h("span", plant.name, class_="plant-name"), href=view.to("/"), id="brand", class_="brand")
    if view.wall:
        return join([brand, badge(site, t), h("span", class_="wall-clock", data_clock=True)])
    return join(
        [
            brand,
            page is not None and page.uses_machine and machine_picker(site, view),
            page is not None and page.uses_window and window_picker(site, view),
            h("span", class_="spring"),
            badge(site, t),
            settings(view),
        ]
    )


def badge(site: Site, t: Language) -> Markup:
    """Whether these machines are real, and whether their figures are of now."""
    config = site.plant.config
    if config.plant.simulated:
        text, hint, name = t("Simulated"), t("The machines are simulated. No figure here is evidence."), "simulated"
    elif all(source.type == "replay" for source in config.sources.values()):
        text, hint, name = t("Recorded"), t("The figures come from a recorded log."), "recorded"
    else:
        text, hint, name = t("Live"), t("The figures come from real machines."), "live"
    return h("span", icon(name, 16), h("span", text), class_="badge", data_kind=name, title=hint)


def machine_picker(site: Site, view: View) -> Markup:
    t = view.t
    return h(
        "label",
        h("span", t("Machine"), class_="hidden"),
        h(
            "select",
            [
                h(
                    "option",
                    machine.name,
                    value=view.to_machine(machine.id, view.choice),
                    selected=machine.id == view.machine_id,
                )
                for machine in site.plant.machines()
            ],
            id="machine-picker",
            data_navigate=True,
        ),
        class_="picker",
    )


def window_picker(site: Site, view: View) -> Markup:
    """Shift · Today · 7 days · 30 days · Own; its form starts from the window on screen."""
    t, path, plant = view.t, f"/machine/{view.machine_id}", site.plant
    shown = resolve(view.choice, plant.clock(), plant.calendar, t.zone)
    start = Choice.own(shown.window, t.zone) if shown else view.choice
    links = [
        h(
            "a",
            t(WINDOW_WORDS[kind]),
            href=view.to(path, Choice(kind, explicit=True)),
            aria_current=view.choice.kind is kind and "true",
            id=f"window-{kind}",
        )
        for kind in WINDOW_WORDS
    ]
    own = view.choice.kind is Kind.OWN
    form = h(
        "form",
        h("input", type="hidden", name="window", value="own"),
        h("label", t("From"), _time_field("from", start.start)),
        h("label", t("To"), _time_field("to", start.end)),
        h("p", t("Times in {zone}", zone=str(t.zone)), class_="muted"),
        h("button", t("Show"), type="submit", class_="button primary"),
        action=path,
        method="get",
        data_get=True,
    )
    popover = h(
        "details",
        h("summary", t("Own"), id="window-own", aria_current=own and "true"),
        h("div", form, class_="popover"),
        class_="own",
    )
    return h("div", links, popover, class_="windows", role="group", aria_label=t("Time window"))


def _time_field(name: str, value: str) -> Markup:
    return h("input", type="datetime-local", name=name, value=value[:16], required=True)


def settings(view: View) -> Markup:
    """Language and theme, remembered by the browser."""
    t = view.t
    languages = _choices(t("Language"), LANGUAGE_COOKIE, LANGUAGES, t.code)
    themes = _choices(t("Appearance"), THEME_COOKIE, {key: t(word) for key, word in THEME_WORDS.items()}, view.theme)
    return h(
        "details",
        h(
            "summary",
            icon("settings"),
            h("span", t.code.upper(), class_="code"),
            id="settings",
            aria_label=t("Language and appearance"),
            title=t("Language and appearance"),
        ),
        h("div", languages, themes, class_="popover right"),
        class_="settings",
    )


def _choices(title: str, cookie: str, options: dict[str, str], chosen: str) -> Markup:
    buttons = [
        h(
            "button",
            text,
            type="button",
            lang=key if cookie == LANGUAGE_COOKIE else None,
            data_cookie=cookie,
            data_value=key,
            aria_pressed="true" if key == chosen else "false",
        )
        for key, text in options.items()
    ]
    return h("fieldset", h("legend", title), h("div", buttons, class_="segments"))


def navigation(site: Site, view: View, pages: Sequence[Page]) -> Markup:
    """The entries by work. A page about one machine leads to the one shown, or to the first."""
    t = view.t
    machine_id = view.machine_id or next(iter(site.plant.config.machines))
    items = [
        h(
            "li",
            h(
                "a",
                icon(page.icon),
                h("span", t(page.label)),
                href=view.to(page.path.replace("{machine_id}", machine_id)),
                aria_current=page.id == view.page and "page",
                id=f"nav-{page.id}",
            ),
        )
        for page in pages
    ]
    return h("ul", items)


def skeleton(t: Language) -> Markup:
    """Quiet blocks in the place of what is being fetched."""
    blocks = [h("div", class_="block") for _ in range(3)]
    return h("div", h("p", t("Loading …"), class_="hidden", role="status"), blocks, class_="page skeleton")


def _script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
