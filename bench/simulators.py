"""The simulated machines: how fast a life goes by, what a week of history takes, what the live floor costs."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import testbed
from plant.clock import DAY, HOUR, SECOND, Window
from plant.config import PlantConfig
from plant.config_file import load_plant
from plant.points import PointBatch
from simulators.broker import BrokerChoice
from simulators.feed import Feed
from simulators.floor import FloorMachine, build_machine, load_floor
from simulators.history import generate_history
from simulators.shopfloor import ShopFloor
from tests.processes import free_port

DEMO = Path(testbed.__file__).parent / "demo"
START_NS = 1_795_000_500 * SECOND
LIVE_S = 8.0


def run() -> list[tuple[str, str]]:
    ports = {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}
    config, floor = load_plant(DEMO / "plant.yaml", ports), load_floor(DEMO / "shopfloor.yaml")
    rows = [(f"{machine_id}, one core", _speed(config, machine_id, entry)) for machine_id, entry in floor.items()]
    rows.append(("7 days of history, 3 machines", _week(config, floor)))
    brokers = (BrokerChoice.AUTO, BrokerChoice.AMQTT)
    return rows + [(f"live floor, --broker {choice}", asyncio.run(_live(config, floor, choice))) for choice in brokers]


def _speed(config: PlantConfig, machine_id: str, entry: FloorMachine) -> str:
    """Steps as the live floor takes them, and a history's."""
    machine = build_machine(config, machine_id, entry, 1, START_NS, lambda _entry: None)
    steps, begun = 50_000, time.perf_counter()
    for _ in range(steps):
        machine.step(0.2)
        machine.measure()
    fine = time.perf_counter() - begun
    machine = build_machine(config, machine_id, entry, 1, START_NS, lambda _entry: None)
    begun = time.perf_counter()
    for _ in Feed(machine, 10).run_to(START_NS + 24 * HOUR):
        pass
    coarse = time.perf_counter() - begun
    live, history = steps * 0.2 / fine, 24 * 3600 / coarse
    return f"{steps / fine:,.0f} steps/s: {live:,.0f} × real time at 5 Hz; as history {history:,.0f} ×"


def _week(config: PlantConfig, floor: dict[str, FloorMachine]) -> str:
    counts: list[int] = []

    def count(batch: PointBatch) -> None:
        counts.append(len(batch))

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        generate_history(config, floor, 1, Window(START_NS, START_NS + 7 * DAY), count, state_dir=Path(folder))
        took = time.perf_counter() - begun
    return f"{took:.1f} s, {sum(counts):,} points in {len(counts)} batches"


async def _live(config: PlantConfig, floor: dict[str, FloorMachine], choice: BrokerChoice) -> str:
    """Of this process: amqtt is inside it, mosquitto is not."""
    with tempfile.TemporaryDirectory() as folder:
        live = ShopFloor(config, floor, 1, Path(folder), broker=choice)
        await live.start()
        await asyncio.sleep(1)
        used, begun = time.process_time(), time.perf_counter()
        await asyncio.sleep(LIVE_S)
        share = (time.process_time() - used) / (time.perf_counter() - begun)
        broker = live.broker
        await live.stop()
    return f"{share:.2%} of a core at 5 Hz, nobody reading; broker: {broker}"


if __name__ == "__main__":
    for what, figure in run():
        sys.stdout.write(f"{what:<50} {figure}\n")
