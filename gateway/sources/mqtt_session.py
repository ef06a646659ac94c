"""One subscribed connection to a broker: messages into a bounded queue, acknowledged by hand.

With MQTT 5 the broker sends at most `receive_maximum` messages before the first is acknowledged: that is the bound of
the queue (mosquitto 2.0.11 sends more once acknowledgements flow: its issue 2301). Beyond `_MAX_WAITING`, which only
such a broker, 3.1.1 and QoS 0 reach, the network thread waits, and with it the broker.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.mqtt_link import BrokerLink, Ended, Will
from gateway.payload import Message
from plant.clock import Clock
from plant.config import MqttSessionFields
from plant.connections import Fault

_MAX_WAITING = 10_000
_SETTLE_S = 1.0
_BURST_S = 0.05
_BACKLOG_S = 60.0
_DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
"""mosquitto's own count of messages that it threw away because a queue was full."""


class Backlog:
    """Tells what a broker kept for us while we were away from what is published now; MQTT itself does not.

    A broker that has kept our session sends what waits in it at once, one message right after the other. So whatever
    comes within 1 s of being let in, or within 1 s of the last message that came at such speed (50 ms after the one
    before), may have waited; after a minute nothing does, or a busy plant would never be believed again. Live messages
    among them are taken for older than they are, which is the harmless mistake. Times: s of a monotonic clock.
    """

    def __init__(self) -> None:
        self._ends_s = self._at_most_s = self._last_s = float("-inf")

    def begins(self, now_s: float) -> None:
        """The broker let us in and knew our session."""
        self._ends_s, self._at_most_s, self._last_s = now_s + _SETTLE_S, now_s + _BACKLOG_S, now_s

    def holds(self, now_s: float) -> bool:
        """Whether a message that comes now may have waited."""
        held = now_s < min(self._ends_s, self._at_most_s)
        if held and now_s - self._last_s < _BURST_S:
            self._ends_s = now_s + _SETTLE_S
        return held

    def taken(self, now_s: float) -> None:
        """The message is handed over. When that took long, the next one is late through no fault of the broker."""
        self._last_s = now_s


@dataclass(frozen=True, slots=True)
class Received:
    """A message with what is needed to acknowledge it."""

    message: Message
    mid: int
    qos: int
    dup: bool


class Subscription(BrokerLink):
    """`filters`: what to receive; `held`: what the broker's session may hold from before.

    `on_dropped` is told, in the event loop, how many messages the broker threw away since it was first asked.
    """

    def __init__(
        self,
        config: MqttSessionFields,
        client_id: str,
        version: MQTTProtocolVersion,
        clock: Clock,
        filters: Sequence[str],
        held: Collection[str] = (),
        *,
        on_dropped: Callable[[int], None] | None = None,
    ) -> None:
        topic = f"testbed/{client_id}/status" if config.status_topic is None else config.status_topic
        super().__init__(
            config,
            client_id,
            version,
            will=Will(topic) if topic else None,
            session_expiry_s=config.session_expiry_s,
            receive_maximum=config.receive_maximum,
        )
        self.inbox: asyncio.Queue[Received] = asyncio.Queue()
        self.subscribed = asyncio.Event()
        self.asking_dropped = False  # asked the broker for its counter, no answer yet
        self._dropped_before: int | None = None
        self._filters, self._clock = tuple(filters), clock
        self._stale = sorted(set(held) - set(filters))
        self._on_dropped = on_dropped
        self._subscribe_mid: int | None = None
        self._free = threading.Semaphore(_MAX_WAITING)
        self._closing = threading.Event()
        self._backlog = Backlog()
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message

    async def close(self) -> None:
        self._closing.set()
        await super().close()

    def acknowledge(self, received: Received) -> bool:
        """False when the connection is gone: the broker will send the message again."""
        self._free.release()
        if received.qos == 0:
            return True
        return not self.ended.done() and self.client.ack(received.mid, received.qos) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _accepted(self, flags: paho.ConnectFlags, properties: Properties | None) -> None:
        if flags.session_present:
            self._backlog.begins(time.monotonic())
        if self._stale and flags.session_present:
            self.client.unsubscribe(self._stale)  # before the next line, so its answer says that both are done
        _, self._subscribe_mid = self.client.subscribe([(pattern, 1) for pattern in self._filters])

    def _on_subscribe(
        self, client: paho.Client, _data: object, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if mid != self._subscribe_mid:
            self.asking_dropped = False
            return
        refused = [f for f, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if refused:
            ended = Ended(Fault.NOT_AUTHORISED, f"the broker refuses the topic {', '.join(refused)}")
            self._in_loop(self._end, ended)
            return
        self._in_loop(self.subscribed.set)
        if self._on_dropped is not None:
            self.asking_dropped = True
            client.subscribe(_DROPPED_TOPIC, 0)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        arrived_ns = self._clock()
        try:
            topic = message.topic
        except UnicodeDecodeError:  # without an acknowledgement it would take a place in the window for ever
            self.client.ack(message.mid, message.qos)
            return
        if topic == _DROPPED_TOPIC and _DROPPED_TOPIC not in self._filters:
            self._count_dropped(bytes(message.payload))
            return
        queued = self._backlog.holds(time.monotonic())
        while not self._free.acquire(timeout=0.2):
            if self._closing.is_set():
                return
        self._backlog.taken(time.monotonic())
        content = Message(topic, bytes(message.payload), arrived_ns, message.retain, queued)
        self._in_loop(self.inbox.put_nowait, Received(content, message.mid, message.qos, message.dup))

    def _count_dropped(self, payload: bytes) -> None:
        if payload.isdigit() and self._on_dropped is not None:
            count = int(payload)
            if self._dropped_before is None:
                self._dropped_before = count
            self._in_loop(self._on_dropped, max(0, count - self._dropped_before))
