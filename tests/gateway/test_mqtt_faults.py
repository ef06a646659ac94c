"""What goes wrong between gateway and broker: versions, certificates, poison, old topics, queues that overflow."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

import gateway.sources.mqtt as source_module
from gateway import mqtt_link
from gateway.gateway import build_source
from gateway.identity import id_of
from gateway.payload import Message
from gateway.rejected import KEEP_BYTES, RejectedShelf, rejected
from gateway.sessions import SessionTopics
from gateway.sources.modbus import Buses
from gateway.sources.mqtt import MqttKeep, MqttSource
from gateway.sources.mqtt_session import Backlog
from plant.clock import system_clock
from plant.config import AliveConfig, TlsConfig
from plant.config import MqttSource as Config
from plant.connections import Fault, Link
from plant.points import Quality
from plant.tags import Tag
from tests.brokers import Amqtt, Mosquitto, Publisher
from tests.gateway.conftest import needs_mosquitto
from tests.gateway.support import Recorder, eventually, plant, tag

MOSQUITTO_PUB = shutil.which("mosquitto_pub")
X = tag("x", source="mq", topic="hall/x", path="$.v")
Y = tag("y", source="mq", topic="hall/y", type="text")


@asynccontextmanager
async def listening(
    port: int, *tags: Tag, keep: MqttKeep | None = None, alive: dict[str, AliveConfig] | None = None, **config: Any
) -> AsyncIterator[tuple[MqttSource, Recorder]]:
    section = Config(**{"type": "mqtt", "host": "127.0.0.1", "port": port, **config})
    source = MqttSource("mq", section, tags or (X,), "testbed-faults", system_clock, keep=keep, alive=alive)
    recorder = Recorder()
    task = asyncio.create_task(source.run(recorder))
    try:
        yield source, recorder
    finally:
        task.cancel()
        await asyncio.wait([task])


async def linked(source: MqttSource) -> None:
    await eventually(lambda: source.status().link is Link.CONNECTED)


@pytest.mark.parametrize("version", ["auto", 5, "3.1.1"])
async def test_the_version_that_runs_is_told(mosquitto: Mosquitto, version: str) -> None:
    async with listening(mosquitto.port, version=version) as (source, emit), Publisher(mosquitto.port) as machine:
        await linked(source)
        assert source.status().protocol == ("MQTT 3.1.1" if version == "3.1.1" else "MQTT 5")
        await machine.send("hall/x", '{"v": 1}')
        await eventually(lambda: emit.points)


async def test_a_broker_without_version_5(amqtt: Amqtt, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(amqtt.port) as (source, _):
        await linked(source)
        assert source.status().protocol == "MQTT 3.1.1"
    monkeypatch.setattr(mqtt_link, "_ANSWER_S", 0.3)
    async with listening(amqtt.port, version=5, receive_maximum=7) as (source, _):
        await eventually(lambda: source.status().fault in (Fault.REFUSED, Fault.TIMEOUT))


@asynccontextmanager
async def held_up() -> AsyncIterator[tuple[asyncio.Event, list[Any]]]:
    """Sources store nothing until the event is set; the list gets the connection that waits."""
    go, waiting = asyncio.Event(), []
    store = MqttSource._store

    async def held(self: MqttSource, connection: Any, group: Any, emit: Any) -> None:
        waiting.append((connection, len(group)))
        await go.wait()
        await store(self, connection, group, emit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MqttSource, "_store", held)
        yield go, waiting


async def test_the_broker_sends_no_more_than_the_receive_maximum(mosquitto: Mosquitto) -> None:
    """Until the first acknowledgement: mosquitto 2.0.11 itself forgets the limit then (its issue 2301)."""
    async with (
        held_up() as (go, waiting),
        listening(mosquitto.port, receive_maximum=3) as (source, emit),
        Publisher(mosquitto.port) as machine,
    ):
        await linked(source)
        for i in range(40):
            await machine.send("hall/x", f'{{"v": {i}}}')
        await eventually(lambda: waiting)
        await asyncio.sleep(0.2)
        [(connection, taken)] = waiting
        assert taken + connection.inbox.qsize() == 3
        go.set()
        await eventually(lambda: [p.value for p in emit.points] == list(range(40)))


async def test_poison_is_set_aside_and_the_stream_goes_on(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = source_module.read_message

    def brittle(readers: Any, message: Any) -> Any:
        if message.payload == b"undoing":
            raise RecursionError("nobody thought of this")
        return read(readers, message)

    monkeypatch.setattr(source_module, "read_message", brittle)
    keep = MqttKeep.in_folder(tmp_path)
    with caplog.at_level(logging.ERROR):
        async with listening(mosquitto.port, keep=keep) as (source, emit), Publisher(mosquitto.port) as machine:
            await linked(source)
            for payload in (b"\xff\x00", b"undoing", b"[1", b'{"other": 1}', b'{"v": 7}'):
                await machine.send("hall/x", payload)
            await eventually(lambda: emit.points and emit.points[-1].value == 7)
            assert source.status().rejected == 3
    assert [p.quality for p in emit.points[:4]] == [Quality.BAD_DECODE] * 3 + [Quality.GOOD]
    assert "Traceback" in caplog.text
    kept = keep.shelf.newest("mq")
    assert [message.payload for message in kept] == [b"[1", b"undoing", b"\xff\x00"]
    assert "nobody thought of this" in kept[1].reason
    keep.shelf.close()
    async with listening(mosquitto.port) as (source, emit):
        await linked(source)
        await asyncio.sleep(0.2)
        assert not source.status().reads, "acknowledged: the broker does not send it again"


def test_the_shelf_keeps_the_newest_over_a_restart(tmp_path: Path) -> None:
    shelf = RejectedShelf(tmp_path / "r.sqlite", keep=3)
    assert shelf.newest("mq") == ()
    for start in (0, 4):
        shelf.add("mq", [rejected(i, "t\ud800", b"x" * 5_000, f"no {i}") for i in range(start, start + 4)])
    shelf.add("other", [rejected(9, "t", b"", "no")])
    shelf.close()
    again = RejectedShelf(tmp_path / "r.sqlite", keep=3)
    assert (again.count("mq"), again.count("other")) == (8, 1)
    assert [message.reason for message in again.newest("mq")] == ["no 7", "no 6", "no 5"]
    assert (len(again.newest("mq")[0].payload), again.newest("mq")[0].size) == (KEEP_BYTES, 5_000)
    again.close()


def test_a_shelf_that_cannot_be_written_costs_only_the_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    shelf = RejectedShelf(tmp_path / "file" / "r.sqlite")
    shelf.add("mq", [rejected(1, "t", b"", "no")])
    assert (shelf.count("mq"), shelf.newest("mq")) == (1, ())
    assert "cannot be kept" in caplog.text


async def test_topics_that_were_removed_are_no_longer_delivered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    keep = MqttKeep.in_folder(tmp_path)
    async with listening(mosquitto.port, X, Y, keep=keep) as (source, _):
        await linked(source)
    async with listening(mosquitto.port, X, keep=MqttKeep.in_folder(tmp_path)) as (source, _):
        await linked(source)
    async with Publisher(mosquitto.port) as machine:
        await machine.send("hall/y", "still?")
        await machine.send("hall/x", '{"v": 1}')
    assert await delivered(mosquitto.port) == ["hall/x"]


async def delivered(port: int) -> list[str]:
    """Topics of what the session holds, seen by a bare client with its id."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="testbed-faults", clean_session=False)
    topics: list[str] = []
    client.on_message = lambda _c, _u, message: topics.append(message.topic)
    await asyncio.to_thread(client.connect, "127.0.0.1", port)
    client.loop_start()
    await asyncio.sleep(0.4)
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)
    return [topic for topic in topics if not topic.startswith("$SYS")]


