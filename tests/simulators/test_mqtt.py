"""Brokers and publishers as a subscriber sees them: mosquitto_sub on mosquitto and on amqtt."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence

import pytest

from plant.config import MqttSource, PlantConfig
from plant.errors import ResourceError, UserInputError
from plant.tags import Tag
from simulators.broker import BrokerChoice, mosquitto_path, start_broker
from simulators.feed import Emission
from simulators.machines.base import Group
from simulators.machines.injection_moulding import InjectionMoulding
from simulators.machines.retrofit_lathe import RetrofitLathe
from simulators.mqtt_publisher import MqttPublisher, messages_of

NOW = 1_795_000_500_123_000_000
HOST = "127.0.0.1"
needs_subscriber = pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto_sub is not installed")
BROKERS = [
    pytest.param(
        BrokerChoice.MOSQUITTO,
        marks=pytest.mark.skipif(
            mosquitto_path() is None,
            reason="mosquitto is not installed",
        ),
    ),
    BrokerChoice.AMQTT,
]


def tags_of(plant: PlantConfig, machine: str) -> list[Tag]:
    return [tag for tag in plant.tags() if tag.machine == machine]


def emission(group: Group, **values: float | str) -> Emission:
    return Emission(NOW, group, tuple(values.get(name, 0) for name in group.signals))


def group_of(groups: Sequence[Group], name: str) -> Group:
    return next(group for group in groups if group.name == name)


async def subscribe(port: int, topic: str, count: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(
            "mosquitto_sub",
            "-h",
            HOST,
            "-p",
            str(port),
            "-t",
            topic,
            "-C",
            str(count),
            "-W",
            "10",
            "-v",
            "-q",
            "1",
            "-d",
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while b"SUBACK" not in await process.stdout.readline():
        pass
    return process


async def received(process: asyncio.subprocess.Process) -> list[tuple[str, str]]:
    output, _ = await process.communicate()
    lines = [
        line.split(" ", 1) for line in output.decode().splitlines() if not line.startswith(("Client", "Subscribed"))
    ]
    return [(topic, payload) for topic, payload in lines]


@needs_subscriber
@pytest.mark.system
@pytest.mark.parametrize("choice", BROKERS)
async def test_birth_message_and_farewell(plant: PlantConfig, mqtt_port: int, choice: BrokerChoice) -> None:
    broker = await start_broker(choice, HOST, mqtt_port)
    assert broker is not None
    assert broker.name == choice.value
    groups = RetrofitLathe.groups
    source = plant.sources["broker"]
    assert isinstance(source, MqttSource)
    publisher = MqttPublisher("lathe-1", source, groups, tags_of(plant, "lathe-1"))
    try:
        await publisher.start()
        listener = await subscribe(mqtt_port, "retrofit/#", 3)
        publisher.publish(emission(group_of(groups, "clamp"), current_l1=9.5, current_l2=9.25, current_l3=10))
        await asyncio.sleep(0.2)
        await publisher.stop()
        messages = await received(listener)
    finally:
        await broker.stop()
    assert messages[0] == ("retrofit/lathe-1/_status", '{"online": true}')
    assert messages[1][0] == "retrofit/lathe-1/em:0"
    assert json.loads(messages[1][1]) == {
        "time": "2026-11-18T11:15:00.123Z",
        "a_current": 9.5,
        "b_current": 9.25,
        "c_current": 10,
    }
    assert messages[2] == ("retrofit/lathe-1/_status", '{"online": false}')


def test_a_shot_is_one_message_with_nested_values(plant: PlantConfig) -> None:
    messages = messages_of(InjectionMoulding.groups, tags_of(plant, "imm-1"))
    shot = group_of(InjectionMoulding.groups, "shot")
    (message,) = messages["shot"]
    payload = json.loads(message.payload(emission(shot, barrel_temperature_2=220.44, good=True, cycle_time=75.25)))
    assert message.topic == "moulding/imm-1/shot"
    assert payload["timestamp_ms"] == NOW // 1_000_000
    assert payload["temperature"]["barrel"] == [0, 220.44, 0]
    assert payload["good"] is True
    assert payload["times"]["cycle"] == 75.25
    assert len(shot.signals) >= 15


def one_tag(**fields: object) -> Tag:
    return Tag.model_validate({"machine": "m", "name": "v", "source": "s", "topic": "a/+/v", **fields})


def test_a_plain_payload_and_a_wildcard() -> None:
    group = Group("g", ("v",))
    (message,) = messages_of([group], [one_tag()])["g"]
    assert message.topic == "a/m/v"
    assert message.payload(emission(group, v=2.5)) == "2.5"


def test_a_path_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(UserInputError, match=r"\$\.\.v"):
        messages_of([Group("g", ("v",))], [one_tag(path="$..v")])


async def test_no_broker_is_said_in_one_sentence(
    plant: PlantConfig, mqtt_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.mqtt_publisher._CONNECT_WITHIN_S", 0.3)
    source = plant.sources["broker"]
    assert isinstance(source, MqttSource)
    publisher = MqttPublisher("lathe-1", source, RetrofitLathe.groups, tags_of(plant, "lathe-1"))
    with pytest.raises(ResourceError, match=f"No MQTT broker answers on 127.0.0.1 port {mqtt_port}"):
        await publisher.start()


@pytest.mark.parametrize("choice", BROKERS)
async def test_a_taken_port_is_said_in_one_sentence(mqtt_port: int, choice: BrokerChoice) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, HOST, mqtt_port)
    async with server:
        with pytest.raises(ResourceError, match=f"Port {mqtt_port} .* is taken"):
            await start_broker(choice, HOST, mqtt_port)


async def test_anonymous_only_on_loopback(mqtt_port: int) -> None:
    assert await start_broker(BrokerChoice.AUTO, "192.0.2.1", mqtt_port) is None
    with pytest.raises(UserInputError, match="lets everybody in"):
        await start_broker(BrokerChoice.AMQTT, "0.0.0.0", mqtt_port)


async def test_none_starts_none(mqtt_port: int) -> None:
    assert await start_broker(BrokerChoice.NONE, HOST, mqtt_port) is None
