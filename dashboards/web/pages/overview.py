"""`/`: every machine at a glance."""

from __future__ import annotations

from collections.abc import Hashable

from nicegui import ui

from dashboards.web.live import News
from dashboards.web.pages.base import Loaded
from dashboards.web.site import Site, View
from dashboards.web.views import overview
from dashboards.web.views.overview import Glance
from plant.clock import HOUR, SECOND, Window
from plant.plant import MachineNow
from plant.points import PointBatch

_SPARK_BUCKETS = 60
_GLANCE_EVERY_NS = 30 * SECOND


def load(site: Site, view: View) -> Loaded:
    plant = site.plant
    machines = plant.overview()
    html = overview.page(machines, _glances(site, machines), view)
    return Loaded(lambda: ui.html(html, sanitize=False), OverviewLive(site, view), view.t("Overview"))


class OverviewLive:
    """The cards, every second; their bands and small trends every half minute."""

    def __init__(self, site: Site, view: View) -> None:
        self._site, self._view = site, view
        self._glances: dict[str, Glance] = {}
        self._glances_ns = 0

    @property
    def key(self) -> Hashable:
        return "overview", self._view.t.code

    def news(self, now_ns: int, batch: PointBatch) -> News:
        machines = self._site.plant.overview()
        if now_ns - self._glances_ns >= _GLANCE_EVERY_NS:
            self._glances, self._glances_ns = _glances(self._site, machines), now_ns
        return News(overview.fragments(machines, self._glances, self._view))


def _glances(site: Site, machines: tuple[MachineNow, ...]) -> dict[str, Glance]:
    """The last hour of each machine's first chart tag, and the states of its shift."""
    plant, now_ns = site.plant, site.plant.clock()
    first = {now.machine.id: now.machine.chart[0].id for now in machines if now.machine.chart}
    trends = plant.trends(sorted(set(first.values())), Window(now_ns - HOUR, now_ns), _SPARK_BUCKETS)
    return {
        now.machine.id: Glance(
            trends.get(first.get(now.machine.id, "")),
            plant.states(now.machine.id, now.shift.window) if now.shift and now.machine.config.states else None,
        )
        for now in machines
    }
