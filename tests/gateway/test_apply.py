"""A new configuration for a running gateway: what is the same is not touched, a bad one changes nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.gateway import Gateway
from plant.config import PlantConfig
from plant.connections import Link
from plant.errors import UserInputError
from tests.brokers import Amqtt, Mosquitto, Publisher
from tests.gateway.devices import running_device
from tests.gateway.support import RecordingHistorian, eventually, plant
from tests.processes import free_port

EVERY_S = 0.2


def modbus(port: int, **more: Any) -> dict[str, Any]:
    return {"type": "modbus-tcp", "host": "127.0.0.1", "port": port, "poll_s": 0.05, "timeout_s": 0.3, **more}


def tag(source: str, address: int, **more: Any) -> dict[str, Any]:
    return {"source": source, "type": "uint16", "address": f"holding:{address}", **more}


def gateway_of(config: PlantConfig, historian: RecordingHistorian, folder: Path) -> Gateway:
    return Gateway(config, historian, folder)  # type: ignore[arg-type] # the gateway only writes


async def test_an_unchanged_device_misses_no_cycle_over_ten_reloads(tmp_path: Path) -> None:
    historian = RecordingHistorian()
    async with running_device() as kept, running_device() as other:

        def config(n: int) -> PlantConfig:
            tags = {"x": tag("kept", 3), "y": tag("other", n), "z": tag("other", 50, unit="kW")}
            sources = {"kept": modbus(kept.port, poll_s=EVERY_S), "other": modbus(other.port)}
            return plant(dict(reversed(sources.items())) if n % 2 else sources, tags)

        async with gateway_of(config(0), historian, tmp_path) as gateway:
            await eventually(lambda: kept.requests >= 3 and other.requests >= 3)
            reads, started = kept.requests, time.monotonic()
            since_ns = gateway.sources()[0].since_ns
            for n in range(1, 11):
                before, before_kept = other.requests, kept.requests
                difference = await gateway.apply(config(n))
                assert (difference.kept, difference.changed) == (("kept",), ("other",))
                await eventually(lambda n=before: other.requests > n + 1)  # type: ignore[misc]
                await eventually(lambda n=before_kept: kept.requests > n)  # type: ignore[misc]
            missed = (time.monotonic() - started) / EVERY_S - (kept.requests - reads)
            status = {source.name: source for source in gateway.sources()}
    assert missed <= 1, "only a cycle that is under way may not be counted yet"
    assert (status["kept"].overruns, status["kept"].since_ns) == (0, since_ns)
    assert status["kept"].reads >= kept.requests - 1, "the same source all the time: its count goes on"
    times = [p.time_ns for p in historian.points if p.tag == "m.x"]
    assert times == sorted(set(times))
    assert {p.tag for p in historian.points} == {"m.x", "m.y", "m.z"}


async def test_sources_come_go_and_change(broker: Mosquitto | Amqtt, tmp_path: Path) -> None:
    historian = RecordingHistorian()
    async with running_device() as device, Publisher(broker.port) as machine:
        await device.set(3, 33, 44)
        mqtt = {"type": "mqtt", "host": "127.0.0.1", "port": broker.port}
        only_plc = plant({"plc": modbus(device.port)}, {"x": tag("plc", 3)})
        both = plant(
            {"plc": modbus(device.port), "mq": mqtt},
            {"x": tag("plc", 4), "s": {"source": "mq", "type": "text", "topic": "hall/s"}},
        )
        async with gateway_of(only_plc, historian, tmp_path) as gateway:
            await eventually(lambda: any(p.value == 33 for p in historian.points))
            difference = await gateway.apply(both)
            assert (difference.added, difference.changed, difference.removed) == (("mq",), ("plc",), ())
            await eventually(lambda: gateway.sources()[1].link is Link.CONNECTED)
            await machine.send("hall/s", "RUNNING")
            await eventually(lambda: {44, "RUNNING"} <= {p.value for p in historian.points})
            difference = await gateway.apply(only_plc)
            assert (difference.changed, difference.removed) == (("plc",), ("mq",))
            assert [source.name for source in gateway.sources()] == ["plc"]
            messages = len(historian.points)
            await machine.send("hall/s", "IDLE")
            await eventually(lambda: len(historian.points) > messages + 3)
        assert "IDLE" not in {p.value for p in historian.points}


async def test_what_cannot_be_built_changes_nothing(tmp_path: Path) -> None:
    historian = RecordingHistorian()
    async with running_device() as device:
        good = plant({"plc": modbus(device.port)}, {"x": tag("plc", 3)})
        too_long = {"source": "plc", "type": "string", "length": 11, "address": "holding:0"}
        bad = plant({"plc": modbus(device.port, max_registers=10)}, {"long": too_long})
        async with gateway_of(good, historian, tmp_path) as gateway:
            await eventually(lambda: device.requests >= 2)
            with pytest.raises(UserInputError, match="takes 11 registers"):
                await gateway.apply(bad)
            before = device.requests
            await eventually(lambda: device.requests > before + 2)
            assert [t.tag for t in gateway.sources()[0].tags] == ["m.x"]
            assert not (await gateway.apply(good)).changed


async def test_two_at_once_and_before_the_start(tmp_path: Path) -> None:
    configs = [plant({"plc": modbus(free_port())}, {f"t{n}": tag("plc", n)}) for n in range(3)]
    gateway = gateway_of(configs[0], RecordingHistorian(), tmp_path)
    await gateway.apply(configs[1])
    async with gateway:
        await asyncio.gather(*(gateway.apply(config) for config in configs))
        assert [t.tag for t in gateway.sources()[0].tags] == ["m.t2"]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("source")]
