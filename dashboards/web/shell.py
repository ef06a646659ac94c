"""The frame around every page: header, navigation, and the part that changes when the address does.

Clicks on links are answered over the open socket (ui.sub_pages), so that a page is not loaded anew.
"""

# No `from __future__ import annotations`: NiceGUI compares the annotation PageArguments by identity.

import asyncio
import logging
from urllib.parse import unquote

from fastapi import Request
from nicegui import PageArguments, ui

from dashboards.web import frame
from dashboards.web.live import Broadcaster
from dashboards.web.pages.base import Loaded, Page
from dashboards.web.pages.table import PAGES
from dashboards.web.parts import button_link, empty, notice
from dashboards.web.site import Site, View, reader
from dashboards.web.windows import Choice
from plant.errors import TestbedError

_log = logging.getLogger(__name__)
_WAIT_FOR_CONTENT_S = 0.6
"""A page that is ready by then comes with the first answer; a slower one shows its skeleton meanwhile."""


class Shell:
    """All pages of one site."""

    def __init__(self, site: Site, broadcaster: Broadcaster) -> None:
        self.site = site
        self.broadcaster = broadcaster

    async def root(self, request: Request) -> None:
        """Build the page for any address: NiceGUI calls it where nothing else answers."""
        t, theme = reader(request, self.site.plant.config.plant.timezone)
        client = ui.context.client
        client.page.language = "sv" if t.code == "sv" else "en-GB"  # the page object is this request's own
        client.page.dark = {"light": False, "dark": True}.get(theme)
        ui.add_head_html(frame.head(t, theme))
        visit = _Visit(self, View(t, theme, wall=request.query_params.get("wall") == "1"))
        client.on_delete(lambda: self.broadcaster.leave(client.id))
        await visit.first_content()


class _Visit:
    """One browser tab: its frame, and what it shows now."""

    def __init__(self, shell: Shell, view: View) -> None:
        self._site, self._broadcaster = shell.site, shell.broadcaster
        self._view = view
        self._shown = ""  # the path on screen
        self._ready = asyncio.Event()
        self._client = ui.context.client
        self._client.content.classes("app wall" if view.wall else "app")
        quasar_main = self._client.content.parent_slot
        if quasar_main is not None:
            quasar_main.parent.props("role=none")  # it holds the header too: the content below is the main landmark
        ui.html(frame.skip_link(view.t), sanitize=False)
        self._header = ui.html("", sanitize=False, tag="header").classes("top")
        self._nav = ui.html("", sanitize=False, tag="nav").classes("side")
        self._nav.props["aria-label"] = view.t("Main menu")
        with ui.element("main").props('id="main" tabindex="-1"'):
            ui.sub_pages({"/": self._open}, show_404=False)

    async def first_content(self) -> None:
        """Wait a moment for the content, so that it comes with the first answer."""
        try:
            await asyncio.wait_for(self._ready.wait(), _WAIT_FOR_CONTENT_S)
        except TimeoutError:
            return

    async def _open(self, arguments: PageArguments) -> None:
        """Show the page of an address, in the place of the one before."""
        path = "/" + unquote(arguments.remaining_path.strip("/"))
        page, machine_id = _match(path)
        known = page is not None and (machine_id is None or machine_id in self._site.plant.config.machines)
        view = View(
            self._view.t,
            self._view.theme,
            self._view.wall,
            page.id if page else "",
            machine_id if known else None,
            Choice.of(arguments.query_parameters),
        )
        self._broadcaster.leave(self._client.id)
        self._header.set_content(frame.header(self._site, view, page if known else None))
        self._nav.set_content(frame.navigation(self._site, view, PAGES))
        with ui.element("div").classes("content") as content:
            if page is None or not known:
                self._client.status_code = 404
                _show_not_found(path, machine_id, self._site, view)
                self._arrived(path, view.t("Not found"))
                return
            skeleton = ui.html(frame.skeleton(view.t), sanitize=False)
            loaded = await self._load(page, view)
            skeleton.delete()
            with content:
                loaded.show()
        if loaded.live is not None and not self._client.is_deleted:
            client = self._client
            self._broadcaster.join(client.id, loaded.live, lambda script: client.run_javascript(script))
        self._arrived(path, loaded.title or view.t(page.label))

    async def _load(self, page: Page, view: View) -> Loaded:
        """What the page has to show, or why it has nothing."""
        t = view.t
        plant = self._site.plant
        try:
            while True:
                config = plant.config
                loaded = await asyncio.to_thread(page.load, self._site, view)
                if plant.config is config:
                    return loaded  # else the plant was reloaded meanwhile, and this is about another one
        except TestbedError as error:
            failed = notice("bad", str(error), error.next_step, button_link("", t("Try again")), role="alert")
        except Exception:  # noqa: BLE001 — the supervisor of the page: say so instead of spinning for ever
            _log.exception("page %s", page.id)
            failed = notice(
                "bad",
                t("This page could not be made. The fault is ours, not your machine's."),
                t("The log of the test bed holds the details."),
                button_link("", t("Try again")),
                role="alert",
            )
        return Loaded(lambda: ui.html(failed, sanitize=False).classes("page"))

    def _arrived(self, path: str, title: str) -> None:
        same = path == self._shown
        self._shown = path
        ui.page_title(f"{title} · {self._site.plant.config.plant.name}")
        if self._ready.is_set():
            self._client.run_javascript(f"testbed.arrived({'true' if same else 'false'})")
        self._ready.set()


def _match(path: str) -> tuple[Page | None, str | None]:
    """The page of a path, and the machine it names."""
    for page in PAGES:
        head, parameter, _ = page.path.partition("{machine_id}")
        if parameter and path.startswith(head) and "/" not in (rest := path[len(head) :]) and rest:
            return page, rest
        if path == page.path:
            return page, None
    return None, None


def _show_not_found(path: str, machine_id: str | None, site: Site, view: View) -> None:
    t = view.t
    if machine_id is None:
        what = t("There is no page {path}.", path=path)
        step = t("The address may be old or mistyped.")
    else:
        what = t("There is no machine “{id}”.", id=machine_id)
        step = t("The plant has: {names}.", names=", ".join(machine.name for machine in site.plant.machines()))
    way_back = button_link(view.to("/"), t("To the overview"), primary=True)
    ui.html(empty("unknown", what, step, way_back), sanitize=False).classes("page not-found")
