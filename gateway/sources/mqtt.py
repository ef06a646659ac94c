"""MQTT 5 or 3.1.1: subscribes with a persistent session, acknowledges a message only after its points are on disk.

A broker repeats what was not acknowledged. Such a message is known again while the gateway runs; after a crash
between commit and acknowledgement it is stored again, under the same time where the message carries one.

A message that cannot be read is set aside and acknowledged like any other: it never stops the stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from paho.mqtt.enums import MQTTProtocolVersion

from gateway.alive import AliveReader
from gateway.identity import id_of
from gateway.mqtt_link import NAMES, Ended, VersionChoice, same_id
from gateway.payload import Message, Outcome, TagReader, read_message
from gateway.rejected import RejectedShelf, rejected
from gateway.schedule import Backoff
from gateway.sessions import SessionTopics
from gateway.sources.base import Emit
from gateway.sources.mqtt_session import Received, Subscription
from gateway.topics import Router, fewest
from plant.clock import SECOND, Clock
from plant.config import AliveConfig, MqttSessionFields
from plant.connections import Fault, Link, Rejected, SourceStatus, TagStatus
from plant.points import Point, PointBatch, Quality
from plant.tags import Tag

log = logging.getLogger(__name__)

_MAX_AT_ONCE = 2_000
_MILLISECOND = 1_000_000
_SHORT_NS, _OFTEN = 10 * SECOND, 3  # what a broker of 3.1.1 does when two clients have one id


@dataclass(slots=True)
class _TagState:
    """What is known of one tag."""

    last: Point | None = None
    last_good_ns: int | None = None
    raw: str = ""
    fault: Fault = Fault.NO_DATA
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MqttKeep:
    """What outlives the process, beside the outbox."""

    shelf: RejectedShelf
    sessions: SessionTopics
    own_id: Callable[[], str]
    """What tells our client ids from those of another system with the same plant.yaml."""

    @classmethod
    def in_folder(cls, folder: Path) -> MqttKeep:
        sessions = SessionTopics(folder / "sessions.json")
        return cls(RejectedShelf(folder / "rejected.sqlite"), sessions, cache(partial(id_of, folder / "mqtt-id")))


async def _to_the_end(step: Coroutine[Any, Any, None]) -> None:
    """Lets the step finish when we are cancelled: what is committed is also acknowledged. Cancelled twice, it goes."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class MqttSource:
    """One broker with the tags that are read from it. `alive`: machines that say themselves whether they are there."""

    def __init__(
        self,
        name: str,
        config: MqttSessionFields,
        tags: Sequence[Tag],
        client_id: str,
        clock: Clock,
        *,
        alive: Mapping[str, AliveConfig] | None = None,
        keep: MqttKeep | None = None,
    ) -> None:
        self.name = name
        self._config, self._client_id, self._clock = config, client_id, clock
        self._shelf = keep.shelf if keep is not None else None
        self._sessions = keep.sessions if keep is not None else None
        routes = [(tag.topic, TagReader(tag)) for tag in tags if tag.topic is not None]
        life = [(section.topic, AliveReader(machine, section)) for machine, section in (alive or {}).items()]
        self._router, self._alive_router = Router(routes), Router(life)
        self._filters = fewest([topic for topic, _ in routes] + [topic for topic, _ in life]) if routes else []
        self._tags = {tag.id: _TagState() for tag in tags}
        self._machine_of = {tag.id: tag.machine for tag in tags}
        self._gone: set[str] = set()  # machines that say that they are offline
        self._link, self._since_ns = Link.STOPPED, clock()
        self._ended: Ended | None = None
        self._messages = 0
        self._last_good_ns: int | None = None
        self._errors: Counter[Fault] = Counter()
        self._unacknowledged: dict[int, tuple[str, bytes]] = {}  # committed, but the broker does not know
        self._short = 0  # connections in a row that the broker soon ended
        self._backoff = Backoff()
        self._version = VersionChoice(config, client_id)
        self._protocol = ""
        self._current: Subscription | None = None
        self._set_aside: list[Rejected] = []  # of the messages that are being stored
        self._ask_dropped = True
        self._dropped, self._dropped_told = 0, False

    async def run(self, emit: Emit) -> None:
        if not self._filters:
            return
        self._set_link(Link.CONNECTING)
        try:
            while True:
                ended = await self._connected(emit)
                if ended.wrong_version:
                    self._version.refused()
                self._note(ended)
                await emit_any(emit, self._lose(self._tags, ended.fault, ended.detail))
                await asyncio.sleep(self._backoff.next())
        finally:
            # Whoever reads later must not take the last values for true while nobody was listening.
            self._set_link(Link.STOPPED)
            await emit_any(emit, self._lose(self._tags, Fault.NONE, ""))

    async def _connected(self, emit: Emit) -> Ended:
        """One connection from its beginning to its end."""
        version = await self._version.find()
        if isinstance(version, Ended):
            return version
        connection = self._current = self._connection(version)
        try:
            await connection.open()
            return await self._receive(connection, emit)
        finally:
            self._current = None
            await connection.close()

    def _connection(self, version: MQTTProtocolVersion) -> Subscription:
        self._protocol = NAMES[version]
        held: frozenset[str] = frozenset()
        if self._sessions is not None:
            held = self._sessions.recall(self._session)
            self._sessions.keep(self._session, held.union(self._filters))
        on_dropped = self._drops if self._ask_dropped else None
        return Subscription(
            self._config, self._client_id, version, self._clock, self._filters, held, on_dropped=on_dropped
        )

    @property
    def _session(self) -> str:
        return f"{self._client_id} at {self._config.host}:{self._config.port}"

    async def _receive(self, connection: Subscription, emit: Emit) -> Ended:
        """Takes messages until the connection is over and its messages are stored; gives why it is over."""
        subscribed = asyncio.ensure_future(connection.subscribed.wait())
        subscribed.add_done_callback(self._subscribed)
        next_message: asyncio.Future[Received] | None = None
        try:
            while True:
                next_message = asyncio.ensure_future(connection.inbox.get())
                either: set[asyncio.Future[Any]] = {next_message, connection.ended}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not next_message.done():
                    break
                group = [next_message.result()]
                while len(group) < _MAX_AT_ONCE and not connection.inbox.empty():
                    group.append(connection.inbox.get_nowait())
                await _to_the_end(self._store(connection, group, emit))
        finally:
            subscribed.cancel()
            if next_message is not None:
                next_message.cancel()
        if connection.asking_dropped:  # a broker that hangs up when asked for its counters is not asked again
            self._ask_dropped = False
        return connection.ended.result()

    async def _store(self, connection: Subscription, group: Sequence[Received], emit: Emit) -> None:
        points: list[Point] = []
        for received in group:
            if not self._seen(received):
                points += self._read(received.message)
        await emit_any(emit, points)
        if self._set_aside and self._shelf is not None:
            await asyncio.to_thread(self._shelf.add, self.name, self._set_aside)
        self._set_aside = []
        for received in group:
            if connection.acknowledge(received):
                self._unacknowledged.pop(received.mid, None)
            else:
                self._unacknowledged[received.mid] = (received.message.topic, received.message.payload)

    def _seen(self, received: Received) -> bool:
        """A repetition of a message whose points are stored already."""
        known = self._unacknowledged.get(received.mid)
        return received.dup and known == (received.message.topic, received.message.payload)

    def _read(self, message: Message) -> list[Point]:
        points = [point for reader in self._alive_router.find(message.topic) for point in self._alive(reader, message)]
        readers = self._router.find(message.topic)
        if not readers:
            return points  # an old subscription of the session, or a broker that sends what nobody asked for
        self._messages += 1
        try:
            found = read_message(readers, message)
        except Exception as error:  # a message that is our undoing would come again for ever
            log.exception("%s: a message on %s cannot be read", self.name, message.topic)
            bad = Outcome((), f"{type(error).__name__}: {error}")
            found = [(reader, bad.failed(reader.tag.id, message.arrived_ns)) for reader in readers]
        for reader, outcome in found:
            if message.retained and reader.tag.machine in self._gone:
                continue  # the last words of a machine that is offline
            self._remember(reader.tag.id, message, outcome)
            points += outcome.points
        self._reject(message, [outcome for _, outcome in found])
        return points

    def _reject(self, message: Message, outcomes: Iterable[Outcome]) -> None:
        """Sets the message aside when a tag could not read it. A key that is missing is no such reason."""
        for outcome in outcomes:
            if any(point.quality is Quality.BAD_DECODE for point in outcome.points):
                aside = rejected(message.arrived_ns, message.topic, message.payload, outcome.problem)
                self._set_aside.append(aside)
                return

    def _alive(self, reader: AliveReader, message: Message) -> list[Point]:
        """What a machine says of itself: when it is gone, nothing is known of its tags."""
        online = reader.read(message)
        if online is None:
            reason = f"neither online nor offline: {message.excerpt}"
            self._set_aside.append(rejected(message.arrived_ns, message.topic, message.payload, reason))
            return []
        if online:
            self._gone.discard(reader.machine)
            return []
        self._gone.add(reader.machine)
        tags = [tag for tag, machine in self._machine_of.items() if machine == reader.machine]
        return self._lose(tags, Fault.LOST, f"{message.topic} says {message.excerpt}")

    def _remember(self, tag: str, message: Message, outcome: Outcome) -> None:
        state = self._tags[tag]
        state.raw = message.excerpt
        state.fault = Fault.DECODE if outcome.problem else Fault.NONE
        state.detail = outcome.problem
        if outcome.problem:
            self._errors[Fault.DECODE] += 1
        for point in outcome.points:
            state.last = point
            if point.quality >= Quality.UNCERTAIN:
                state.last_good_ns = point.time_ns
                self._last_good_ns = max(self._last_good_ns or 0, point.time_ns)

    def _subscribed(self, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        self._backoff.reset()
        if self._sessions is not None:
            self._sessions.keep(self._session, self._filters)
        if self._ended is not None:
            log.info("%s: connected again", self.name)
        self._ended = None
        self._set_link(Link.CONNECTED)

    def _drops(self, count: int) -> None:
        self._dropped = count
        if count and not self._dropped_told:
            self._dropped_told = True
            log.warning("%s: %s", self.name, _dropped_words(count))

    def _note(self, ended: Ended) -> None:
        was_short = self._link is Link.CONNECTED and self._clock() - self._since_ns < _SHORT_NS
        self._short = self._short + 1 if was_short and ended.fault is Fault.LOST else 0
        if self._short >= _OFTEN and not ended.taken_over:
            ended = replace(ended, detail=f"{ended.detail}; {self._short} times in a row: {same_id(self._client_id)}")
        if self._ended is None or self._ended.fault is not ended.fault:
            log.warning("%s: %s (%s)", self.name, ended.fault, ended.detail)
        self._ended = ended
        self._errors[ended.fault] += 1
        self._set_link(Link.DISCONNECTED)

    def _lose(self, tags: Iterable[str], fault: Fault, detail: str) -> list[Point]:
        """Nothing is known of these tags from now on; told once."""
        now = self._clock()
        points = []
        for tag in tags:
            state = self._tags[tag]
            state.fault, state.detail = fault, detail
            if state.last is None or state.last.quality is not Quality.BAD_NOT_CONNECTED:
                after_last = state.last.time_ns + _MILLISECOND if state.last is not None else now
                state.last = Point(tag, max(now, after_last), None, Quality.BAD_NOT_CONNECTED)
                points.append(state.last)
        return points

    def _set_link(self, link: Link) -> None:
        if link is not self._link:
            self._link, self._since_ns = link, self._clock()

    def _say(self) -> tuple[Fault, str]:
        """What there is to say of the source as a whole."""
        if self._ended is not None:
            return self._ended.fault, self._ended.detail
        if self._link is Link.CONNECTED and not self._messages:
            return Fault.NO_DATA, ""
        return Fault.NONE, _dropped_words(self._dropped) if self._dropped else ""

    def status(self) -> SourceStatus:
        fault, detail = self._say()
        return SourceStatus(
            name=self.name,
            kind=self._config.type,
            endpoint=f"{self._config.host}:{self._config.port}",
            link=self._link,
            since_ns=self._since_ns,
            fault=fault,
            detail=detail,
            last_good_ns=self._last_good_ns,
            reads=self._messages,
            errors=dict(self._errors),
            tags=tuple(
                TagStatus(tag, state.last, state.last_good_ns, state.raw, state.fault, state.detail)
                for tag, state in self._tags.items()
            ),
            protocol=self._protocol,
            rejected=self._shelf.count(self.name) if self._shelf is not None else 0,
            broker_dropped=self._dropped,
        )


async def emit_any(emit: Emit, points: Sequence[Point]) -> None:
    if points:
        await emit(PointBatch.of(points))


def _dropped_words(count: int) -> str:
    return f"the broker has thrown {count} messages away (all clients): its queue was full; raise max_queued_messages"
