"""Machines: their state now, their states and OEE over a window, their newest parts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api import schemas as out
from api.convert import machine_out, oee_out, seconds_of, window_out
from api.problems import documented
from api.times import PlantHere, WindowAsked
from plant.clock import iso
from plant.states import State

router = APIRouter(prefix="/api/machines", tags=["Machines"])


@router.get("", summary="Every machine at a glance", responses=documented())
def machines(plant: PlantHere) -> out.MachinesOut:
    """State now, half a second old at most, and OEE of the shift so far, five seconds old at most."""
    return out.MachinesOut(
        plant=plant.config.plant.name,
        simulated=plant.config.plant.simulated,
        machines=[machine_out(now) for now in plant.overview()],
    )


@router.get("/{machine_id}/states", summary="What a machine did over a window", responses=documented(404, 422))
def states(machine_id: str, plant: PlantHere, window: WindowAsked) -> out.StatesOut:
    """Intervals that tile the window exactly, and their sums. Time without data is `unknown`."""
    timeline = plant.states(machine_id, window)
    durations = timeline.durations_ns()
    return out.StatesOut(
        machine=machine_id,
        window=window_out(window),
        simulated=plant.config.plant.simulated,
        intervals=[
            out.IntervalOut(start=iso(i.start_ns), end=iso(i.end_ns), state=i.state, seconds=i.seconds)
            for i in timeline
        ],
        seconds=seconds_of(durations),
        coverage=1 - durations[State.UNKNOWN] / window.length_ns,
    )


@router.get("/{machine_id}/oee", summary="OEE of a machine over a window", responses=documented(404, 422))
def oee(machine_id: str, plant: PlantHere, window: WindowAsked) -> out.OeeOut:
    """All factors as fractions with the times and parts they are made of. null: cannot be told."""
    return oee_out(machine_id, plant.oee(machine_id, window), simulated=plant.config.plant.simulated)


@router.get("/{machine_id}/parts", summary="The newest parts of a machine", responses=documented(404, 422))
def parts(
    machine_id: str,
    plant: PlantHere,
    window: WindowAsked,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many readings")] = 20,
) -> out.PartsOut:
    """Readings of the counter at which it had grown, newest first, with the cycle time."""
    return out.PartsOut(
        machine=machine_id,
        window=window_out(window),
        simulated=plant.config.plant.simulated,
        parts=[
            out.PartOut(time=iso(part.time_ns), count=part.count, cycle_s=part.cycle_s, scrap=part.scrap)
            for part in plant.parts(machine_id, window, limit)
        ],
    )