def test_remembered_topics_survive_and_a_broken_file_is_only_a_warning(tmp_path: Path) -> None:
    SessionTopics(tmp_path / "s.json").keep("a at b", {"t/2", "t/1"})
    assert SessionTopics(tmp_path / "s.json").recall("a at b") == {"t/1", "t/2"}
    assert json.loads((tmp_path / "s.json").read_text()) == {"a at b": ["t/1", "t/2"]}
    (tmp_path / "s.json").write_text("{")
    assert SessionTopics(tmp_path / "s.json").recall("a at b") == frozenset()


async def test_a_machine_that_dies_takes_its_values_along(mosquitto: Mosquitto) -> None:
    alive = {"m": AliveConfig(source="mq", topic="hall/alive", path="$.state")}
    async with listening(mosquitto.port, alive=alive) as (source, emit), Publisher(mosquitto.port) as machine:
        await linked(source)
        await machine.send("hall/alive", '{"state": "ONLINE"}')
        await machine.send("hall/x", '{"v": 1}', retain=True)
        await machine.send("hall/alive", '{"state": "offline"}', retain=True)
        await eventually(lambda: len(emit.points) == 2)
        assert emit.points[1].quality is Quality.BAD_NOT_CONNECTED
        assert source.status().tags[0].fault is Fault.LOST
        assert "hall/alive" in source.status().tags[0].detail
        await machine.send("hall/alive", '{"state": "online"}')
        await machine.send("hall/x", '{"v": 2}')
        await eventually(lambda: emit.points[-1].value == 2)


