from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.sources.base import Emit
from gateway.sources.mqtt import MqttSource
from plant.clock import MINUTE, iso, parse_iso, system_clock
from plant.config import MqttSource as Config
from plant.connections import Fault, Link
from plant.points import Point, PointBatch, Quality
from plant.tags import Tag
from tests.brokers import Amqtt, Mosquitto, Publisher
from tests.gateway.support import Recorder, eventually, tag

TEMPERATURE = tag("t", source="mq", topic="hall/+/temp", path="$.v", time_path="$.ts")
STATE = tag("s", source="mq", topic="hall/cnc/state", type="text")
TWIN = tag("u", source="mq", topic="hall/#", path="$.u")


@asynccontextmanager
async def listening(
    port: int, *tags: Tag, emit: Emit | None = None, **config: Any
) -> AsyncIterator[tuple[MqttSource, Recorder]]:
    section = Config(type="mqtt", host="127.0.0.1", port=port, **config)
    source = MqttSource("mq", section, tags or (TEMPERATURE, STATE), "testbed-test", system_clock)
    recorder = Recorder()
    task = asyncio.create_task(source.run(emit or recorder))
    try:
        yield source, recorder
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), "it ended by itself"


def connected(source: MqttSource) -> bool:
    return source.status().link is Link.CONNECTED


def values(points: list[Point]) -> list[object]:
    return [point.value for point in points]


async def test_messages_become_points(broker: Mosquitto | Amqtt) -> None:
    stamp = system_clock() // 10**9 * 10**9
    async with listening(broker.port, TEMPERATURE, STATE, TWIN) as (source, emit), Publisher(broker.port) as machine:
        await eventually(lambda: connected(source))
        assert source.status().fault is Fault.NO_DATA
        await machine.send("hall/cnc/temp", f'{{"v": 21.5, "ts": "{iso(stamp)}", "u": 7}}')
        await machine.send("hall/cnc/state", "RUNNING")
        await machine.send("yard/gate", "open")
        await eventually(lambda: len(emit.points) >= 4)
        status = source.status()
    assert emit.of("t")[0] == Point("m.t", stamp, 21.5, Quality.GOOD)
    assert values(emit.of("u"))[0] == 7
    assert emit.of("s")[0].value == "RUNNING"
    assert abs(emit.of("s")[0].time_ns - system_clock()) < MINUTE
    assert emit.of("u")[1].quality is Quality.BAD_DECODE, "hall/cnc/state is not JSON"
    assert (status.reads, status.fault) == (2, Fault.NONE)
    assert status.tags[0].raw.startswith('{"v": 21.5')


async def test_rubbish_is_told_and_the_stream_goes_on(broker: Mosquitto | Amqtt) -> None:
    async with listening(broker.port, TEMPERATURE) as (source, emit), Publisher(broker.port) as machine:
        await eventually(lambda: connected(source))
        await machine.send("hall/cnc/temp", b"\xff\x00{")
        await machine.send("hall/cnc/temp", '{"other": 1}')
        await eventually(lambda: source.status().reads == 2)
        status = source.status().tags[0]
        assert (status.fault, status.detail) == (Fault.DECODE, "the message has no $.v")
        assert status.raw == '{"other": 1}'
        assert source.status().errors[Fault.DECODE] == 2
        await machine.send("hall/cnc/temp", f'{{"v": 3, "ts": {system_clock()}}}')
        await eventually(lambda: source.status().reads == 3)
        assert source.status().tags[0].fault is Fault.NONE
    assert [p.quality for p in emit.points][:2] == [Quality.BAD_DECODE, Quality.GOOD]


async def test_retained_messages_of_other_topics_are_ignored(broker: Mosquitto | Amqtt) -> None:
    """amqtt sends a client every retained message, whatever it subscribed to."""
    async with Publisher(broker.port) as machine:
        await machine.send("somewhere/else", "99", retain=True)
        await machine.send("hall/cnc/state", "IDLE", retain=True)
    async with listening(broker.port, STATE) as (source, emit):
        await eventually(lambda: emit.points)
        await asyncio.sleep(0.2)
        assert source.status().reads >= 1
    assert set(values(emit.points[:-1])) == {"IDLE"}
    assert emit.points[0].quality is Quality.UNCERTAIN_SOURCE_TIME


async def test_the_broker_goes_and_comes_back(broker: Mosquitto | Amqtt) -> None:
    async with listening(broker.port) as (source, emit):
        await eventually(lambda: connected(source))
        async with Publisher(broker.port) as machine:
            await machine.send("hall/cnc/state", "RUNNING")
            await eventually(lambda: emit.of("s"))
        await broker.stop()
        await eventually(lambda: source.status().link is Link.DISCONNECTED)
        await eventually(lambda: source.status().fault is Fault.REFUSED)
        assert [p.quality for p in emit.of("s")] == [Quality.GOOD, Quality.BAD_NOT_CONNECTED]
        assert [p.quality for p in emit.of("t")] == [Quality.BAD_NOT_CONNECTED]
        await asyncio.sleep(0.3)
        assert len(emit.of("s")) == 2, "told once"
        await broker.start()
        await eventually(lambda: connected(source))
        async with Publisher(broker.port) as machine:
            await machine.send("hall/cnc/state", "IDLE")
        await eventually(lambda: emit.of("s")[-1].value == "IDLE")
        assert source.status().fault is Fault.NONE


