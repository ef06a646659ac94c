"""Publishes every point to a broker, QoS 1, and is done with it when the broker has acknowledged it.

At least once: what was under way when a connection broke is published again, in order, under its old time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.mqtt_link import NAMES, BrokerLink, Ended, VersionChoice, Will
from gateway.outputs.namespace import Namespace, Publication
from gateway.schedule import Backoff
from plant.clock import Clock
from plant.config import MqttOutput as MqttOutputConfig
from plant.config import PlantConfig
from plant.connections import Fault, Link, OutboxStatus, OutputStatus
from plant.errors import ResourceError
from plant.points import PointBatch

log = logging.getLogger(__name__)

_WINDOW = 200
"""Messages under way at once; fewer when the broker says so."""
_PATIENCE_S = 10.0


class _Publishing(BrokerLink):
    """One connection that publishes."""

    def __init__(self, config: MqttOutputConfig, client_id: str, version: MQTTProtocolVersion, will: Will) -> None:
        super().__init__(config, client_id, version, will=will)
        self._window = _WINDOW
        self._waiting: set[int] = set()
        self._all_there = asyncio.Event()
        self.refused = 0  # messages that the broker did not want, mostly for want of a right to the topic
        self.client.max_inflight_messages_set(_WINDOW + 1)  # and the birth
        self.client.on_publish = self._on_publish

    async def publish(self, messages: Sequence[Publication]) -> None:
        """Returns when the broker has all of them. Raises ResourceError when the connection ends before."""
        for start in range(0, len(messages), self._window):
            some = messages[start : start + self._window]
            self._all_there.clear()
            for message in some:
                info = self.client.publish(message.topic, message.payload, qos=1, retain=message.retain)
                if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    raise ResourceError(f"The broker is not connected: {paho.error_string(info.rc)}")
                self._waiting.add(info.mid)
            await self._settled()

    async def _settled(self) -> None:
        there = asyncio.ensure_future(self._all_there.wait())
        either: set[asyncio.Future[Any]] = {there, self.ended}
        try:
            await asyncio.wait(either, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if not there.done():
                self._end(Ended(Fault.TIMEOUT, f"no acknowledgement for {_PATIENCE_S:g} s"))
                raise ResourceError(f"The broker did not take the points: {self.ended.result().detail}.")
        finally:
            there.cancel()

    def _accepted(self, flags: paho.ConnectFlags, properties: Properties | None) -> None:
        allowed = getattr(properties, "ReceiveMaximum", None)
        if allowed is not None:
            self._window = max(1, min(_WINDOW, int(allowed) - 1))

    def _on_publish(
        self, _client: object, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._in_loop(self._published, mid, reason.is_failure)

    def _published(self, mid: int, refused: bool) -> None:  # noqa: FBT001 — call_soon takes no keywords
        if mid not in self._waiting:
            return  # the birth
        self._waiting.discard(mid)
        self.refused += refused
        if not self._waiting:
            self._all_there.set()


class MqttOutput:
    """One broker that gets every point."""

    def __init__(self, name: str, config: MqttOutputConfig, plant: PlantConfig, clock: Clock, own_id: str) -> None:
        self.name, self._config, self._clock = name, config, clock
        section = plant.plant
        self._client_id = config.client_id or f"testbed-{section.enterprise}-{section.site}-{name}-{own_id}-out"
        self._will = Will(f"{config.prefix}/{section.enterprise}/{section.site}/_status/{self._client_id}")
        self._namespace = Namespace(plant, config)
        self._version = VersionChoice(config, self._client_id)
        self._current: _Publishing | None = None
        self._ended: Ended | None = None
        self._link, self._since_ns = Link.STOPPED, clock()
        self._protocol, self._refused, self._crash = "", 0, ""

    def apply(self, plant: PlantConfig) -> None:
        """The tags have changed."""
        self._namespace.apply(plant)

    async def run(self) -> None:
        """Keeps a connection until cancelled."""
        backoff = Backoff()
        self._set_link(Link.CONNECTING)
        try:
            while True:
                ended = await self._connected(backoff)
                if ended.wrong_version:
                    self._version.refused()
                if self._ended is None or self._ended.fault is not ended.fault:
                    log.warning("output %s: %s (%s)", self.name, ended.fault, ended.detail)
                self._ended = ended
                self._set_link(Link.DISCONNECTED)
                await asyncio.sleep(backoff.next())
        finally:
            self._set_link(Link.STOPPED)

    async def take(self, batch: PointBatch) -> None:
        """Publishes the points. Raises ResourceError while the broker is away."""
        if self._current is None:
            raise ResourceError(f"The broker {self._endpoint} is not connected.")
        before = self._current.refused
        connection = self._current
        await connection.publish(list(self._namespace.messages(batch)))
        if connection.refused > before and not self._refused:
            log.warning("output %s: the broker refuses messages; may this user write there?", self.name)
        self._refused += connection.refused - before

    def status(self, waiting: OutboxStatus) -> OutputStatus:
        """How it goes; `waiting` is what the outbox says of it."""
        fault, detail = (self._ended.fault, self._ended.detail) if self._ended else (Fault.NONE, "")
        if self._crash:
            fault, detail = Fault.INTERNAL, self._crash
        elif not fault and self._refused:
            fault, detail = Fault.NOT_AUTHORISED, f"the broker refused {self._refused} messages"
        return OutputStatus(
            name=self.name,
            kind=self._config.type,
            endpoint=self._endpoint,
            link=self._link,
            since_ns=self._since_ns,
            waiting_points=waiting.points,
            oldest_ns=waiting.oldest_ns,
            dropped_points=waiting.dropped_points,
            published_points=waiting.forwarded_points,
            fault=fault,
            detail=detail,
            protocol=self._protocol,
        )

    def crashed(self, detail: str) -> None:
        """A fault of ours; an empty text: it runs again."""
        self._crash = detail

    @property
    def _endpoint(self) -> str:
        return f"{self._config.host}:{self._config.port}"

    async def _connected(self, backoff: Backoff) -> Ended:
        """One connection from its beginning to its end."""
        version = await self._version.find()
        if isinstance(version, Ended):
            return version
        connection = _Publishing(self._config, self._client_id, version, self._will)
        try:
            await connection.open()
            either: set[asyncio.Future[Any]] = {connection.accepted, connection.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if connection.accepted.done():
                backoff.reset()
                self._protocol, self._ended = NAMES[version], None
                self._namespace.born()
                self._current = connection
                self._set_link(Link.CONNECTED)
            return await asyncio.shield(connection.ended)  # cancelled, it is still open: it says goodbye
        finally:
            self._current = None
            await connection.close()

    def _set_link(self, link: Link) -> None:
        if link is not self._link:
            self._link, self._since_ns = link, self._clock()
