"""GET /api/sources: the health of every connection, down to the tag."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api import schemas as out
from api.convert import point_out, time_or_none
from api.problems import documented
from api.times import PlantHere
from plant.clock import iso
from plant.connections import Connections, SourceStatus, TagStatus
from plant.plant import Plant
from plant.tags import Tag

router = APIRouter(tags=["System"])


@router.get("/api/sources", summary="Every connection with its tags", responses=documented())
def sources(request: Request, plant: PlantHere) -> out.SourcesOut:
    """Link, errors by kind, round trip, last good read. `gateway: false`: none runs in this process."""
    connections: Connections | None = request.app.state.connections
    found = () if connections is None else connections.sources()
    return out.SourcesOut(gateway=connections is not None, sources=[_source_out(plant, source) for source in found])


def _source_out(plant: Plant, source: SourceStatus) -> out.SourceOut:
    known = {tag.id: tag for tag in plant.tags()}  # while a reload is under way, a source may still tell of others
    return out.SourceOut(
        name=source.name,
        kind=source.kind,
        endpoint=source.endpoint,
        link=source.link,
        since=iso(source.since_ns),
        fault=source.fault,
        detail=source.detail,
        last_good=time_or_none(source.last_good_ns),
        round_trip_ms=source.round_trip_ms,
        reads=source.reads,
        errors={str(fault): count for fault, count in source.errors.items()},
        overruns=source.overruns,
        tags=[_tag_status_out(plant, known[status.tag], status) for status in source.tags if status.tag in known],
    )


def _tag_status_out(plant: Plant, tag: Tag, status: TagStatus) -> out.TagStatusOut:
    return out.TagStatusOut(
        tag=status.tag,
        last=point_out(plant, tag, status.last),
        last_good=time_or_none(status.last_good_ns),
        raw=status.raw,
        fault=status.fault,
        detail=status.detail,
    )
