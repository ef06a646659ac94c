"""`kill -9` of the gateway at random moments under load: `python -m bench.durability [KILLS]` (100: about 6 min).

A PLC that counts its reads and a machine that numbers its messages tell afterwards what was lost, doubled or out of
order. The moments come from a seeded generator: most in mid-flow, some while the gateway starts.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from plant.clock import DAY, Window
from plant.historian.duckdb import DuckDbHistorian
from tests.brokers import MOSQUITTO, Mosquitto
from tests.counting import CountingPlc, publish
from tests.processes import free_port

_REPOSITORY = Path(__file__).resolve().parent.parent
_PLANT = """
plant: {{enterprise: acme, site: ume, name: Acme}}
sources:
  plc: {{type: modbus-tcp, host: 127.0.0.1, port: {modbus}, poll_s: 0.05}}
  broker: {{type: mqtt, host: 127.0.0.1, port: {mqtt}}}
machines:
  m:
    name: M
    area: a
    line: l
    tags:
      reads: {{source: plc, address: "holding:0", type: uint32}}
      sent: {{source: broker, topic: m/sent, path: $.n, time_path: $.t}}
"""
_TAGS = ("m.sent", "m.reads")

Told = tuple[str, int, float]
"""Tag, time and value of an acknowledged point."""


@dataclass(slots=True)
class Outcome:
    """What was seen. Everything but the first four must be 0; `holes` at most one per kill: the read in flight."""

    kills: int
    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    messages_lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    holes: int = 0
    values: dict[str, list[float]] = field(default_factory=dict, repr=False)

    @property
    def is_clean(self) -> bool:
        wrong = self.lost + self.messages_lost + self.doubled + self.out_of_order
        return wrong == 0 and self.holes <= self.kills


class _Process:
    """One life of the gateway; remembers what it acknowledged."""

    def __init__(self, plant_file: Path, data: Path) -> None:
        command = [sys.executable, "-m", "bench.gateway_alone", str(plant_file), str(data)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=_REPOSITORY, env=os.environ | {"PYTHONPATH": str(_REPOSITORY)}
        )
        self.told: list[Told] = []
        self.began = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # else it was killed in mid-word
                tag, time_ns, value = line.decode().split()
                self.told.append((tag, int(time_ns), float(value)))
                self.began.set()

    def end(self, number: int) -> list[Told]:
        self.process.send_signal(number)
        self.process.wait(20)
        self._listener.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.told


def kill_at_random(folder: Path, kills: int, seed: int) -> Outcome:
    """Runs the load, kills the gateway so often, lets it catch up, and compares. Needs mosquitto."""
    return asyncio.run(_kill_at_random(folder, kills, seed))


async def _kill_at_random(folder: Path, kills: int, seed: int) -> Outcome:
    broker, plc, port = Mosquitto(folder), CountingPlc(), free_port()
    await broker.start()
    server = await asyncio.start_server(plc, "127.0.0.1", port)
    (folder / "plant.yaml").write_text(_PLANT.format(modbus=port, mqtt=broker.port))
    try:
        return await asyncio.to_thread(_kill_and_compare, folder, broker.port, kills, random.Random(seed))
    finally:
        server.close()
        await broker.stop()


def _kill_and_compare(folder: Path, mqtt_port: int, kills: int, chance: random.Random) -> Outcome:
    outcome, told, data = Outcome(kills), list[Told](), folder / "data"
    stop, sent = threading.Event(), list[int]()
    machine = threading.Thread(target=lambda: sent.append(asyncio.run(publish(mqtt_port, stop))))
    try:
        for kill in range(kills):
            life = _Process(folder / "plant.yaml", data)
            if kill == 0:  # once it is subscribed, the broker keeps the session's messages
                life.began.wait(20)
                time.sleep(0.5)
                machine.start()
            if chance.random() < 0.2 and kill:
                time.sleep(chance.uniform(0.1, 1.0))
            else:
                life.began.wait(20)
                time.sleep(chance.uniform(0.0, 0.8))
            told += life.end(signal.SIGKILL)
    finally:
        stop.set()
        machine.join()
    outcome.sent = sent[0]
    told += _catch_up(folder / "plant.yaml", data, sent[0])
    _compare(outcome, told, _stored(data))
    return outcome


def _catch_up(plant_file: Path, data: Path, last: int) -> list[Told]:
    """Lives until everything that was sent is acknowledged, then one more, so that the outbox is empty."""
    told: list[Told] = []
    for _ in range(2):
        life = _Process(plant_file, data)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(t[0] == "m.sent" and t[2] == last for t in (*told, *life.told)):
            time.sleep(0.1)
        life.began.wait(20)
        time.sleep(1.0)
        told += life.end(signal.SIGTERM)
    return told


def _stored(data: Path) -> dict[str, list[tuple[int, float]]]:
    historian = DuckDbHistorian(data / "historian.duckdb")
    window = Window(time.time_ns() - DAY, time.time_ns() + DAY)
    found = {tag: historian.range(tag, window) for tag in _TAGS}
    historian.close()
    return {
        tag: [(t, v) for t, v in zip(s.time_ns.tolist(), s.value.tolist(), strict=True) if v == v]
        for tag, s in found.items()
    }


def _compare(outcome: Outcome, told: list[Told], stored: dict[str, list[tuple[int, float]]]) -> None:
    kept = Counter((tag, time_ns, value) for tag, rows in stored.items() for time_ns, value in rows)
    numbers = {tag: [value for _, value in rows] for tag, rows in stored.items()}
    outcome.acknowledged, outcome.stored = len(set(told)), kept.total()
    outcome.lost = sum(point not in kept for point in set(told))
    outcome.messages_lost = len(set(range(1, outcome.sent + 1)) - {int(n) for n in numbers["m.sent"]})
    outcome.doubled = sum(count - 1 for values in numbers.values() for count in Counter(values).values())
    outcome.out_of_order = sum(later < earlier for values in numbers.values() for earlier, later in pairwise(values))
    reads = {int(n) for n in numbers["m.reads"]}
    outcome.holes = len(set(range(1, max(reads, default=0) + 1)) - reads)
    outcome.values = numbers


def run(kills: int = 100, seed: int = 20_260_509) -> list[tuple[str, str]]:
    """Name and figure of each measurement."""
    if MOSQUITTO is None:
        return [("kill -9", "left out: mosquitto is not installed, no broker that keeps a session")]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        outcome = kill_at_random(Path(folder), kills, seed)
        took_s = time.monotonic() - began
    return [
        (f"kills -9 at random moments (seed {seed})", f"{outcome.kills} in {took_s:.0f} s"),
        ("messages sent, QoS 1", f"{outcome.sent:,}"),
        ("points acknowledged · stored", f"{outcome.acknowledged:,} · {outcome.stored:,}"),
        ("acknowledged points lost", str(outcome.lost)),
        ("messages lost", str(outcome.messages_lost)),
        ("doubled", str(outcome.doubled)),
        ("out of order", str(outcome.out_of_order)),
        ("reads answered but never acknowledged (in flight at a kill)", f"{outcome.holes} of at most {outcome.kills}"),
    ]


if __name__ == "__main__":
    table = Table("what", "seen")
    for row in run(*map(int, sys.argv[1:2])):
        table.add_row(*row)
    Console().print(table)
