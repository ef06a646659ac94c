"""`testbed probe mqtt` against real brokers and the simulators' own publishers."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rich.console import Console

from gateway.probe.mqtt import BrokerProbe, Login
from plant.clock import system_clock
from plant.config_file import load_plant
from plant.errors import ConnectionLostError, DeviceError, UserInputError
from simulators.broker import BrokerChoice
from simulators.shopfloor import ShopFloor
from testbed.probe.mqtt import probe
from tests.brokers import MOSQUITTO, Mosquitto, Publisher, running_broker
from tests.gateway.devices import Request, raw_device
from tests.processes import free_port, run_testbed
from tests.simulators.conftest import DEMO, QUICK

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest_asyncio.fixture(params=[pytest.param("mosquitto", marks=needs_mosquitto), "amqtt"])
async def broker(request, tmp_path):
    async with running_broker(request.param, tmp_path) as running:
        yield running


async def probed(port: int, seconds: float = 0.8, topic: str = "#", save: Path | None = None, **login: Any) -> str:
    out = io.StringIO()
    source = {"type": "mqtt", "host": "127.0.0.1", "port": port}
    consoles = Console(file=out, width=180), Console(file=io.StringIO())
    await probe(BrokerProbe("127.0.0.1", port, topic, Login(**login)), seconds, source, save, *consoles)
    return out.getvalue()


async def test_topics_shapes_and_a_file_that_is_in_order(broker, tmp_path):
    now_ms = system_clock() // 10**6
    file = tmp_path / "found.yaml"
    async with Publisher(broker.port) as machine:
        await machine.send("hall/cnc-1/_status", '{"online": true}', retain=True)
        await machine.send("hall/cnc-1/mode", "AUTO", retain=True)
        listening = asyncio.create_task(probed(broker.port, 1.0, save=file))
        await asyncio.sleep(0.3)
        for i in range(5):
            shot = {"timestamp_ms": now_ms + i, "melt_temperature": 231.5, "barrel": [210, 220.5], "good": True}
            await machine.send("hall/imm-1/shot", json.dumps(shot))
            await machine.send("hall/cnc-1/load_kw", str(20 + i))
        await machine.send("hall/camera/image", bytes([255, 216, 0, 1]))
        seen = await listening
    for row in (
        "hall/camera/image 1 binary 4 bytes",
        "hall/cnc-1/load_kw 5 number value number 24",
        "hall/cnc-1/mode 1 0 yes text value text AUTO",
        "hall/imm-1/shot 5 JSON object $.timestamp_ms time",
    ):
        assert all(word in seen for word in row.split()), seen
    config = load_plant(file, {})
    tags = {tag.id: tag for tag in config.tags()}
    assert set(tags) == {
        "cnc-1.load_kw", "cnc-1.mode", "imm-1.melt_temperature", "imm-1.barrel_0", "imm-1.barrel_1", "imm-1.good",
    }  # fmt: skip
    assert tags["imm-1.barrel_1"].path == "$.barrel[1]"
    assert tags["imm-1.good"].time_path == "$.timestamp_ms"
    assert (tags["cnc-1.load_kw"].unit, tags["imm-1.melt_temperature"].unit) == ("kW", "°C")
    assert config.machines["imm-1"].area == "hall"


async def test_the_simulators_publishers_are_proposed_as_the_demo_has_them(tmp_path):
    ports = {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}
    plant = load_plant(DEMO / "plant.yaml", ports)
    floor = ShopFloor(plant, QUICK, 1, tmp_path / "state", broker=BrokerChoice.AMQTT)
    await floor.start()
    try:
        await probed(int(ports["TESTBED_MQTT_PORT"]), 6.0, save=tmp_path / "found.yaml")
    finally:
        await floor.stop()
    wanted = {(t.machine, t.topic, t.path, t.time_path) for t in plant.tags() if t.source == "broker"}
    found = {(t.machine, t.topic, t.path, t.time_path) for t in load_plant(tmp_path / "found.yaml", {}).tags()}
    assert len(wanted) > 20
    assert wanted <= found


async def test_only_what_was_asked_for_is_shown(broker):
    async with Publisher(broker.port) as machine:
        await machine.send("hall/a/x", "1", retain=True)
        await machine.send("yard/b/x", "2", retain=True)
        seen = await probed(broker.port, 0.5, topic="hall/#")
    assert "hall/a/x" in seen
    assert "yard" not in seen


async def test_nothing_is_published(broker):
    with pytest.raises(DeviceError, match="Nothing was published") as caught:
        await probed(broker.port, 0.5)
    assert "--seconds 60" in caught.value.next_step


async def test_sparkplug_is_named(broker):
    async with Publisher(broker.port) as machine:
        await machine.send("spBv1.0/hall/NBIRTH/node", b"\x08\x01", retain=True)
        seen = await probed(broker.port, 0.5)
    assert "Sparkplug B" in seen


async def test_nobody_listens():
    with pytest.raises(ConnectionLostError, match="No connection") as caught:
        await probed(free_port())
    assert "is the broker running" in caught.value.next_step


async def test_somebody_listens_who_does_not_speak_mqtt(monkeypatch):
    monkeypatch.setattr("gateway.probe.mqtt._CONNECT_S", 0.3)

    async def answer(_request: Request, _writer: asyncio.StreamWriter) -> None:
        return

    async with raw_device(answer) as port:
        with pytest.raises(DeviceError, match="does not answer in MQTT"):
            await probed(port)


@needs_mosquitto
async def test_a_wrong_password_and_the_right_one(tmp_path):
    broker = Mosquitto(tmp_path, login=("reader", "secret"))
    await broker.start()
    try:
        with pytest.raises(UserInputError, match="refuses this user") as caught:
            await probed(broker.port, user="reader", password="wrong")
        assert "MQTT_PASSWORD" in caught.value.next_step
        async with Publisher(broker.port, ("reader", "secret")) as machine:
            await machine.send("hall/a/x", "1", retain=True)
            assert "hall/a/x" in await probed(broker.port, 0.5, user="reader", password="secret")
    finally:
        await broker.stop()


@pytest.mark.system
@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")
async def test_the_command_beside_mosquitto_pub(tmp_path):
    async with running_broker("amqtt", tmp_path) as broker:
        publish = ["mosquitto_pub", "-p", str(broker.port), "-t", "hall/oven/temp_c", "-m", "181.5", "-r"]
        await asyncio.to_thread(subprocess.run, publish, check=True, timeout=10)
        place, file = f"127.0.0.1:{broker.port}", tmp_path / "found.yaml"
        done = await asyncio.to_thread(run_testbed, "probe", "mqtt", place, "--seconds", "1", "--save", file)
    assert done.returncode == 0, done.stderr
    assert "oven,temp_c,broker,°C,hall/oven/temp_c" in done.stdout
    checked = await asyncio.to_thread(run_testbed, "check", file)
    assert checked.returncode == 0, checked.stderr
    gone = await asyncio.to_thread(run_testbed, "probe", "mqtt", place)
    assert (gone.returncode, "is the broker running" in gone.stderr) == (4, True)
