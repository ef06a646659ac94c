"""The plant's answers as the API's schemas: names and units only, no figures of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from api import schemas as out
from plant.clock import SECOND, Window, iso
from plant.oee import Oee
from plant.plant import MachineNow, Plant
from plant.points import Point
from plant.shifts import Shift
from plant.states import State
from plant.tags import Tag


def time_or_none(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)


def window_out(window: Window) -> out.WindowOut:
    return out.WindowOut(start=iso(window.start_ns), end=iso(window.end_ns), seconds=window.seconds)


def point_out(plant: Plant, tag: Tag, point: Point | None) -> out.PointOut | None:
    if point is None:
        return None
    return out.PointOut(
        time=iso(point.time_ns),
        value=finite(point.value) if isinstance(point.value, float) else point.value,
        text=tag.text_of(point.value),
        quality=point.quality.name,
        quality_code=int(point.quality),
        stale=plant.is_stale(tag, point),
    )


def finite(number: float) -> float | None:
    """JSON knows neither NaN nor infinity: they become null."""
    return number if abs(number) < float("inf") else None


def column(numbers: NDArray[np.float64]) -> list[float | None]:
    return [finite(number) for number in numbers.tolist()]


def seconds_of(durations_ns: dict[State, int]) -> dict[State, float]:
    return {state: length / SECOND for state, length in durations_ns.items()}


def machine_out(now: MachineNow) -> out.MachineOut:
    return out.MachineOut(
        id=now.machine.id,
        name=now.machine.name,
        path=list(now.machine.path),
        state=now.state,
        since=time_or_none(now.state_since_ns),
        last_point=time_or_none(now.last_point_ns),
        shift=_shift_out(now.shift),
        oee=None if now.oee is None else _summary(now.oee),
    )


def oee_out(machine_id: str, figures: Oee, *, simulated: bool) -> out.OeeOut:
    return out.OeeOut(
        **_summary(figures).model_dump(),
        machine=machine_id,
        window=window_out(figures.window),
        simulated=simulated,
        quality_counted=figures.quality_counted,
        ideal_cycle_s=figures.ideal_cycle_s,
        seconds=out.OeeTimes(
            window=figures.window.seconds,
            planned=figures.planned_ns / SECOND,
            known=figures.known_ns / SECOND,
            running=figures.run_ns / SECOND,
            down=figures.down_ns / SECOND,
            unplanned=figures.unplanned_ns / SECOND,
            unplanned_running=figures.unplanned_run_ns / SECOND,
        ),
        planned_seconds_by_state=seconds_of(figures.states_ns),
        parts=out.OeePartsOut(
            produced=figures.produced,
            good=figures.good,
            scrap=figures.scrap,
            unplanned=figures.unplanned_parts,
        ),
        notes=list(_notes(figures)),
    )


def _shift_out(shift: Shift | None) -> out.ShiftOut | None:
    if shift is None:
        return None
    return out.ShiftOut(
        name=shift.name, day=shift.day.isoformat(), start=iso(shift.window.start_ns), end=iso(shift.window.end_ns)
    )


def _summary(figures: Oee) -> out.OeeSummary:
    return out.OeeSummary(
        availability=figures.availability,
        performance=figures.performance,
        quality=figures.quality,
        oee=figures.oee,
        coverage=figures.coverage,
    )


def _notes(figures: Oee) -> list[str]:
    notes = [
        "After ISO 22400-2:2014: availability = running / known planned time, quality = good / produced.",
        "Performance = ideal cycle × parts / running, never cut at 1; OEE = the product of the three.",
        "Time without data is unknown: neither running nor down. Coverage tells how much is known.",
    ]
    if figures.planned_ns == 0:
        notes.append("Nothing was planned in this window: no shift, or only breaks.")
    if figures.ideal_cycle_s is None:
        notes.append("No part counter is configured: performance, quality and OEE cannot be told.")
    elif not figures.quality_counted:
        notes.append("Nobody counts scrap: quality cannot be told and OEE is availability × performance.")
    if figures.performance is not None and figures.performance > 1:
        notes.append("Performance is over 1: the machine beats its ideal cycle, so the ideal is set too long.")
    if figures.unplanned_parts or figures.unplanned_run_ns:
        notes.append("The machine ran outside planned time; that is shown apart and is not part of OEE.")
    return notes
