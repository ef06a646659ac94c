"""History as the gateway would have written it, checked against the ledger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plant.clock import DAY, HOUR, MINUTE, SECOND, Window
from plant.config import PlantConfig
from plant.counters import increments
from plant.points import PointBatch, Quality
from plant.states import State, codes_by_map, codes_by_threshold, timeline
from simulators.history import generate_history, outages
from simulators.shopfloor import ShopFloor
from simulators.truth import TruthLedger
from tests.simulators.conftest import REAL, START_NS

WINDOW = Window(START_NS, START_NS + DAY)


def make(plant: PlantConfig, window: Window, state_dir: Path | None = None, seed: int = 1) -> list[PointBatch]:
    batches: list[PointBatch] = []
    generate_history(plant, REAL, seed, window, batches.append, state_dir=state_dir)
    return batches


def series(batches: list[PointBatch], tag: str) -> PointBatch:
    whole = PointBatch.concat(batches)
    return whole.take(whole.tag == whole.tags.index(tag))


@pytest.fixture
def day(plant: PlantConfig, tmp_path: Path) -> tuple[list[PointBatch], TruthLedger]:
    batches = make(plant, WINDOW, tmp_path)
    ledger = TruthLedger.open(tmp_path / "truth.jsonl")
    ledger.close()
    return batches, ledger


def test_every_tag_has_points_inside_the_window(plant: PlantConfig, day: tuple[list[PointBatch], TruthLedger]) -> None:
    whole = PointBatch.concat(day[0])
    assert set(whole.tags) == {tag.id for tag in plant.tags()}
    assert whole.time_ns.min() >= WINDOW.start_ns
    assert whole.time_ns.max() < WINDOW.end_ns
    assert set(whole.quality.tolist()) == {Quality.GOOD}
    assert all(len(batch) <= 50_000 for batch in day[0])


def test_no_point_twice_and_each_tag_in_order_of_time(day: tuple[list[PointBatch], TruthLedger]) -> None:
    whole = PointBatch.concat(day[0])
    for tag in range(len(whole.tags)):
        assert np.all(np.diff(whole.time_ns[whole.tag == tag]) > 0)


def test_stale_tags_are_never_left_alone_for_long(
    plant: PlantConfig, day: tuple[list[PointBatch], TruthLedger]
) -> None:
    """A tag that goes stale within 30 s is told at least every 10 s; one with more patience is told per event."""
    impatient = [tag for tag in plant.tags() if tag.stale_after_s is not None and tag.stale_after_s <= 30]
    assert impatient
    for tag in impatient:
        gaps = np.diff(series(day[0], tag.id).time_ns)
        assert gaps.max() <= 10 * SECOND, tag.id


def test_states_of_the_points_are_the_truth(plant: PlantConfig, day: tuple[list[PointBatch], TruthLedger]) -> None:
    batches, ledger = day
    for machine_id, machine in plant.machines.items():
        assert machine.states is not None
        points = series(batches, f"{machine_id}.{machine.states.tag}")
        if limits := machine.states.threshold:
            code = codes_by_threshold(points.value, limits.running_above, limits.running_below, limits.idle_above)
        else:
            keys = [str(point.value).removesuffix(".0") for point in points]
            code = codes_by_map(keys, machine.states.map)
        found = timeline(points.time_ns, code, WINDOW, 30 * SECOND).durations_ns()
        truth = ledger.state_seconds(machine_id, WINDOW)
        watched = (State.RUNNING, State.OFF) if limits else tuple(truth)
        for state in watched:
            assert found[state] / SECOND == pytest.approx(truth.get(state, 0), abs=1e-6), (machine_id, state)


def test_parts_of_the_points_are_the_truth(plant: PlantConfig, day: tuple[list[PointBatch], TruthLedger]) -> None:
    batches, ledger = day
    for machine_id, machine in plant.machines.items():
        assert machine.parts is not None
        assert machine.parts.total is not None
        points = series(batches, f"{machine_id}.{machine.parts.total}")
        assert increments(points.time_ns, points.value).total == ledger.parts(machine_id, WINDOW).total


def test_same_seed_same_points(plant: PlantConfig) -> None:
    window = Window(START_NS, START_NS + 2 * HOUR)
    one, same, other = (PointBatch.concat(make(plant, window, seed=seed)) for seed in (1, 1, 2))
    assert one.time_ns.tobytes() == same.time_ns.tobytes()
    assert one.value.tobytes() == same.value.tobytes()
    assert one.text == same.text
    assert one.value.tobytes() != other.value.tobytes()


def test_a_new_history_replaces_an_old_one(plant: PlantConfig, tmp_path: Path) -> None:
    window = Window(START_NS, START_NS + HOUR)
    make(plant, window, tmp_path)
    first = (tmp_path / "truth.jsonl").read_bytes()
    make(plant, window, tmp_path)
    assert (tmp_path / "truth.jsonl").read_bytes() == first


def test_one_outage_a_week_for_each_machine(plant: PlantConfig) -> None:
    week = Window(START_NS, START_NS + 7 * DAY)
    gaps = {machine_id: outages(machine_id, 1, week) for machine_id in REAL}
    assert [len(found) for found in gaps.values()] == [1, 1, 1]
    assert len({found[0].start_ns for found in gaps.values()}) == 3
    whole = PointBatch.concat(make(plant, week))
    for machine_id, (gap,) in gaps.items():
        assert gap.length_ns == 20 * MINUTE
        own = np.array([tag.startswith(f"{machine_id}.") for tag in whole.tags])[whole.tag]
        inside = (whole.time_ns >= gap.start_ns) & (whole.time_ns < gap.end_ns)
        assert not np.any(own & inside)
        assert np.any(~own & inside)


async def test_the_live_floor_goes_on_where_history_ends(plant: PlantConfig, tmp_path: Path) -> None:
    batches = make(plant, WINDOW, tmp_path)
    now = WINDOW.end_ns + 10 * SECOND  # making history took a while
    floor = ShopFloor(plant, {"cnc-1": REAL["cnc-1"]}, 1, tmp_path, lambda: now)
    await floor.start()
    await floor.stop()
    values = floor.machines["cnc-1"].measure()
    last = series(batches, "cnc-1.parts_total").value[-1]
    assert 0 <= float(values["parts_total"]) - last <= 1
    assert float(values["energy"]) == pytest.approx(series(batches, "cnc-1.energy").value[-1], abs=0.1)
    whole = Window(WINDOW.start_ns, now)
    assert sum(floor.ledger.state_seconds("cnc-1", whole).values()) == pytest.approx(whole.seconds, abs=1e-6)
