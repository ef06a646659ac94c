"""The table of pages, in the order of the navigation: by work, not by technology."""

from __future__ import annotations

from dashboards.web.i18n import msg
from dashboards.web.pages import connections, machine, overview
from dashboards.web.pages.base import Page

PAGES: tuple[Page, ...] = (
    Page("overview", "/", msg("Overview"), "overview", overview.load),
    Page(
        "machine", "/machine/{machine_id}", msg("Machine"), "machine", machine.load, uses_machine=True, uses_window=True
    ),
    Page("connections", "/connections", msg("Connections"), "connections", connections.load),
)
