"""The live shop floor: starts, stops, goes on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from plant.clock import HOUR, MINUTE, SECOND, Clock, Window
from plant.config import PlantConfig
from plant.errors import ResourceError, UserInputError
from plant.states import State
from simulators.broker import BrokerChoice
from simulators.floor import FloorMachine, load_floor
from simulators.shopfloor import ShopFloor
from simulators.truth import StateChange
from tests.simulators.conftest import DEMO, QUICK, REAL, START_NS

CNC = {"cnc-1": QUICK["cnc-1"]}


class FakeClock:
    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def floor(plant: PlantConfig, clock: Clock, state_dir: Path | None = None) -> ShopFloor:
    return ShopFloor(plant, CNC, 1, state_dir, clock)


async def registers(port: int, address: int, count: int) -> list[int]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=1, retries=0)
    await client.connect()
    try:
        reply = await client.read_holding_registers(address, count=count, device_id=1)
        return list(reply.registers)
    finally:
        client.close()


@pytest.mark.system
@pytest.mark.parametrize("broker", [BrokerChoice.AUTO, BrokerChoice.AMQTT])
async def test_starts_and_stops_within_two_seconds(plant: PlantConfig, tmp_path: Path, broker: BrokerChoice) -> None:
    whole = ShopFloor(plant, QUICK, 1, tmp_path, broker=broker)
    begun = time.monotonic()
    await whole.start()
    started = time.monotonic()
    await asyncio.sleep(1.5)
    assert sum(machine.marks()[1] for machine in whole.machines.values()) > 0
    stopping = time.monotonic()
    await whole.stop()
    assert started - begun < 2
    assert time.monotonic() - stopping < 2
    assert whole.broker is not None
    assert len(whole.endpoints) == 2
    await whole.stop()


async def test_registers_follow_the_machine(plant: PlantConfig, modbus_port: int) -> None:
    clock = FakeClock()
    quick = floor(plant, clock)
    await quick.start()
    try:
        clock.now_ns += 30 * SECOND
        await quick.tick()
        low, high = await registers(modbus_port, 10, 2)
        assert (high << 16) + low == quick.machines["cnc-1"].marks()[1] > 5
    finally:
        await quick.stop()


async def test_a_later_start_goes_on_with_the_same_counters(plant: PlantConfig, tmp_path: Path) -> None:
    clock = FakeClock()
    first = floor(plant, clock, tmp_path)
    await first.start()
    clock.now_ns += 40 * SECOND
    await first.tick()
    await first.stop()
    made = first.machines["cnc-1"].marks()[1]
    clock.now_ns += 5 * HOUR
    second = floor(plant, clock, tmp_path)
    await second.start()
    await second.stop()
    assert second.machines["cnc-1"].now_ns == pytest.approx(clock.now_ns, abs=1_000_000)
    # It lived through the first quarter of an hour of its absence, and skipped the rest.
    lived = second.ledger.parts("cnc-1", Window(START_NS, clock.now_ns + SECOND))
    assert lived.total == second.machines["cnc-1"].marks()[1] > made
    spent = second.ledger.state_seconds("cnc-1", Window(START_NS, clock.now_ns))
    assert spent[State.UNKNOWN] == pytest.approx((5 * HOUR - 15 * MINUTE) / SECOND, abs=0.01)
    assert sum(spent.values()) == pytest.approx((clock.now_ns - START_NS) / SECOND, abs=0.01)


async def test_after_a_crash_the_same_life_is_lived_again(plant: PlantConfig, tmp_path: Path) -> None:
    clock = FakeClock()
    crashed = floor(plant, clock, tmp_path)
    await crashed.start()
    saved = (tmp_path / "machines.json").read_bytes()
    clock.now_ns += 60 * SECOND
    await crashed.tick()
    await crashed.stop()
    (tmp_path / "machines.json").write_bytes(saved)  # as if the last save had been a minute before the crash
    again = floor(plant, clock, tmp_path)
    await again.start()
    await again.stop()
    assert again.machines["cnc-1"].marks() == crashed.machines["cnc-1"].marks()
    assert again.ledger.entries == crashed.ledger.entries


async def test_a_sleeping_computer_leaves_a_gap(plant: PlantConfig) -> None:
    clock = FakeClock()
    sleepy = floor(plant, clock)
    await sleepy.start()
    clock.now_ns += 8 * HOUR
    await sleepy.tick()
    await sleepy.stop()
    assert any(isinstance(e, StateChange) and e.cause == "not simulated" for e in sleepy.ledger.entries)


async def test_a_taken_port_leaves_nothing_behind(plant: PlantConfig, mqtt_port: int, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", mqtt_port)
    async with server:
        blocked = ShopFloor(plant, REAL, 1, tmp_path)
        with pytest.raises(ResourceError, match=f"Port {mqtt_port}"):
            await blocked.start()
    free_again = ShopFloor(plant, CNC, 1, tmp_path)
    await free_again.start()
    await free_again.stop()


async def test_a_broken_state_file_is_named(plant: PlantConfig, tmp_path: Path) -> None:
    (tmp_path / "machines.json").write_text("{")
    with pytest.raises(ResourceError, match=r"machines\.json"):
        await floor(plant, FakeClock(), tmp_path).start()


@pytest.mark.parametrize(
    ("machine_id", "entry", "message"),
    [
        ("cnc-1", FloorMachine(kind="press"), "not a kind of machine"),
        ("cnc-1", FloorMachine(kind="cnc-mill", parameters={"speed": 1}), "no parameter “speed”"),
        ("cnc-1", FloorMachine(kind="cnc-mill", parameters={"cycle_s": "long"}), "cycle_s"),
        ("cnc-9", FloorMachine(kind="cnc-mill"), "the plant has none"),
        ("cnc-1", FloorMachine(kind="retrofit-lathe"), "no signal for the tag"),
    ],
)
async def test_a_wrong_floor_is_explained(
    plant: PlantConfig, machine_id: str, entry: FloorMachine, message: str
) -> None:
    with pytest.raises(UserInputError, match=message):
        await ShopFloor(plant, {machine_id: entry}, 1).start()


def test_the_demo_floor_loads() -> None:
    assert load_floor(DEMO / "shopfloor.yaml") == REAL


@pytest.mark.parametrize("text", ["machines: {}", "machines: {a: {kindness: 1}}", "machines: [", "- 1"])
def test_a_wrong_floor_file_is_explained(tmp_path: Path, text: str) -> None:
    path = tmp_path / "floor.yaml"
    path.write_text(text)
    with pytest.raises(UserInputError, match=r"floor\.yaml"):
        load_floor(path)