@pytest.mark.parametrize("order", [("hall/alive", "hall/x"), ("hall/x", "hall/alive")])
def test_the_retained_last_words_of_a_dead_machine_are_not_its_state(order: tuple[str, str]) -> None:
    """A broker sends retained messages in any order."""
    payloads = {"hall/alive": b"offline", "hall/x": b'{"v": 7}'}
    section = Config(type="mqtt", host="h")
    alive = {"m": AliveConfig(source="mq", topic="hall/alive")}
    source = MqttSource("mq", section, (X,), "testbed-faults", system_clock, alive=alive)
    for topic in order:
        source._read(Message(topic, payloads[topic], system_clock(), retained=True))
    last = source.status().tags[0].last
    assert last is not None
    assert last.quality is Quality.BAD_NOT_CONNECTED
    source._read(Message("hall/alive", b"?", system_clock()))
    assert source.status().tags[0].fault is Fault.LOST, "a word that is neither changes nothing"


async def test_the_gateway_has_a_last_will_of_its_own(mosquitto: Mosquitto) -> None:
    topic = "testbed/testbed-faults/status"
    seen: list[bytes] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="watcher")
    client.on_message = lambda _c, _u, message: seen.append(message.payload)
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe(topic, 1)
    client.loop_start()
    try:
        async with listening(mosquitto.port) as (source, _):
            await linked(source)
            await eventually(lambda: seen == [b"online"])
        await eventually(lambda: seen == [b"online", b"offline"])
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


@needs_mosquitto
async def test_what_the_broker_throws_away_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """mosquitto's default queue holds 1 000 messages of a session; what comes on top is lost, acknowledged or not."""
    broker = Mosquitto(tmp_path, settings=("max_queued_messages 10", "sys_interval 1"))
    await broker.start()
    try:
        async with (
            held_up() as (go, _),
            listening(broker.port, receive_maximum=5) as (source, _),
            Publisher(broker.port) as machine,
        ):
            await linked(source)
            for i in range(40):
                await machine.send("hall/x", f'{{"v": {i}}}')
            go.set()
            await eventually(lambda: source.status().broker_dropped == 25)
            assert "max_queued_messages" in source.status().detail
            assert "25 messages" in caplog.text
    finally:
        await broker.stop()


