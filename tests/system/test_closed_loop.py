"""Machines → real Modbus and MQTT → gateway → points: what arrives is what the ledger knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.gateway import Gateway
from plant.clock import SECOND, Window
from plant.config import PlantConfig
from plant.config_file import load_plant
from plant.historian.base import Historian
from plant.points import PointBatch, Quality
from plant.states import State, codes_by_map, codes_by_threshold, timeline
from simulators.broker import BrokerChoice
from simulators.floor import FloorMachine
from simulators.machines.production import Stop
from simulators.shopfloor import ShopFloor
from tests.processes import REPOSITORY, free_port

WATCH_S = 12
STOPS = {"stops": (Stop("short stop", State.STOPPED, 4, 1.5, 0.1),)}
MACHINES = {
    "cnc-1": FloorMachine(kind="cnc-mill", parameters={"cycle_s": 1.5, "handling_s": 0.3, "order_parts": 1e6}),
    "imm-1": FloorMachine(kind="injection-moulding", parameters={"cycle_s": 0.7, "order_parts": 1e6, **STOPS}),
    "lathe-1": FloorMachine(kind="retrofit-lathe", parameters={"cycle_s": 0.5, "order_parts": 1e6, **STOPS}),
}


class Collected:
    """A historian that only keeps what is written."""

    def __init__(self) -> None:
        self.batches: list[PointBatch] = []

    def write(self, batch: PointBatch) -> None:
        self.batches.append(batch)

    def of(self, tag: str) -> PointBatch:
        whole = PointBatch.concat(self.batches)
        rows = whole.take((whole.tag == whole.tags.index(tag)) & (whole.quality >= Quality.GOOD))
        return rows.take(rows.time_ns.argsort(kind="stable"))


@pytest.fixture
def plant() -> PlantConfig:
    ports = {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}
    return load_plant(REPOSITORY / "testbed" / "demo" / "plant.yaml", ports)


@pytest.mark.system
@pytest.mark.parametrize("broker", [BrokerChoice.AUTO, BrokerChoice.AMQTT])
async def test_points_tell_the_ledgers_truth(plant: PlantConfig, tmp_path: Path, broker: BrokerChoice) -> None:
    collected = Collected()
    floor = ShopFloor(plant, MACHINES, 1, tmp_path / "floor", broker=broker)
    await floor.start()
    try:
        historian: Historian = collected  # type: ignore[assignment]  # the gateway only writes
        async with Gateway(plant, historian, tmp_path):
            await asyncio.sleep(WATCH_S)
    finally:
        await floor.stop()

    whole = PointBatch.concat(collected.batches)
    assert set(whole.tags) == {tag.id for tag in plant.tags()}
    assert {point.quality for point in whole} <= {Quality.GOOD, Quality.BAD_NOT_CONNECTED}  # the latter at its end
    for machine_id, machine in plant.machines.items():
        assert machine.parts is not None
        assert machine.parts.total is not None
        counted = collected.of(f"{machine_id}.{machine.parts.total}")
        last_ns, last = int(counted.time_ns[-1]), int(counted.value[-1])
        # The registers of a polled machine are up to a step (0.2 s) behind it; a message tells its own moment.
        before = floor.ledger.parts(machine_id, Window(0, last_ns - SECOND // 2)).total
        assert before <= last <= floor.ledger.parts(machine_id, Window(0, last_ns + 1)).total, machine_id
        assert last > 3

    for machine_id in ("imm-1", "lathe-1"):
        states = plant.machines[machine_id].states
        assert states is not None
        points = collected.of(f"{machine_id}.{states.tag}")
        window = Window(int(points.time_ns[0]), int(points.time_ns[-1]))
        if limits := states.threshold:
            code = codes_by_threshold(points.value, limits.running_above, limits.running_below, limits.idle_above)
        else:
            code = codes_by_map(points.text or (), states.map)
        found = timeline(points.time_ns, code, window, 30 * SECOND).durations_ns()
        truth = floor.ledger.state_seconds(machine_id, window)
        assert found[State.RUNNING] / SECOND == pytest.approx(truth[State.RUNNING], abs=1e-6)
        assert truth[State.RUNNING] < window.seconds
