"""GET /api/health: can the system do its work? Cheap, for probes."""

from __future__ import annotations

import time
from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from api import schemas as out
from api.convert import time_or_none
from api.problems import Responses, documented
from api.times import PlantHere
from plant.connections import Connections, Fault, OutboxStatus
from plant.historian.base import HistorianHealth

router = APIRouter(tags=["System"])
VERSION = version("factory-testbed")


_RESPONSES: Responses = {
    503: {"description": "It is not; `reasons` tells why.", "model": out.HealthOut},
    500: documented()[500],
}


@router.get("/api/health", summary="Is the system able to do its work?", responses=_RESPONSES)
def health(request: Request, response: Response, plant: PlantHere) -> out.HealthOut:
    """Historian and outbox. A machine that is switched off is no reason: see /api/sources for the links."""
    store = plant.health()
    outbox = outbox_of(request.app.state.connections)
    reasons = why_failing(store, outbox)
    if reasons:
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    return out.HealthOut(
        status="failing" if reasons else "ok",
        reasons=reasons,
        version=VERSION,
        uptime_s=round(time.monotonic() - request.app.state.started_s, 3),
        historian=out.HistorianOut(
            ok=store.ok, name=store.name, rows=store.rows, bytes=store.bytes, message=store.message
        ),
        outbox=None if outbox is None else _outbox_out(outbox),
    )


def outbox_of(connections: Connections | None) -> OutboxStatus | None:
    return None if connections is None else connections.outbox()


def why_failing(store: HistorianHealth, outbox: OutboxStatus | None) -> list[str]:
    """Reasons in plain words; none: all is well."""
    reasons = []
    if not store.ok:
        reasons.append(f"The historian cannot be used: {store.message or 'it does not say why'}")
    if outbox is not None and outbox.fault is not Fault.NONE:
        reasons.append(f"The outbox cannot hand on points ({outbox.fault}): {outbox.detail or 'no details'}")
    return reasons


def _outbox_out(outbox: OutboxStatus) -> out.OutboxOut:
    return out.OutboxOut(
        batches=outbox.batches,
        points=outbox.points,
        bytes=outbox.bytes,
        oldest=time_or_none(outbox.oldest_ns),
        dropped_points=outbox.dropped_points,
        forwarded_points=outbox.forwarded_points,
        fault=outbox.fault,
        detail=outbox.detail,
    )
