"""Machines → real Modbus and MQTT → gateway → historian → figures: what the engine says is what the ledger knows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.gateway import Gateway
from plant.clock import HOUR, SECOND, Window
from plant.config import ModbusTcpSource, PlantConfig
from plant.config_file import load_plant
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import Quality
from plant.states import State
from simulators.broker import BrokerChoice
from simulators.floor import FloorMachine
from simulators.machines.production import Stop
from simulators.shopfloor import ShopFloor
from tests.processes import REPOSITORY, free_port

POLL_S, TICK_S = 0.1, 0.05
# What the clamp of the lathe cannot tell apart: a spindle that turns without load.
IDLE_ON_THE_LATHE = {State.STOPPED, State.SETUP, State.FAULT}
STOPS = {"stops": (Stop("short stop", State.STOPPED, 4, 1.5, 0.1),)}
MACHINES = {
    "cnc-1": FloorMachine(kind="cnc-mill", parameters={"cycle_s": 1.6, "handling_s": 0.6, "order_parts": 1e6}),
    "imm-1": FloorMachine(kind="injection-moulding", parameters={"cycle_s": 0.7, "order_parts": 1e6, **STOPS}),
    "lathe-1": FloorMachine(kind="retrofit-lathe", parameters={"cycle_s": 0.5, "order_parts": 1e6, **STOPS}),
}


class Stoppable:
    """The shop floor's clock: real time until it is stopped. Knows the longest time between two ticks."""

    def __init__(self) -> None:
        self.stopped_ns: int | None = None
        self.longest_tick_ns = 0
        self._asked_ns = time.time_ns()

    def __call__(self) -> int:
        if self.stopped_ns:
            return self.stopped_ns
        now = time.time_ns()
        self.longest_tick_ns = max(self.longest_tick_ns, now - self._asked_ns)
        self._asked_ns = now
        return now

    def stop(self) -> None:
        self.stopped_ns = time.time_ns()


@pytest.fixture
def config() -> PlantConfig:
    """The demo's own plant, polled faster, with ideal cycles to match the short ones, planned round the clock."""
    ports = {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}
    demo = load_plant(REPOSITORY / "testbed" / "demo" / "plant.yaml", ports)
    raw = demo.model_dump()
    raw["shifts"] = []
    for source in raw["sources"].values():
        if source["type"] == "modbus-tcp":
            source["poll_s"] = POLL_S
    for machine_id, machine in raw["machines"].items():
        machine["parts"]["ideal_cycle_s"] = MACHINES[machine_id].parameters["cycle_s"]
    config = PlantConfig.model_validate(raw)
    assert any(isinstance(source, ModbusTcpSource) for source in config.sources.values())
    return config


@pytest.mark.system
@pytest.mark.parametrize(("broker", "seconds"), [(BrokerChoice.AUTO, 20), (BrokerChoice.AMQTT, 8)])
async def test_figures_tell_the_ledgers_truth(config: PlantConfig, tmp_path: Path, broker: BrokerChoice, seconds: int):
    clock = Stoppable()
    historian = await asyncio.to_thread(DuckDbHistorian, tmp_path / "historian.duckdb")
    floor = ShopFloor(config, MACHINES, 1, tmp_path / "floor", clock, broker, TICK_S)
    await floor.start()
    try:
        async with Gateway(config, historian, tmp_path):
            await asyncio.sleep(seconds)
            clock.stop()  # no machine moves any more; the gateway reads what they came to
            await asyncio.sleep(1.0)
            end = time.time_ns()
    finally:
        await floor.stop()
    try:
        for machine_id in MACHINES:
            compare(Plant(config, historian), floor, machine_id, clock, end)
    finally:
        await asyncio.to_thread(historian.close)


def compare(plant: Plant, floor: ShopFloor, machine_id: str, clock: Stoppable, end: int) -> None:
    machine = plant.machine(machine_id)
    parts, states = machine.config.parts, machine.config.states
    assert parts is not None
    assert parts.total is not None
    assert states is not None
    everything = Window(end - HOUR, end)
    counted = plant.points(machine.tag(parts.total).id, everything)
    observed = plant.points(machine.tag(states.tag).id, everything)
    usable = counted.quality >= Quality.UNCERTAIN

    # Parts: since the first reading, to the last part.
    start = int(max(counted.time_ns[usable][0], observed.time_ns[0]))
    begin = counted.value[usable & (counted.time_ns <= start)][-1]
    window = Window(start + 1, clock())
    figures = plant.oee(machine_id, Window(start + 1, end))
    truth = floor.ledger.parts(machine_id, Window(0, end))
    assert figures.produced == truth.total - begin > 2, machine_id

    # States: every change within one poll interval (and the age of the registers) of the truth.
    slack = SECOND // 1000
    if isinstance(config_source(plant, machine_id), ModbusTcpSource):
        intervals = np.diff(observed.time_ns)
        assert np.median(intervals) == pytest.approx(POLL_S * SECOND, rel=0.2)
        # On a busy computer a poll or a tick comes late: what counts is that none was missed.
        slack += int(intervals.max()) + clock.longest_tick_ns
    seen = [(i.start_ns, i.state) for i in plant.states(machine_id, window)][1:]
    merge = IDLE_ON_THE_LATHE if machine_id == "lathe-1" else set()
    real = [change for change in true_changes(floor, machine_id, merge) if change[0] > window.start_ns + slack]
    seen = [change for change in seen if change[0] > window.start_ns + slack]
    real = [change for change in real if change[0] < window.end_ns - slack]
    assert [state for _, state in seen[: len(real)]] == [state for _, state in real], machine_id
    assert len(real) >= 2
    for (seen_ns, _), (real_ns, _) in zip(seen, real, strict=False):
        assert 0 <= seen_ns - real_ns <= slack, machine_id

    # OEE: within half a percentage point of what the ledger gives by the formula.
    made = floor.ledger.parts(machine_id, Window(window.start_ns, end))
    expected = parts.ideal_cycle_s * (truth.total - begin) / window.seconds
    if parts.scrap is not None or parts.good is not None:
        expected *= made.good / made.total
    over_the_run = plant.oee(machine_id, window)
    assert over_the_run.oee == pytest.approx(expected, abs=0.005), machine_id
    assert over_the_run.coverage == 1.0


def config_source(plant: Plant, machine_id: str) -> object:
    machine = plant.machine(machine_id)
    assert machine.config.states is not None
    return plant.config.sources[machine.tag(machine.config.states.tag).source]


def true_changes(floor: ShopFloor, machine_id: str, as_idle: set[State]) -> list[tuple[int, State]]:
    """The ledger's changes of state as the machine's signal can show them."""
    changes: list[tuple[int, State]] = []
    for stretch, state, _ in floor.ledger.states(machine_id, Window(0, time.time_ns())):
        shown = State.IDLE if state in as_idle else state
        if not changes or changes[-1][1] is not shown:
            changes.append((stretch.start_ns, shown))
    return changes
