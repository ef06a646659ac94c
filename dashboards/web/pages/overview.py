"""`/`: every machine at a glance."""

from __future__ import annotations

from collections.abc import Hashable

from nicegui import ui

from dashboards.web.live import News
from dashboards.web.pages.base import Loaded
from dashboards.web.site import Site, View
from dashboards.web.views import overview
from plant.clock import HOUR, SECOND, Window
from plant.historian.base import Trend
from plant.points import PointBatch

_SPARK_BUCKETS = 60
_SPARK_EVERY_NS = 30 * SECOND
_FIGURES_EVERY_NS = 5 * SECOND


def load(site: Site, view: View) -> Loaded:
    plant = site.plant
    machines = plant.overview()
    html = overview.page(machines, _sparks(site, plant.clock()), view)
    return Loaded(lambda: ui.html(html, sanitize=False), OverviewLive(site, view), view.t("Overview"))


class OverviewLive:
    """The cards, every second; the small trends every half minute."""

    def __init__(self, site: Site, view: View) -> None:
        self._site, self._view = site, view
        self._sparks: dict[str, Trend | None] = {}
        self._sparks_ns = self._figures_ns = 0
        self._news = News()
        self._state_tags = {
            f"{machine.id}.{machine.config.states.tag}" for machine in site.plant.machines() if machine.config.states
        }

    @property
    def key(self) -> Hashable:
        return "overview", self._view.t.code, self._view.wall

    def news(self, now_ns: int, batch: PointBatch) -> News:
        due = now_ns - self._figures_ns >= _FIGURES_EVERY_NS
        if not due and not self._state_tags.intersection(batch.tags):
            return self._news
        self._figures_ns = now_ns
        if now_ns - self._sparks_ns >= _SPARK_EVERY_NS:
            self._sparks, self._sparks_ns = _sparks(self._site, now_ns), now_ns
        machines = self._site.plant.overview()
        self._news = News(html=dict(overview.fragments(machines, self._sparks, self._view)))
        return self._news


def _sparks(site: Site, now_ns: int) -> dict[str, Trend | None]:
    """The last hour of each machine's first chart tag."""
    first = {machine.id: machine.chart[0].id for machine in site.plant.machines() if machine.chart}
    trends = site.plant.trends(sorted(set(first.values())), Window(now_ns - HOUR, now_ns), _SPARK_BUCKETS)
    return {machine_id: trends.get(tag_id) for machine_id, tag_id in first.items()}
