"""The table of pages, in the order of the navigation: by work, not by technology."""

from __future__ import annotations

from dashboards.web.i18n import msg
from dashboards.web.pages import overview
from dashboards.web.pages.base import Page

PAGES: tuple[Page, ...] = (Page("overview", "/", msg("Overview"), "overview", overview.load),)