@pytest.mark.skipif(MOSQUITTO_PUB is None, reason="mosquitto_pub is not installed: no foreign publisher")
@pytest.mark.parametrize("version", ["311", "5"])
async def test_a_foreign_publisher(mosquitto: Mosquitto, version: str) -> None:
    command = [str(MOSQUITTO_PUB), "-h", "127.0.0.1", "-p", str(mosquitto.port), "-V", version, "-q", "1"]
    lines = "".join(f'{{"v": {i}}}\n' for i in range(200)).encode()
    async with listening(mosquitto.port) as (source, emit):
        await linked(source)
        await asyncio.to_thread(subprocess.run, [*command, "-t", "hall/x", "-l"], input=lines, check=True)
        await eventually(lambda: [p.value for p in emit.points] == list(range(200)))


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> None:
    """A certificate authority of our own, and what it signs for 127.0.0.1."""
    for name in ("ca", "stranger"):
        openssl(folder, "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-subj", f"/CN=test {name}", "-days", "2")  # fmt: skip
    openssl(
        folder, "req", "-newkey", "ed25519", "-nodes", "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=x"
    )
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
    openssl(folder, "x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "broker.pem", "-days", "2", "-extfile", "ext")  # fmt: skip


@needs_mosquitto
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: no certificates to test with")
async def test_tls(tmp_path: Path) -> None:
    certificates(tmp_path)
    files = (f"certfile {tmp_path}/broker.pem", f"keyfile {tmp_path}/broker.key")
    broker = Mosquitto(tmp_path, settings=files)
    await broker.start()
    try:
        for tls, said in (
            (TlsConfig(ca=tmp_path / "ca.pem"), ""),
            (TlsConfig(ca=tmp_path / "stranger.pem", insecure=True), ""),
            (TlsConfig(ca=tmp_path / "stranger.pem"), "certificate is not accepted"),
            (TlsConfig(ca=tmp_path / "none.pem"), "none.pem cannot be read"),
            (TlsConfig(ca=tmp_path / "ext"), "is not PEM"),
        ):
            async with listening(broker.port, tls=tls) as (source, _):
                if said:
                    await eventually(lambda: source.status().fault is Fault.TLS)
                    assert said in source.status().detail
                else:
                    await linked(source)
    finally:
        await broker.stop()


async def test_tls_where_the_broker_has_none(mosquitto: Mosquitto) -> None:
    async with listening(mosquitto.port, tls={}) as (source, _):
        await eventually(lambda: source.status().fault is Fault.TLS)
        assert "does not speak TLS" in source.status().detail


def test_certificate_and_key_belong_together() -> None:
    with pytest.raises(ValueError, match="belong together"):
        TlsConfig(cert=Path("c.pem"))


async def test_what_waited_at_the_broker_without_a_time_is_uncertain(mosquitto: Mosquitto) -> None:
    async with listening(mosquitto.port, Y) as (source, _):
        await linked(source)
    async with Publisher(mosquitto.port) as machine:
        for i in range(8):
            await machine.send("hall/y", f"old {i}")
        async with listening(mosquitto.port, Y) as (source, emit):
            await eventually(lambda: len(emit.points) >= 8)
            await asyncio.sleep(1.1)  # the backlog has settled
            await machine.send("hall/y", "live")
            await eventually(lambda: emit.points[-1].value == "live")
            points = list(emit.points)
    assert [p.value for p in points] == [*(f"old {i}" for i in range(8)), "live"]
    assert [p.quality for p in points] == [Quality.UNCERTAIN_SOURCE_TIME] * 8 + [Quality.GOOD]


async def test_without_an_old_session_nothing_is_backlog(mosquitto: Mosquitto) -> None:
    async with listening(mosquitto.port, Y) as (source, emit), Publisher(mosquitto.port) as machine:
        await linked(source)
        await machine.send("hall/y", "live")
        await eventually(lambda: emit.points)
    assert emit.points[0].quality is Quality.GOOD


def test_backlog_ends_after_its_last_burst_and_at_the_latest_after_a_minute() -> None:
    backlog = Backlog()
    assert not backlog.holds(0.0), "no session, no backlog"

    def comes(*times: float) -> list[bool]:
        found = []
        for now in times:
            found.append(backlog.holds(now))
            backlog.taken(now)
        return found

    backlog.begins(10.0)
    assert comes(10.01, 10.8, 10.81) == [True] * 3
    assert comes(11.7, 11.82) == [True, False], "live messages do not make it longer"
    backlog.begins(100.0)
    assert all(comes(*(100 + i / 25 for i in range(60 * 25))))
    assert comes(160.0) == [False]
    backlog.begins(200.0)
    backlog.holds(200.01)
    backlog.taken(200.9)  # the queue was full
    assert backlog.holds(200.91)
    assert backlog.holds(201.8), "the wait was ours, and the broker still sends at once"


@pytest.mark.parametrize("version", [5, "3.1.1"])
async def test_two_systems_with_one_client_id_are_told_so(mosquitto: Mosquitto, version: str | int) -> None:
    async with (
        listening(mosquitto.port, version=version) as (one, _),
        listening(mosquitto.port, version=version) as (two, _),
    ):
        told = "another client uses the id testbed-faults"
        await eventually(lambda: told in one.status().detail or told in two.status().detail)


def test_the_id_of_a_data_folder_is_made_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, other = tmp_path / "a" / "mqtt-id", tmp_path / "b" / "mqtt-id"
    assert id_of(one) == id_of(one) != id_of(other)
    one.write_text("nonsense")
    assert id_of(one) == id_of(one) != "nonsense"
    assert "holds no id" in caplog.text


def test_two_data_folders_have_two_client_ids(tmp_path: Path) -> None:
    section = {"type": "mqtt", "host": "127.0.0.1", "port": 1}
    config = plant({"mq": section}, {"x": {"source": "mq", "topic": "x"}})

    def client_id_of(folder: str) -> str:
        source = build_source("mq", config, (), system_clock, Buses(), MqttKeep.in_folder(tmp_path / folder))
        assert isinstance(source, MqttSource)
        return source._client_id

    assert client_id_of("a") == client_id_of("a") != client_id_of("b")
    assert re.fullmatch(r"testbed-ent-site-mq-[0-9a-f]{6}", client_id_of("a"))


async def test_a_broker_that_never_answers_is_a_time_out(caplog: pytest.LogCaptureFixture) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mqtt_link, "_ANSWER_S", 0.2)
        async with listening(port) as (source, emit):
            await eventually(lambda: source.status().fault is Fault.TIMEOUT)
            assert source.status().link is Link.DISCONNECTED
            assert source.status().errors[Fault.TIMEOUT] >= 1
            await eventually(lambda: emit.points)
    server.close()
    await server.wait_closed()
    assert not [record for record in caplog.records if record.name.endswith("paho")]


async def test_errors_hold_no_kind_that_did_not_occur(mosquitto: Mosquitto) -> None:
    async with listening(mosquitto.port) as (source, emit), Publisher(mosquitto.port) as machine:
        await linked(source)
        await machine.send("hall/x", '{"v": 1}')
        await eventually(lambda: emit.points)
        assert source.status().errors == {}
