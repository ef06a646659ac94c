"""Tags: what can be measured, the newest value, and trends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api import schemas as out
from api.convert import column, point_out, window_out
from api.problems import ParameterError, documented
from api.times import PlantHere, WindowAsked
from plant.clock import SECOND, iso, iso_exact
from plant.plant import Plant
from plant.points import Point, Quality
from plant.tags import Tag

router = APIRouter(prefix="/api/tags", tags=["Tags"])


@router.get("", summary="Every tag with its newest point", responses=documented())
def tags(plant: PlantHere) -> out.TagsOut:
    """All signals of all machines, in the order of plant.yaml."""
    last = plant.last(tag.id for tag in plant.tags())
    return out.TagsOut(tags=[_tag_out(plant, tag, last.get(tag.id)) for tag in plant.tags()])


@router.get("/{tag_id}/trend", summary="A tag over a window, in equal buckets", responses=documented(404, 422))
def trend(
    tag_id: str,
    plant: PlantHere,
    window: WindowAsked,
    buckets: Annotated[int, Query(ge=1, le=5000, description="How many buckets")] = 500,
) -> out.TrendOut:
    """Mean, minimum, maximum and count per bucket of the numbers that are not BAD; null where there is none."""
    tag = plant.tag(tag_id)
    if buckets > window.length_ns:
        raise ParameterError("buckets", "There are more buckets than nanoseconds in the window.")
    found = plant.trend(tag_id, window, buckets)
    return out.TrendOut(
        tag=tag_id,
        unit=tag.unit,
        simulated=plant.config.plant.simulated,
        window=window_out(found.window),
        bucket_s=found.bucket_ns / SECOND,
        start=[iso(start) for start in found.start_ns.tolist()],
        mean=column(found.mean),
        minimum=column(found.minimum),
        maximum=column(found.maximum),
        count=found.count.tolist(),
    )


@router.get("/{tag_id}/points", summary="Every stored point of a tag", responses=documented(404, 422))
def points(
    tag_id: str,
    plant: PlantHere,
    window: WindowAsked,
    limit: Annotated[int, Query(ge=1, le=100_000, description="At most so many, the oldest first")] = 10_000,
) -> out.PointsOut:
    """As stored: nothing averaged, BAD points included. When there are more, `next` is the `from` of the next call."""
    tag = plant.tag(tag_id)
    found = plant.points(tag_id, window)
    texts = found.text or (None,) * len(found)
    numbers = column(found.value)
    return out.PointsOut(
        tag=tag_id,
        unit=tag.unit,
        simulated=plant.config.plant.simulated,
        window=window_out(window),
        time=[iso_exact(time_ns) for time_ns in found.time_ns[:limit].tolist()],
        value=[number if text is None else text for number, text in zip(numbers[:limit], texts[:limit], strict=True)],
        quality=[Quality(code).name for code in found.quality[:limit].tolist()],
        next=iso_exact(int(found.time_ns[limit])) if len(found) > limit else None,
    )


def _tag_out(plant: Plant, tag: Tag, last: Point | None) -> out.TagOut:
    return out.TagOut(
        id=tag.id,
        machine=tag.machine,
        name=tag.name,
        source=tag.source,
        type=tag.type,
        unit=tag.unit,
        label=tag.label,
        decimals=tag.decimals,
        low=tag.low,
        high=tag.high,
        last=point_out(plant, tag, last),
    )
