"""GET /metrics for Prometheus: read when asked, from a registry of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from api.problems import Responses, documented
from api.routes.health import VERSION, outbox_of, why_failing
from plant.clock import SECOND
from plant.connections import Connections, Link, OutboxStatus, SourceStatus
from plant.errors import TestbedError
from plant.historian.base import HistorianHealth
from plant.plant import MachineNow, Plant
from plant.states import State

log = logging.getLogger(__name__)
router = APIRouter(tags=["System"])


_RESPONSES: Responses = {
    200: {"description": "Prometheus text, or OpenMetrics where asked for", "content": {"text/plain": {}}},
    500: documented()[500],
}


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses=_RESPONSES)
def metrics(request: Request) -> Response:
    """Links, outbox, historian and machines. Missing figures are left out, never sent as zero."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.metrics), media_type=content_type)


def registry_of(plant: Plant, connections: Connections | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_PlantCollector(plant, connections))
    return registry


class _PlantCollector(Collector):
    def __init__(self, plant: Plant, connections: Connections | None) -> None:
        self._plant = plant
        self._connections = connections

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: else registering would collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        now_ns = self._plant.clock()
        store, outbox = self._plant.health(), outbox_of(self._connections)
        up = not why_failing(store, outbox)
        yield GaugeMetricFamily("testbed_up", "1 when the system can do its work, as /api/health says", value=up)
        info = GaugeMetricFamily("testbed_build_info", "Always 1; the version is a label", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        yield from _historian(store)
        if outbox is not None:
            yield from _outbox(outbox, now_ns)
        if self._connections is not None:
            yield from _sources(self._connections.sources(), now_ns)
        try:
            machines = self._plant.overview()
        except TestbedError as error:
            log.warning("/metrics leaves the machines out: %s", error)
            return
        yield from _machines(machines, now_ns)


def _historian(store: HistorianHealth) -> Iterator[Metric]:
    yield GaugeMetricFamily("testbed_historian_up", "1 when the historian can be read and written", value=store.ok)
    yield GaugeMetricFamily("testbed_historian_rows", "Stored points", value=store.rows)
    yield GaugeMetricFamily("testbed_historian_size_bytes", "Size of the historian on disk", value=store.bytes)


def _outbox(outbox: OutboxStatus, now_ns: int) -> Iterator[Metric]:
    age_s = 0.0 if outbox.oldest_ns is None else max(now_ns - outbox.oldest_ns, 0) / SECOND
    yield GaugeMetricFamily("testbed_outbox_batches", "Batches that wait for the historian", value=outbox.batches)
    yield GaugeMetricFamily("testbed_outbox_points", "Points that wait for the historian", value=outbox.points)
    yield GaugeMetricFamily("testbed_outbox_size_bytes", "Bytes that wait for the historian", value=outbox.bytes)
    yield GaugeMetricFamily("testbed_outbox_oldest_age_seconds", "Age of the oldest batch; 0: none waits", value=age_s)
    yield CounterMetricFamily(
        "testbed_outbox_dropped_points", "Points dropped because the outbox was full", value=outbox.dropped_points
    )
    yield CounterMetricFamily(
        "testbed_outbox_forwarded_points", "Points handed to the historian", value=outbox.forwarded_points
    )


def _sources(sources: tuple[SourceStatus, ...], now_ns: int) -> Iterator[Metric]:
    of = ["source", "kind"]
    link = GaugeMetricFamily("testbed_source_link", "1 for the link's present state", labels=[*of, "link"])
    reads = CounterMetricFamily("testbed_source_reads", "Answers or messages", labels=of)
    errors = CounterMetricFamily("testbed_source_errors", "Failures by fault", labels=[*of, "fault"])
    overruns = CounterMetricFamily("testbed_source_overruns", "Polls that came late", labels=of)
    trip = GaugeMetricFamily("testbed_source_round_trip_seconds", "Of the last good read", labels=of)
    age = GaugeMetricFamily("testbed_source_last_good_age_seconds", "Time since the last good read", labels=of)
    for source in sources:
        who = [source.name, source.kind]
        for each in Link:
            link.add_metric([*who, each], float(source.link is each))
        reads.add_metric(who, source.reads)
        for fault, count in source.errors.items():
            errors.add_metric([*who, fault], count)
        overruns.add_metric(who, source.overruns)
        if source.round_trip_ms is not None:
            trip.add_metric(who, source.round_trip_ms / 1000)
        if source.last_good_ns is not None:
            age.add_metric(who, max(now_ns - source.last_good_ns, 0) / SECOND)
    yield from (link, reads, errors, overruns, trip, age)


def _machines(machines: tuple[MachineNow, ...], now_ns: int) -> Iterator[Metric]:
    state = GaugeMetricFamily("testbed_machine_state", "1 for the present state", labels=["machine", "state"])
    age = GaugeMetricFamily(
        "testbed_machine_last_point_age_seconds", "Age of the newest point that is not BAD", labels=["machine"]
    )
    factors = {
        name: GaugeMetricFamily(f"testbed_machine_{name}_ratio", f"{words} of the shift so far", labels=["machine"])
        for name, words in (
            ("oee", "OEE"),
            ("availability", "Availability"),
            ("performance", "Performance"),
            ("quality", "Quality"),
            ("coverage", "Share of planned time with data"),
        )
    }
    for now in machines:
        who = [now.machine.id]
        for each in State:
            state.add_metric([*who, each], float(now.state is each))
        if now.last_point_ns is not None:
            age.add_metric(who, max(now_ns - now.last_point_ns, 0) / SECOND)
        for name, family in factors.items():
            value = None if now.oee is None else getattr(now.oee, name)
            if value is not None:
                family.add_metric(who, value)
    yield from (state, age, *factors.values())
