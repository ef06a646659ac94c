from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from gateway.gateway import Gateway
from plant.clock import system_clock
from plant.config import PlantConfig
from plant.connections import Connections, Fault, Link
from plant.errors import ResourceError, UserInputError
from plant.historian.base import Historian
from plant.points import PointBatch, Quality
from tests.brokers import Amqtt, Mosquitto, Publisher
from tests.gateway.devices import running_device
from tests.gateway.support import RecordingHistorian, eventually, plant
from tests.processes import free_port


def config(modbus_port: int, mqtt_port: int) -> PlantConfig:
    return plant(
        {
            "plc": {"type": "modbus-tcp", "host": "127.0.0.1", "port": modbus_port, "poll_s": 0.05, "timeout_s": 0.3},
            "mq": {"type": "mqtt", "host": "127.0.0.1", "port": mqtt_port},
            "log": {"type": "replay", "format": "csv"},
        },
        {
            "x": {"source": "plc", "type": "uint16", "address": "holding:3"},
            "s": {"source": "mq", "type": "text", "topic": "hall/state"},
            "r": {"source": "log", "key": "r"},
        },
    )


def gateway_of(plant_config: PlantConfig, historian: RecordingHistorian, folder: Path) -> Gateway:
    store: Historian = historian  # type: ignore[assignment] # the gateway only writes
    return Gateway(plant_config, store, folder)


async def test_from_device_and_broker_to_the_historian(broker: Mosquitto | Amqtt, tmp_path: Path) -> None:
    historian = RecordingHistorian()
    async with running_device() as device, Publisher(broker.port) as machine:
        await device.set(3, 42)
        gateway = gateway_of(config(device.port, broker.port), historian, tmp_path)
        connections: Connections = gateway
        assert [s.link for s in connections.sources()] == [Link.STOPPED] * 3
        assert connections.outbox().points == 0
        async with gateway:
            await eventually(lambda: all(s.link is Link.CONNECTED for s in gateway.sources()[:2]))
            await machine.send("hall/state", "RUNNING")
            await eventually(lambda: any(p.value == "RUNNING" for p in historian.points))
            await eventually(lambda: sum(p.value == 42 for p in historian.points) >= 3)
            await machine.send("hall/state", "IDLE")
            await eventually(lambda: gateway.sources()[1].reads == 2)
            names = [(s.name, s.kind, s.link) for s in gateway.sources()]
            assert gateway.sources()[2].tags[0].tag == "m.r"
            started = time.monotonic()
        assert time.monotonic() - started < 2
    assert names == [
        ("plc", "modbus-tcp", Link.CONNECTED),
        ("mq", "mqtt", Link.CONNECTED),
        ("log", "replay", Link.STOPPED),
    ]
    state = [p for p in historian.points if p.tag == "m.s"]
    assert [p.value for p in state] == ["RUNNING", "IDLE", None], "committed and forwarded at the stop, then unknown"
    assert state[-1].quality is Quality.BAD_NOT_CONNECTED
    keys = [(p.tag, p.time_ns) for p in historian.points]
    assert len(keys) == len(set(keys))
    assert gateway.outbox().points == 0
    assert gateway.outbox().forwarded_points == len(keys)


async def test_what_the_historian_did_not_take_survives_a_restart(tmp_path: Path) -> None:
    historian = RecordingHistorian()
    historian.failing = True
    async with running_device() as device:
        plant_config = config(device.port, free_port())
        async with gateway_of(plant_config, historian, tmp_path) as gateway:
            await eventually(lambda: gateway.outbox().points >= 5 and historian.refused)
            status = gateway.outbox()
            assert (status.fault, status.detail) == (Fault.UNREACHABLE, "The store is away.")
        waiting = gateway.outbox().points
        assert waiting >= 5
    historian.failing = False
    stopped_ns = system_clock()
    async with gateway_of(plant_config, historian, tmp_path) as gateway:
        await eventually(lambda: gateway.outbox().forwarded_points >= waiting)
    assert sum(p.time_ns < stopped_ns for p in historian.points) == waiting
    keys = [(p.tag, p.time_ns) for p in historian.points]
    assert len(keys) == len(set(keys))


class HangingHistorian(RecordingHistorian):
    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def write(self, batch: PointBatch) -> None:
        self.release.wait(20)
        super().write(batch)


async def test_a_historian_that_hangs_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    historian = HangingHistorian()
    gateway = gateway_of(config(free_port(), free_port()), historian, tmp_path)
    await gateway.start()
    await eventually(lambda: gateway.outbox().points >= 2)
    started = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - started < 2
    await gateway.stop()
    historian.release.set()


async def test_two_gateways_on_one_folder(tmp_path: Path) -> None:
    plant_config = config(free_port(), free_port())
    async with gateway_of(plant_config, RecordingHistorian(), tmp_path):
        second = gateway_of(plant_config, RecordingHistorian(), tmp_path)
        with pytest.raises(ResourceError, match="locked"):
            await second.start()
        await second.stop()


def test_a_tag_that_cannot_be_read_is_named_at_once(tmp_path: Path) -> None:
    sources = {"plc": {"type": "modbus-tcp", "host": "h", "max_registers": 10}}
    tags = {"long": {"source": "plc", "type": "string", "length": 11, "address": "holding:0"}}
    with pytest.raises(UserInputError, match=r"m\.long takes 11 registers"):
        gateway_of(plant(sources, tags), RecordingHistorian(), tmp_path)


async def test_starting_and_stopping_at_once(tmp_path: Path) -> None:
    async with gateway_of(config(free_port(), free_port()), RecordingHistorian(), tmp_path):
        await asyncio.sleep(0)
