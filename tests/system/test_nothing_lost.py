"""`kill -9` of the system process in mid-flow: whatever the outbox had acknowledged is in the historian, once."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gateway import codec
from plant.clock import DAY, Window
from plant.historian.duckdb import DuckDbHistorian
from tests.brokers import MOSQUITTO, Mosquitto
from tests.counting import CountingPlc, publish
from tests.processes import free_port, running

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: no broker that keeps a session"),
]
KILLS = 2  # of the whole system; test_durability kills the gateway alone, more often
PLANT = """
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


def acknowledged(outbox: Path, scratch: Path) -> set[tuple[str, int, float]]:
    """The points that wait in the outbox of a process that was killed (read from a copy)."""
    scratch.mkdir()
    for file in outbox.parent.glob("outbox.sqlite*"):
        shutil.copy(file, scratch)
    with sqlite3.connect(scratch / "outbox.sqlite") as db:
        blobs = [row[0] for row in db.execute("SELECT blob FROM batch")]
    db.close()
    points = (point for blob in blobs for point in codec.decode(blob))
    return {(p.tag, p.time_ns, p.value) for p in points if isinstance(p.value, float)}


async def test_kill_9_loses_and_doubles_nothing(tmp_path):
    mosquitto_dir = tmp_path / "mosquitto"
    mosquitto_dir.mkdir()
    broker, plc, modbus_port = Mosquitto(mosquitto_dir), CountingPlc(), free_port()
    await broker.start()
    server = await asyncio.start_server(plc, "127.0.0.1", modbus_port)
    plant_file, data = tmp_path / "plant.yaml", tmp_path / "data"
    plant_file.write_text(PLANT.format(modbus=modbus_port, mqtt=broker.port))
    try:
        sent, waiting, killed = await asyncio.to_thread(_kill_and_restart, plant_file, data, tmp_path, broker.port, plc)
    finally:
        server.close()
        await broker.stop()

    historian = DuckDbHistorian(data / "historian.duckdb")
    everything = Window(time.time_ns() - DAY, time.time_ns() + DAY)
    received, reads = historian.range("m.sent", everything), historian.range("m.reads", everything)
    stored = {
        tag: list(zip(s.time_ns.tolist(), s.value.tolist(), strict=True))
        for tag, s in (("m.sent", received), ("m.reads", reads))
    }
    historian.close()

    numbers = [int(value) for _, value in stored["m.sent"] if not np.isnan(value)]
    assert numbers == list(range(1, sent + 1)), "an acknowledged MQTT message was lost, doubled or out of order"

    counts = Counter(int(value) for _, value in stored["m.reads"] if not np.isnan(value))
    assert max(counts.values()) == 1, "a read was stored twice"
    holes = set(range(1, max(counts) + 1)) - set(counts)
    assert len(holes) <= killed, f"reads {sorted(holes)} are missing: more than the one in flight at each kill"

    assert waiting, "no kill ever met a waiting point: the test proved nothing about the outbox"
    for tag, time_ns, value in waiting:
        assert stored[tag].count((time_ns, value)) == 1


def _kill_and_restart(
    plant_file: Path, data: Path, scratch: Path, mqtt_port: int, plc: CountingPlc
) -> tuple[int, set[tuple[str, int, float]], int]:
    """Runs the system, kills it at seeded moments, lets it catch up; gives what was sent and what had waited."""
    chance = random.Random(20260509)
    waiting: set[tuple[str, int, float]] = set()
    stop = threading.Event()
    result: list[int] = []
    machine = threading.Thread(target=lambda: result.append(asyncio.run(publish(mqtt_port, stop))))
    for kill in range(KILLS):
        with running("run", plant_file, "--data-dir", data) as system:
            system.wait_for(lambda: _is_connected(system), what="both sources")
            if kill == 0:
                machine.start()  # from the first subscription on the broker keeps the session's messages
            before = plc.reads
            system.wait_for(lambda before=before: plc.reads > before + 10, what="reads")
            time.sleep(chance.uniform(0.1, 0.6))
            system.stop(signal.SIGKILL)
        waiting |= acknowledged(data / "gateway" / "outbox.sqlite", scratch / f"kill-{kill}")
    stop.set()
    machine.join()
    with running("run", plant_file, "--data-dir", data) as system:
        system.wait_for(lambda: _last_sent(system) == result[0], what="the last message")
        system.stop(signal.SIGTERM)
    return result[0], waiting, KILLS


def _is_connected(system) -> bool:
    return all(source["link"] == "connected" for source in system.get("/api/sources")["sources"])


def _last_sent(system) -> int | None:
    tags = {tag["id"]: tag for tag in system.get("/api/tags")["tags"]}
    last = tags["m.sent"]["last"]
    return None if last is None else last["value"]
