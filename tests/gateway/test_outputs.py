"""The unified namespace on a broker, read back by a client that knows nothing of us."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from gateway.gateway import Gateway
from gateway.outputs.namespace import Namespace, Publication
from plant.config import MqttOutput, PlantConfig
from plant.connections import Fault, Link
from plant.points import Point, Quality
from tests.brokers import Amqtt, Mosquitto, Publisher
from tests.gateway.support import RecordingHistorian, eventually, plant
from tests.processes import free_port

DATA = "umh/v1/ent/site/a/l/m/_historian/x"
STATUS = "umh/v1/ent/site/a/l/m/_status/x"
BIRTH = "umh/v1/ent/site/_status/testbed-ent-site-uns-out"


class Listener:
    """Everything that is published, in order; the broker keeps it while this one is away."""

    def __init__(self, port: int) -> None:
        self.found: list[tuple[str, bytes]] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self._ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._client.on_message = lambda _c, _u, m: self.found.append((m.topic, m.payload))
        self._client.on_subscribe = lambda *_: loop.call_soon_threadsafe(self._ready.set)
        self._port = port

    async def __aenter__(self) -> Listener:
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.subscribe("umh/#", 1)
        self._client.loop_start()
        await asyncio.wait_for(self._ready.wait(), 5)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def of(self, topic: str) -> list[Any]:
        return [json.loads(payload) for t, payload in self.found if t == topic]


def config(source_port: int, output_port: int, **output: Any) -> PlantConfig:
    section = {
        "type": "mqtt",
        "host": "127.0.0.1",
        "port": output_port,
        "client_id": "testbed-ent-site-uns-out",
        **output,
    }
    base = plant(
        {"mq": {"type": "mqtt", "host": "127.0.0.1", "port": source_port}},
        {"x": {"source": "mq", "topic": "in/x", "path": "$.v", "unit": "kW"}},
    )
    return PlantConfig.model_validate({**base.model_dump(exclude_unset=True), "outputs": {"uns": section}})


def gateway_of(plant_config: PlantConfig, folder: Path) -> tuple[Gateway, RecordingHistorian]:
    historian = RecordingHistorian()
    return Gateway(plant_config, historian, folder), historian  # type: ignore[arg-type] # it only writes


async def linked(gateway: Gateway) -> None:
    await eventually(
        lambda: gateway.sources()[0].link is Link.CONNECTED and gateway.outputs()[0].link is Link.CONNECTED
    )


async def test_points_births_and_deaths(broker: Mosquitto | Amqtt, tmp_path: Path) -> None:
    gateway, _ = gateway_of(config(broker.port, broker.port), tmp_path)
    async with Listener(broker.port) as seen, Publisher(broker.port) as machine:
        async with gateway:
            await linked(gateway)
            await machine.send("in/x", '{"v": 1.5}')
            await machine.send("in/x", b"rubbish")
            await machine.send("in/x", '{"v": 2}')
            await eventually(lambda: len(seen.of(DATA)) == 2)
            await eventually(lambda: (BIRTH, b"online") in seen.found)
            assert gateway.outputs()[0].fault is Fault.NONE
            assert gateway.outputs()[0].protocol == ("MQTT 5" if isinstance(broker, Mosquitto) else "MQTT 3.1.1")
        await eventually(lambda: (BIRTH, b"offline") in seen.found)
    assert [message["value"] for message in seen.of(DATA)] == [1.5, 2.0]
    assert set(seen.of(DATA)[0]) == {"timestamp_ms", "value"}
    assert [message["quality"] for message in seen.of(STATUS)] == ["GOOD", "BAD_DECODE", "GOOD"]


async def test_an_outage_of_that_broker_loses_nothing_and_holds_up_nobody(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    away = Mosquitto(tmp_path / "second")
    plant_config = config(mosquitto.port, away.port, profile="full")
    gateway, historian = gateway_of(plant_config, tmp_path / "gw")
    async with Publisher(mosquitto.port) as machine, gateway:
        await eventually(lambda: gateway.sources()[0].link is Link.CONNECTED)
        for i in range(20):
            await machine.send("in/x", f'{{"v": {i}}}')
        await eventually(lambda: len(historian.points) == 20)
        await eventually(lambda: gateway.outputs()[0].fault is Fault.REFUSED)
        assert gateway.outputs()[0].waiting_points == 20
        await eventually(lambda: gateway.outbox().points == 0)  # the historian has them
    again, _ = gateway_of(plant_config, tmp_path / "gw")
    await away.start()
    try:
        async with Listener(away.port) as seen, again:
            await eventually(lambda: len(seen.of(DATA)) >= 20)
            await eventually(lambda: again.outputs()[0].waiting_points == 0)
    finally:
        await away.stop()
    messages = seen.of(DATA)
    assert [m["value"] for m in messages[:20]] == list(range(20))
    assert [m["seq"] for m in messages] == list(range(len(messages)))
    assert {m["unit"] for m in messages} == {"kW"}


async def test_a_broker_that_breaks_in_mid_stream_gets_the_rest_later(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = Mosquitto(tmp_path / "second")
    await second.start()
    gateway, historian = gateway_of(config(mosquitto.port, second.port), tmp_path / "gw")
    values: set[float] = set()
    async with Publisher(mosquitto.port) as machine, gateway:
        await linked(gateway)
        async with Listener(second.port) as seen:
            for i in range(100):
                await machine.send("in/x", f'{{"v": {i}}}')
                if i == 50:
                    await eventually(lambda: seen.of(DATA))
                    await second.stop()
                    values |= {m["value"] for m in seen.of(DATA)}
        await eventually(lambda: len(historian.points) == 100)
        await second.start()
        async with Listener(second.port) as rest:
            await eventually(lambda: gateway.outputs()[0].waiting_points == 0)
            await eventually(lambda: 99 in {m["value"] for m in rest.of(DATA)})
            values |= {m["value"] for m in rest.of(DATA)}
            assert gateway.outputs()[0].dropped_points == 0
    await second.stop()
    missing = set(range(100)) - values
    assert not missing


async def test_without_that_broker_the_gateway_stops_in_time(tmp_path: Path) -> None:
    gateway, _ = gateway_of(config(free_port(), free_port()), tmp_path)
    async with gateway:
        await eventually(lambda: gateway.outputs()[0].fault is Fault.REFUSED)
    assert gateway.outputs()[0].link is Link.STOPPED


@pytest.mark.parametrize(
    ("kind", "value", "written"), [("bool", 1.0, b"true"), ("uint16", 3.0, b"3"), ("number", 3.0, b"3.0")]
)
def test_values_are_written_as_their_type(kind: str, value: float, written: bytes) -> None:
    base = plant({"mq": {"type": "mqtt", "host": "h"}}, {"x": {"source": "mq", "topic": "t", "type": kind}})
    namespace = Namespace(base, MqttOutput(type="mqtt", host="h"))
    status, data = namespace.messages([Point("m.x", 5_999_999, value, Quality.UNCERTAIN_OUT_OF_RANGE)])
    assert data == Publication(DATA, b'{"timestamp_ms":5,"value":' + written + b"}")
    assert (status.topic, status.retain) == (STATUS, True)
    assert not list(namespace.messages([Point("gone.x", 1, 1.0, Quality.GOOD)]))