async def test_what_was_published_while_the_gateway_was_away_is_delivered_with_its_own_time(
    mosquitto: Mosquitto,
) -> None:
    async with listening(mosquitto.port) as (source, _):
        await eventually(lambda: connected(source))
    async with Publisher(mosquitto.port) as machine:
        for minute in range(3):
            stamp = system_clock() - (10 - minute) * MINUTE
            await machine.send("hall/cnc/temp", f'{{"v": {minute}, "ts": {stamp}}}')
    async with listening(mosquitto.port) as (source, emit):
        await eventually(lambda: len(emit.of("t")) >= 3)
        points = emit.of("t")[:3]
    assert values(points) == [0, 1, 2]
    assert all(p.quality is Quality.GOOD and p.time_ns < system_clock() - 5 * MINUTE for p in points)


async def test_a_message_is_acknowledged_only_after_its_points_are_stored(mosquitto: Mosquitto) -> None:
    async def never(_: PointBatch) -> None:
        await asyncio.Event().wait()

    task_emit = Recorder()
    async with listening(mosquitto.port, STATE) as (source, _):
        await eventually(lambda: connected(source))
    section = Config(type="mqtt", host="127.0.0.1", port=mosquitto.port)
    stuck = MqttSource("mq", section, [STATE], "testbed-test", system_clock)
    task = asyncio.create_task(stuck.run(never))
    await eventually(lambda: connected(stuck))
    async with Publisher(mosquitto.port) as machine:
        await machine.send("hall/cnc/state", "RUNNING")
        await eventually(lambda: stuck.status().reads)
    for _ in range(3):  # once to end, then because it insists on finishing
        task.cancel()
        await asyncio.wait([task], timeout=1)
    assert task.done()

    async with listening(mosquitto.port, STATE) as (_, emit):
        await eventually(lambda: emit.points)
        assert emit.points[0].value == "RUNNING"
    async with listening(mosquitto.port, STATE, emit=task_emit) as (source, _):
        await eventually(lambda: connected(source))
        await asyncio.sleep(0.2)
        assert not source.status().reads, "once stored, it does not come again"


async def test_a_repetition_after_a_lost_acknowledgement_is_stored_once(mosquitto: Mosquitto) -> None:
    """The link breaks between commit and acknowledgement: the broker repeats, the gateway knows the message."""
    points = Recorder()
    broke = False

    async def emit(batch: PointBatch) -> None:
        nonlocal broke
        await points(batch)
        if not broke and any(p.value == "RUNNING" for p in batch):
            broke = True
            await mosquitto.stop()
            await asyncio.sleep(0.2)

    async with listening(mosquitto.port, STATE, emit=emit) as (source, _):
        await eventually(lambda: connected(source))
        async with Publisher(mosquitto.port) as machine:
            await machine.send("hall/cnc/state", "RUNNING")
            await eventually(lambda: source.status().link is Link.DISCONNECTED)
        await mosquitto.start()
        await eventually(lambda: connected(source))
        async with Publisher(mosquitto.port) as machine:
            await machine.send("hall/cnc/state", "IDLE")
        await eventually(lambda: points.of("s")[-1].value == "IDLE")
    assert [v for v in values(points.of("s")) if v is not None] == ["RUNNING", "IDLE"]


async def test_many_messages_in_order(broker: Mosquitto | Amqtt) -> None:
    start = parse_iso("2026-01-01T00:00:00Z")
    async with listening(broker.port, TEMPERATURE) as (source, emit), Publisher(broker.port) as machine:
        await eventually(lambda: connected(source))
        for i in range(300):
            await machine.send("hall/cnc/temp", f'{{"v": {i}, "ts": {start + i * 10**9}}}', qos=int(i % 50 > 0))
        await eventually(lambda: len(emit.of("t")) == 300)
    assert sorted(values(emit.of("t")[:300])) == list(range(300))  # type: ignore[type-var]


async def test_a_wrong_password_is_named(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, login=("gateway", "right"))
    await broker.start()
    try:
        async with listening(broker.port, username="gateway", password="wrong") as (source, _):
            await eventually(lambda: source.status().fault is Fault.NOT_AUTHORISED)
        async with listening(broker.port, username="gateway", password="right") as (source, _):
            await eventually(lambda: connected(source))
    finally:
        await broker.stop()


async def test_a_host_that_does_not_exist_is_named() -> None:
    section = Config(type="mqtt", host="no-such-host.invalid", port=1883)
    source = MqttSource("mq", section, [STATE], "testbed-test", system_clock)
    emit = Recorder()
    task = asyncio.create_task(source.run(emit))
    await eventually(lambda: emit.points)
    assert source.status().fault is Fault.UNREACHABLE
    task.cancel()
    await asyncio.wait([task])


def test_the_password_is_not_shown() -> None:
    section = Config(type="mqtt", host="127.0.0.1", port=1, username="u", password="hunter2")
    source = MqttSource("mq", section, [STATE], "testbed-test", system_clock)
    assert "hunter2" not in repr(source.status())
