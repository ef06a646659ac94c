"""GET /api/sources: the health of every connection, down to the tag."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api import schemas as out
from api.convert import point_out, time_or_none
from api.problems import documented
from api.times import PlantHere
from plant.clock import iso
from plant.connections import Connections, OutputStatus, Rejected, SourceStatus, TagStatus
from plant.errors import NotFoundError
from plant.plant import Plant
from plant.tags import Tag

router = APIRouter(tags=["System"])


@router.get("/api/sources", summary="Every connection with its tags", responses=documented())
def sources(request: Request, plant: PlantHere) -> out.SourcesOut:
    """Link, errors by kind, round trip, last good read. `gateway: false`: none runs in this process."""
    connections: Connections | None = request.app.state.connections
    found = () if connections is None else connections.sources()
    return out.SourcesOut(gateway=connections is not None, sources=[_source_out(plant, source) for source in found])


@router.get("/api/sources/{name}/rejected", summary="Messages that were set aside", responses=documented(404, 422))
def rejected(request: Request, name: str) -> out.RejectedOut:
    """The newest messages of a source that could not be read, newest first. They do not hold up the others."""
    connections: Connections | None = request.app.state.connections
    if connections is None:
        raise NotFoundError("No gateway runs in this process.", next_step="Ask the process that reads the machines.")
    found = connections.rejected(name)
    total = next((source.rejected for source in connections.sources() if source.name == name), len(found))
    return out.RejectedOut(source=name, total=total, messages=[_rejected_out(message) for message in found])


@router.get("/api/outputs", summary="Where points go besides the historian", responses=documented())
def outputs(request: Request) -> out.OutputsOut:
    """Each output with what waits for it. One that is away catches up later and holds up nobody."""
    connections: Connections | None = request.app.state.connections
    found = () if connections is None else connections.outputs()
    return out.OutputsOut(outputs=[_output_out(output) for output in found])


def _output_out(output: OutputStatus) -> out.OutputOut:
    return out.OutputOut(
        name=output.name,
        kind=output.kind,
        endpoint=output.endpoint,
        link=output.link,
        since=iso(output.since_ns),
        fault=output.fault,
        detail=output.detail,
        protocol=output.protocol,
        waiting_points=output.waiting_points,
        oldest=time_or_none(output.oldest_ns),
        published_points=output.published_points,
        dropped_points=output.dropped_points,
    )


def _rejected_out(message: Rejected) -> out.RejectedMessageOut:
    return out.RejectedMessageOut(
        time=iso(message.time_ns),
        topic=message.topic,
        payload=message.payload.decode("utf-8", "backslashreplace"),
        size=message.size,
        reason=message.reason,
    )


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
        protocol=source.protocol,
        rejected=source.rejected,
        broker_dropped=source.broker_dropped,
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
