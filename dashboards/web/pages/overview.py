"""`/`: every machine at a glance."""

from __future__ import annotations

from collections.abc import Hashable

from nicegui import ui

from dashboards.web.live import News
from dashboards.web.markup import Markup
from dashboards.web.pages.base import Loaded
from dashboards.web.site import Site, View
from dashboards.web.views import overview, signals
from dashboards.web.views.overview import Glance
from plant.clock import HOUR, SECOND, Window
from plant.plant import MachineNow
from plant.points import PointBatch

_SPARK_BUCKETS = 60
_CARDS_EVERY_NS = 2 * SECOND - SECOND // 5  # the ticks are a little more than a second apart
_GLANCE_EVERY_NS = 30 * SECOND


def load(site: Site, view: View) -> Loaded:
    plant = site.plant
    machines = plant.overview()
    html = overview.page(machines, _glances(site, machines), view)
    return Loaded(lambda: ui.html(html, sanitize=False), OverviewLive(site, view), view.t("Overview"))


class OverviewLive:
    """Values every second, cards every other one (a look at every machine costs), bands and trends more seldom."""

    def __init__(self, site: Site, view: View) -> None:
        self._site, self._view = site, view
        self._tags = overview.first_signals(site.plant.machines())
        self._glances: dict[str, Glance] = {}
        self._glances_ns = self._cards_ns = 0
        self._cards: dict[str, Markup] = {}
        self._ages: dict[str, int] = {}

    @property
    def key(self) -> Hashable:
        return "overview", self._view.t.code

    def news(self, now_ns: int, batch: PointBatch) -> News:
        if now_ns - self._cards_ns >= _CARDS_EVERY_NS:
            self._tell_cards(now_ns)
        last = signals.newest(self._site.plant, self._tags)
        return News(self._cards | signals.signal_news(self._tags, last, self._view.t), {"ages": self._ages})

    def _tell_cards(self, now_ns: int) -> None:
        self._cards_ns, machines = now_ns, self._site.plant.overview()
        if now_ns - self._glances_ns >= _GLANCE_EVERY_NS:
            self._glances, self._glances_ns = _glances(self._site, machines), now_ns
        self._cards = overview.fragments(machines, self._glances, self._view)
        self._ages = {
            f"machine-{now.machine.id}": now.last_point_ns // 1_000_000 for now in machines if now.last_point_ns
        }


def _glances(site: Site, machines: tuple[MachineNow, ...]) -> dict[str, Glance]:
    """What the cards show besides their figures."""
    plant, now_ns = site.plant, site.plant.clock()
    tags = list(overview.first_signals(plant.machines()))
    trends = plant.trends(tags, Window(now_ns - HOUR, now_ns), _SPARK_BUCKETS)
    last = signals.newest(plant, tags)
    found = {}
    for now in machines:
        tag_id = now.machine.chart[0].id if now.machine.chart else ""
        shift = now.shift if now.machine.config.states else None
        states = plant.states(now.machine.id, shift.window) if shift else None
        found[now.machine.id] = Glance(last.get(tag_id), trends.get(tag_id), states)
    return found
