"""Sparkplug B over MQTT: an MQTT source whose messages name metrics instead of carrying JSON.

The one thing it ever publishes, besides its own status, is the request to be born again.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from typing import Any

from gateway.payload import Message
from gateway.rejected import rejected
from gateway.sources.mqtt import MqttKeep, MqttSource
from gateway.sparkplug.group import NAMESPACE, Group, rebirth_request
from plant.clock import SECOND, Clock
from plant.config import SparkplugSource as SparkplugConfig
from plant.connections import Fault
from plant.errors import DecodeError
from plant.points import Point
from plant.tags import Tag

_AGAIN_NS = 5 * SECOND
"""A node is not asked more often than this: its birth takes a while."""


class SparkplugSource(MqttSource):
    """One group of nodes at one broker."""

    def __init__(
        self,
        name: str,
        config: SparkplugConfig,
        tags: Sequence[Tag],
        client_id: str,
        clock: Clock,
        *,
        keep: MqttKeep | None = None,
    ) -> None:
        super().__init__(name, config, tags, client_id, clock, keep=keep)
        self._base = f"{NAMESPACE}/{config.group}"
        self._group = Group(tags)
        self._filters = [
            f"{self._base}/{kind}/{node}{rest}" for node in self._group.node_names for kind, rest in _KINDS
        ]
        self._asked_ns: dict[str, int] = {}

    def _subscribed(self, done: Future[Any]) -> None:
        super()._subscribed(done)
        if done.cancelled():
            return
        self._group.forget()
        self._asked_ns.clear()
        for node in self._group.node_names:
            self._ask(node)

    def _read(self, message: Message) -> list[Point]:
        try:
            readings = self._group.read(message)
        except DecodeError as error:
            self._messages += 1
            self._errors[Fault.DECODE] += 1
            self._set_aside.append(rejected(message.arrived_ns, message.topic, message.payload, str(error)))
            return []
        if readings is None:
            return []
        self._messages += 1
        points = self._lose(readings.lost, Fault.LOST, readings.why_lost)
        for reader, outcome in readings.outcomes:
            self._remember(reader.tag.id, message, outcome)
            points += outcome.points
        self._reject(message, [outcome for _, outcome in readings.outcomes])
        if readings.rebirth is not None:
            self._ask(readings.rebirth)
        return points

    def _ask(self, node: str) -> None:
        """Asks the node for a birth, now and then."""
        now = self._clock()
        if now - self._asked_ns.get(node, now - _AGAIN_NS) >= _AGAIN_NS and self._current is not None:
            self._asked_ns[node] = now
            self._current.client.publish(f"{self._base}/NCMD/{node}", rebirth_request(now), qos=0)


_KINDS = (
    ("NBIRTH", ""), ("NDATA", ""), ("NDEATH", ""), ("DBIRTH", "/+"), ("DDATA", "/+"), ("DDEATH", "/+"),
)  # fmt: skip
