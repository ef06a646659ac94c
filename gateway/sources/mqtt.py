"""MQTT 3.1.1: subscribes with a persistent session and acknowledges a message only after its points are on disk.

paho runs one network thread per connection; it only hands messages over to the event loop. Every connection has a
client object of its own, so that a late acknowledgement can never reach the next connection, where the broker may
have given its packet id to another message.

A broker repeats what was not acknowledged. Such a message is known again while the gateway runs; after a crash
between commit and acknowledgement it is stored again, under the same time where the message carries one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.payload import Message, Outcome, TagReader, read_message
from gateway.schedule import Backoff
from gateway.sources.base import Emit
from gateway.topics import Router, fewest
from plant.clock import Clock
from plant.config import MqttSource as MqttConfig
from plant.connections import Fault, Link, SourceStatus, TagStatus
from plant.points import Point, PointBatch, Quality
from plant.tags import Tag

log = logging.getLogger(__name__)

_KEEPALIVE_S = 20
_CONNECT_TIMEOUT_S = 3.0
_MAX_WAITING = 10_000
"""Messages that wait to be read; beyond that the network thread waits, and with it the broker."""
_MAX_AT_ONCE = 2_000
_MILLISECOND = 1_000_000
_DENIED = (134, 135)  # bad user name or password, not authorised


@dataclass(frozen=True, slots=True)
class _Ended:
    """Why a connection is over."""

    fault: Fault
    detail: str


@dataclass(slots=True)
class _TagState:
    """What is known of one tag."""

    last: Point | None = None
    last_good_ns: int | None = None
    raw: str = ""
    fault: Fault = Fault.NO_DATA
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Received:
    """A message with what is needed to acknowledge it."""

    message: Message
    mid: int
    qos: int
    dup: bool


@dataclass(eq=False)
class _Connection:
    """One connection to the broker. The methods that begin with `on_` run in paho's thread."""

    config: MqttConfig
    client_id: str
    filters: Sequence[str]
    clock: Clock
    loop: asyncio.AbstractEventLoop
    inbox: asyncio.Queue[_Received] = field(default_factory=asyncio.Queue)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.ended: asyncio.Future[_Ended] = self.loop.create_future()
        self._free = threading.Semaphore(_MAX_WAITING)
        self._closing = threading.Event()
        self.client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.suppress_exceptions = True  # a last resort: an exception in a callback would end paho's thread
        client.enable_logger(log)
        if self.config.username is not None:
            password = self.config.password
            client.username_pw_set(self.config.username, password.get_secret_value() if password else None)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect

    async def open(self) -> None:
        """Opens the socket; the broker's answer comes later, as `subscribed` or `ended`."""
        try:
            await asyncio.to_thread(self.client.connect, self.config.host, self.config.port, _KEEPALIVE_S)
        except ConnectionRefusedError as error:
            self._end(Fault.REFUSED, str(error))
        except TimeoutError as error:
            self._end(Fault.TIMEOUT, str(error))
        except OSError as error:
            self._end(Fault.UNREACHABLE, str(error))
        else:
            self.client.loop_start()

    async def close(self) -> None:
        self._closing.set()
        self.client.disable_logger()  # paho calls it an error that a closed client is not connected
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)

    def acknowledge(self, received: _Received) -> bool:
        """False when the connection is gone: the broker will send the message again."""
        self._free.release()
        if received.qos == 0:
            return True
        return not self.ended.done() and self.client.ack(received.mid, received.qos) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _end(self, fault: Fault, detail: str) -> None:
        if not self.ended.done():
            self.ended.set_result(_Ended(fault, detail))

    def _in_loop(self, function: object, *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self.loop.call_soon_threadsafe(function, *args)  # type: ignore[arg-type]

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            fault = Fault.NOT_AUTHORISED if reason.value in _DENIED else Fault.REFUSED
            self._in_loop(self._end, fault, f"the broker says: {reason}")
        else:
            client.subscribe([(pattern, 1) for pattern in self.filters])

    def _on_subscribe(
        self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [f for f, reason in zip(self.filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._in_loop(self._end, Fault.NOT_AUTHORISED, f"the broker refuses the topic {', '.join(refused)}")
        else:
            self._in_loop(self.subscribed.set)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        content = Message(message.topic, bytes(message.payload), self.clock(), message.retain)
        while not self._free.acquire(timeout=0.2):
            if self._closing.is_set():
                return
        self._in_loop(self.inbox.put_nowait, _Received(content, message.mid, message.qos, message.dup))

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._in_loop(self._end, Fault.LOST, f"the connection ended: {reason}")


async def _to_the_end(step: Coroutine[Any, Any, None]) -> None:
    """Lets the step finish when we are cancelled: what is committed is also acknowledged. Cancelled twice, it goes."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class MqttSource:
    """One broker with the tags that are read from it."""

    def __init__(self, name: str, config: MqttConfig, tags: Sequence[Tag], client_id: str, clock: Clock) -> None:
        self.name = name
        self._config, self._client_id, self._clock = config, client_id, clock
        self._filters = fewest(tag.topic for tag in tags if tag.topic is not None)
        self._router = Router([(tag.topic, TagReader(tag)) for tag in tags if tag.topic is not None])
        self._tags = {tag.id: _TagState() for tag in tags}
        self._link, self._since_ns = Link.STOPPED, clock()
        self._ended: _Ended | None = None
        self._messages = 0
        self._last_good_ns: int | None = None
        self._errors: Counter[Fault] = Counter()
        self._unacknowledged: dict[int, tuple[str, bytes]] = {}  # committed, but the broker does not know
        self._backoff = Backoff()

    async def run(self, emit: Emit) -> None:
        if not self._filters:
            return
        self._set_link(Link.CONNECTING)
        loop = asyncio.get_running_loop()
        try:
            while True:
                connection = _Connection(self._config, self._client_id, self._filters, self._clock, loop)
                try:
                    await connection.open()
                    ended = await self._receive(connection, emit)
                finally:
                    await connection.close()
                self._note(ended)
                await self._not_connected(emit, ended)
                await asyncio.sleep(self._backoff.next())
        finally:
            # Whoever reads later must not take the last values for true while nobody was listening.
            self._set_link(Link.STOPPED)
            await self._not_connected(emit, _Ended(Fault.NONE, ""))

    async def _receive(self, connection: _Connection, emit: Emit) -> _Ended:
        """Takes messages until the connection is over and its messages are stored; gives why it is over."""
        subscribed = asyncio.ensure_future(connection.subscribed.wait())
        subscribed.add_done_callback(self._subscribed)
        next_message: asyncio.Future[_Received] | None = None
        try:
            while True:
                next_message = asyncio.ensure_future(connection.inbox.get())
                either: set[asyncio.Future[Any]] = {next_message, connection.ended}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not next_message.done():
                    return connection.ended.result()
                group = [next_message.result()]
                while len(group) < _MAX_AT_ONCE and not connection.inbox.empty():
                    group.append(connection.inbox.get_nowait())
                await _to_the_end(self._store(connection, group, emit))
        finally:
            subscribed.cancel()
            if next_message is not None:
                next_message.cancel()

    async def _store(self, connection: _Connection, group: Sequence[_Received], emit: Emit) -> None:
        points: list[Point] = []
        for received in group:
            if not self._seen(received):
                points += self._read(received.message)
        if points:
            await emit(PointBatch.of(points))
        for received in group:
            if connection.acknowledge(received):
                self._unacknowledged.pop(received.mid, None)
            else:
                self._unacknowledged[received.mid] = (received.message.topic, received.message.payload)

    def _seen(self, received: _Received) -> bool:
        """A repetition of a message whose points are stored already."""
        known = self._unacknowledged.get(received.mid)
        return received.dup and known == (received.message.topic, received.message.payload)

    def _read(self, message: Message) -> list[Point]:
        readers = self._router.find(message.topic)
        if not readers:
            return []  # an old subscription of the session, or a broker that sends what nobody asked for
        self._messages += 1
        points = []
        for reader, outcome in read_message(readers, message):
            self._remember(reader.tag.id, message, outcome)
            if outcome.point is not None:
                points.append(outcome.point)
        return points

    def _remember(self, tag: str, message: Message, outcome: Outcome) -> None:
        state = self._tags[tag]
        state.raw = message.excerpt
        state.fault = Fault.DECODE if outcome.problem else Fault.NONE
        state.detail = outcome.problem
        self._errors[Fault.DECODE] += bool(outcome.problem)
        if outcome.point is None:
            return
        state.last = outcome.point
        if outcome.point.quality >= Quality.UNCERTAIN:
            state.last_good_ns = outcome.point.time_ns
            self._last_good_ns = max(self._last_good_ns or 0, outcome.point.time_ns)

    def _subscribed(self, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        self._backoff.reset()
        if self._ended is not None:
            log.info("%s: connected again", self.name)
        self._ended = None
        self._set_link(Link.CONNECTED)

    def _note(self, ended: _Ended) -> None:
        if self._ended is None or self._ended.fault is not ended.fault:
            log.warning("%s: %s (%s)", self.name, ended.fault, ended.detail)
        self._ended = ended
        self._errors[ended.fault] += 1
        self._set_link(Link.DISCONNECTED)

    async def _not_connected(self, emit: Emit, ended: _Ended) -> None:
        """Nothing is known of any tag from now on; told once."""
        now = self._clock()
        points = []
        for tag, state in self._tags.items():
            state.fault, state.detail = ended.fault, ended.detail
            if state.last is None or state.last.quality is not Quality.BAD_NOT_CONNECTED:
                after_last = state.last.time_ns + _MILLISECOND if state.last is not None else now
                state.last = Point(tag, max(now, after_last), None, Quality.BAD_NOT_CONNECTED)
                points.append(state.last)
        if points:
            await emit(PointBatch.of(points))

    def _set_link(self, link: Link) -> None:
        if link is not self._link:
            self._link, self._since_ns = link, self._clock()

    def status(self) -> SourceStatus:
        waiting = self._link is Link.CONNECTED and not self._messages
        return SourceStatus(
            name=self.name,
            kind=self._config.type,
            endpoint=f"{self._config.host}:{self._config.port}",
            link=self._link,
            since_ns=self._since_ns,
            fault=self._ended.fault if self._ended else Fault.NO_DATA if waiting else Fault.NONE,
            detail=self._ended.detail if self._ended else "",
            last_good_ns=self._last_good_ns,
            reads=self._messages,
            errors=dict(self._errors),
            tags=tuple(
                TagStatus(tag, state.last, state.last_good_ns, state.raw, state.fault, state.detail)
                for tag, state in self._tags.items()
            ),
        )
