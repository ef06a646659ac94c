"""Sparkplug B: what an edge node says, over a real broker and, where order matters, message by message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.payload import Message
from gateway.rejected import RejectedShelf
from gateway.sessions import SessionTopics
from gateway.sources.mqtt import MqttKeep
from gateway.sources.sparkplug import SparkplugSource
from gateway.sparkplug.group import Group, Readings, rebirth_request
from gateway.sparkplug.sparkplug_b_pb2 import Payload
from gateway.sparkplug.values import value_of
from plant.clock import parse_iso, system_clock
from plant.config import SparkplugSource as Config
from plant.connections import Fault, Link
from plant.errors import DecodeError
from plant.points import Point, Quality
from plant.tags import Tag
from tests.brokers import Mosquitto
from tests.gateway.support import Recorder, eventually, tag

ARRIVED = parse_iso("2026-05-03T12:00:00Z")
NOW_MS = ARRIVED // 10**6
PRESSURE = tag("pressure", source="sp", metric="Edge1/Press:Hydraulics/Pressure")
TEMPERATURE = tag("temperature", source="sp", metric="Edge1:Cabinet/Temperature", unit="°C")
TAGS = (PRESSURE, TEMPERATURE)
INT16, FLOAT, INT64 = 2, 9, 4


def payload(seq: int | None, *metrics: dict[str, Any], bd_seq: int | None = None, time_ms: int = NOW_MS) -> bytes:
    built = Payload(timestamp=time_ms)
    if seq is not None:
        built.seq = seq
    if bd_seq is not None:
        built.metrics.add(name="bdSeq", datatype=INT64, long_value=bd_seq)
    for metric in metrics:
        built.metrics.add(**metric)
    return built.SerializeToString()


NODE_BIRTH = {"name": "Cabinet/Temperature", "alias": 1, "datatype": INT16, "int_value": 0xFFFF}
DEVICE_BIRTH = {"name": "Hydraulics/Pressure", "alias": 2, "datatype": FLOAT, "float_value": 1.5}


class Node:
    """Messages of one node into a group, in order."""

    def __init__(self) -> None:
        self.group = Group(TAGS)

    def say(self, kind: str, content: bytes, device: str = "") -> Readings:
        topic = f"spBv1.0/plant/{kind}/Edge1" + (f"/{device}" if device else "")
        found = self.group.read(Message(topic, content, ARRIVED))
        assert found is not None
        return found

    def born(self) -> Node:
        self.say("NBIRTH", payload(0, NODE_BIRTH, bd_seq=7))
        self.say("DBIRTH", payload(1, DEVICE_BIRTH), "Press")
        return self


def points(found: Readings) -> list[Point]:
    return [point for _, outcome in found.outcomes for point in outcome.points]


def test_births_and_data_by_alias() -> None:
    node = Node()
    assert points(node.say("NBIRTH", payload(0, NODE_BIRTH, bd_seq=7)))[0].value == -1, "two's complement"
    node.say("DBIRTH", payload(1, DEVICE_BIRTH), "Press")
    found = node.say("DDATA", payload(2, {"alias": 2, "float_value": 2.5, "timestamp": NOW_MS - 5_000}), "Press")
    assert points(found) == [Point("m.pressure", ARRIVED - 5 * 10**9, 2.5, Quality.GOOD)]
    [point] = points(node.say("NDATA", payload(3, {"alias": 1, "is_null": True})))
    assert (point.value, point.quality) == (None, Quality.BAD_NOT_AVAILABLE)


def test_a_gap_forgets_the_aliases_until_the_next_birth() -> None:
    """The message that is missing may have been a birth with other aliases: no value is better than a wrong one."""
    node = Node().born()
    for seq in (3, 4):
        found = node.say("DDATA", payload(seq, {"alias": 2, "float_value": 9.0}), "Press")
        assert (found.rebirth, points(found)) == ("Edge1", [])
    node.say("NBIRTH", payload(0, {**NODE_BIRTH, "alias": 2}, bd_seq=8))
    found = node.say("DDATA", payload(1, {"alias": 2, "float_value": 9.0}), "Press")
    assert (found.rebirth, points(found)) == ("Edge1", []), "the device has not been born again"
    assert points(node.say("NDATA", payload(2, {"alias": 2, "int_value": 5})))[0] == Point(
        "m.temperature", ARRIVED, 5, Quality.GOOD
    )


def test_the_sequence_wraps() -> None:
    node = Node().born()
    for seq in [*range(2, 256), 0, 1]:
        assert points(node.say("NDATA", payload(seq, {"alias": 1, "int_value": seq})))[0].value == seq


def test_an_alias_that_nobody_told() -> None:
    node = Node().born()
    found = node.say("NDATA", payload(2, {"alias": 77, "int_value": 1}, {"alias": 1, "int_value": 4}))
    assert (found.rebirth, [p.value for p in points(found)]) == ("Edge1", [4])


def test_deaths() -> None:
    node = Node().born()
    assert node.say("NDEATH", payload(None, bd_seq=6)).lost == [], "the will of an earlier connection"
    assert node.say("DDEATH", payload(2), "Press").lost == ["m.pressure"]
    found = node.say("NDEATH", payload(None, bd_seq=7))
    assert sorted(found.lost) == ["m.pressure", "m.temperature"]
    assert node.say("NDATA", payload(3, {"alias": 1, "int_value": 4})).rebirth == "Edge1"


def test_a_metric_that_the_birth_does_not_name_is_told() -> None:
    found = Node().say("NBIRTH", payload(0, {**NODE_BIRTH, "name": "Cabinet/Temp"}))
    assert [outcome.problem for _, outcome in found.outcomes] == ["the birth has no metric Cabinet/Temperature"]


@pytest.mark.parametrize(
    ("code", "quality"), [(192, Quality.GOOD), (0, Quality.BAD_BY_SOURCE), (500, Quality.BAD_STALE)]
)
def test_the_property_quality(code: int, quality: Quality) -> None:
    birth = Payload(seq=0, timestamp=NOW_MS)
    metric = birth.metrics.add(**NODE_BIRTH)
    metric.properties.keys.append("Quality")
    metric.properties.values.add(type=3, int_value=code)
    assert points(Node().say("NBIRTH", birth.SerializeToString()))[0].quality is quality


def test_a_time_that_cannot_be_is_not_used() -> None:
    [point] = points(Node().say("NBIRTH", payload(0, NODE_BIRTH, time_ms=5)))
    assert (point.time_ns, point.quality) == (ARRIVED, Quality.UNCERTAIN_SOURCE_TIME)


def test_the_bytes_are_those_of_the_specification() -> None:
    """Written by hand: field number and wire type, then the value."""
    metric = b"\x0a\x01x" + b"\x10\x09" + b"\x18\x05" + b"\x20\x02" + b"\x38\x00" + b"\x50\xfe\xff\x03"
    raw = b"\x08\x07" + b"\x12" + bytes([len(metric)]) + metric + b"\x18\x03"
    read = Payload.FromString(raw)
    assert (read.timestamp, read.seq) == (7, 3)
    [found] = read.metrics
    assert (found.name, found.alias, found.timestamp, found.datatype, found.is_null) == ("x", 9, 5, 2, False)
    assert value_of(found, found.datatype) == -2
    assert rebirth_request(10**9).endswith(b"\x20\x0b\x70\x01"), "datatype Boolean, boolean_value true"


@given(st.sampled_from([(1, 8), (2, 16), (3, 32), (4, 64)]), st.data())
def test_twos_complement_is_undone(kind: tuple[int, int], data: st.DataObject) -> None:
    datatype, bits = kind
    value = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    if bits == 64:
        assert value_of(Payload.Metric(long_value=value % 2**64), datatype) == value
    else:
        assert value_of(Payload.Metric(int_value=value % 2**bits), datatype) == value
        assert value_of(Payload.Metric(int_value=value % 2**32), datatype) == value


@given(st.binary(max_size=60), st.sampled_from(["NBIRTH", "NDATA", "NDEATH"]))
def test_no_bytes_do_anything_but_read_or_decode_error(raw: bytes, kind: str) -> None:
    node = Node().born()
    with suppress(DecodeError):
        node.say(kind, raw)


class EdgeNode:
    """An edge node at a broker that is born when it is asked to."""

    def __init__(self, port: int) -> None:
        self.asked = 0
        self._seq = 0
        self._port = port
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="edge")
        self._client.will_set("spBv1.0/plant/NDEATH/Edge1", payload(None, bd_seq=7), qos=1)
        self._client.on_message = self._on_command

    def _on_command(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        command = Payload.FromString(message.payload)
        if command.metrics[0].name == "Node Control/Rebirth" and command.metrics[0].boolean_value:
            self.asked += 1
            self.born()

    def born(self) -> None:
        self._seq = 0
        now = system_clock() // 10**6
        self._client.publish("spBv1.0/plant/NBIRTH/Edge1", payload(0, NODE_BIRTH, bd_seq=7, time_ms=now))

    def data(self, value: int, *, skip: int = 0) -> None:
        self._seq = (self._seq + 1 + skip) % 256
        now = system_clock() // 10**6
        content = payload(self._seq, {"alias": 1, "int_value": value}, time_ms=now)
        self._client.publish("spBv1.0/plant/NDATA/Edge1", content)

    def send(self, content: bytes) -> None:
        self._client.publish("spBv1.0/plant/NDATA/Edge1", content)

    def die(self) -> None:
        """The socket breaks without goodbye."""
        sock = self._client.socket()
        assert sock is not None
        sock.shutdown(2)

    async def __aenter__(self) -> EdgeNode:
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.subscribe("spBv1.0/plant/NCMD/Edge1", 1)
        self._client.loop_start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._client.on_message = None  # no cycle: paho closes its sockets when it goes


@asynccontextmanager
async def listening(port: int, keep: MqttKeep, *tags: Tag) -> AsyncIterator[tuple[SparkplugSource, Recorder]]:
    section = Config(type="sparkplug", host="127.0.0.1", port=port, group="plant")
    source = SparkplugSource("sp", section, tags, "testbed-sp", system_clock, keep=keep)
    recorder = Recorder()
    task = asyncio.create_task(source.run(recorder))
    try:
        yield source, recorder
    finally:
        task.cancel()
        await asyncio.wait([task])
        keep.shelf.close()


async def test_a_node_at_a_broker(mosquitto: Mosquitto, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sources.sparkplug._AGAIN_NS", 0)
    keep = MqttKeep(RejectedShelf(tmp_path / "r.sqlite"), SessionTopics(tmp_path / "s.json"), lambda: "a1b2c3")
    async with EdgeNode(mosquitto.port) as node:
        await asyncio.sleep(0.1)
        async with listening(mosquitto.port, keep, TEMPERATURE) as (source, emit):
            await eventually(lambda: source.status().link is Link.CONNECTED)
            await eventually(lambda: [p.value for p in emit.points] == [-1])
            assert node.asked == 1, "a gateway that comes later asks for what it missed"
            node.data(21)
            await eventually(lambda: emit.points[-1].value == 21)
            node.data(22, skip=1)
            await eventually(lambda: node.asked == 2)
            await eventually(lambda: [p.value for p in emit.points] == [-1, 21, -1])
            node.send(b"\xff\xff")
            await eventually(lambda: source.status().rejected == 1)
            node.data(23)
            await eventually(lambda: emit.points[-1].value == 23)
            node.die()
            await eventually(lambda: emit.points[-1].quality is Quality.BAD_NOT_CONNECTED)
            assert source.status().tags[0].fault is Fault.LOST
            assert source.status().tags[0].detail == "node Edge1 has died"
