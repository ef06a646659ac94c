"""`/connections`: the engineer's page. Which signals arrive, which do not, and what to do about it."""

from __future__ import annotations

from collections.abc import Hashable

from nicegui import ui

from dashboards.web.live import News
from dashboards.web.pages.base import Loaded
from dashboards.web.site import Site, View
from dashboards.web.views import connections, signals
from plant.clock import SECOND
from plant.historian.base import HistorianHealth
from plant.points import PointBatch

_STORE_EVERY_NS = 10 * SECOND


def load(site: Site, view: View) -> Loaded:
    plant, gateway = site.plant, site.connections
    html = connections.page(
        gateway.sources() if gateway else None,
        gateway.outbox() if gateway else None,
        plant.health(),
        plant.machines(),
        _limits(site),
        view,
        plant.clock(),
    )
    keep = ConnectionsLive(site, view) if gateway else None
    return Loaded(lambda: ui.html(html, sanitize=False), keep, view.t("Connections"))


class ConnectionsLive:
    """Every source and tag, each second; the store's own report more seldom."""

    def __init__(self, site: Site, view: View) -> None:
        self._site, self._view = site, view
        self._tags = {tag.id: tag for tag in site.plant.tags()}
        self._store: HistorianHealth | None = None
        self._store_ns = 0

    @property
    def key(self) -> Hashable:
        return "connections", self._view.t.code

    def news(self, now_ns: int, batch: PointBatch) -> News:
        gateway, plant = self._site.connections, self._site.plant
        assert gateway is not None, "without a gateway the page does not change"
        if self._store is None or now_ns - self._store_ns >= _STORE_EVERY_NS:
            self._store, self._store_ns = plant.health(), now_ns
        sources, outbox = gateway.sources(), gateway.outbox()
        html = connections.fragments(sources, outbox, self._store, self._tags, self._view, now_ns)
        last = {status.tag: status.last for one in sources for status in one.tags if status.last is not None}
        return News(html, {"ages": signals.ages(last)})


def _limits(site: Site) -> dict[str, float | None]:
    """After how long a value of each tag is too old, s."""
    config = site.plant.config
    return {tag.id: config.stale_after_s(tag) for tag in site.plant.tags()}
