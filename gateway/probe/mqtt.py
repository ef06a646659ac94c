"""Listening to a broker: subscribes, publishes nothing, leaves no session behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.payload import Message
from plant.clock import Clock, system_clock
from plant.errors import ConnectionLostError, DeviceError, UserInputError

_CONNECT_S = 5.0
_DENIED = (134, 135)
_WAITING = 20_000
"""Messages that wait to be looked at; what comes beyond that is counted, not kept."""


@dataclass(frozen=True, slots=True)
class Login:
    """User and password; the password comes from the environment."""

    user: str | None = None
    password: str | None = None


class BrokerProbe:
    """A subscription that lasts as long as its `async with`. Entering raises when the broker cannot be listened to."""

    def __init__(self, host: str, port: int, pattern: str, login: Login, clock: Clock = system_clock) -> None:
        self.endpoint, self.pattern = f"{host}:{port}", pattern
        self.missed = 0
        self._target, self._login, self._clock = (host, port), login, clock
        self._ended = ""
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, reconnect_on_failure=False)
        self._client.connect_timeout = _CONNECT_S
        self._client.suppress_exceptions = True
        if login.user is not None:
            self._client.username_pw_set(login.user, login.password)

    async def __aenter__(self) -> BrokerProbe:
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[ReasonCode] = loop.create_future()
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue(_WAITING)
        self._wire(loop)
        try:
            await asyncio.to_thread(self._client.connect, *self._target, 20)
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            raise ConnectionLostError(
                f"No connection to {self.endpoint}: {error}.",
                next_step="Nobody listens there: is the broker running, is it the right port (1883; with TLS 8883)?"
                if refused
                else "Check the address, the cable and the firewall.",
            ) from None
        self._client.loop_start()
        try:
            await self._subscribed()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def listen(self, seconds: float, hear: Callable[[Message], None]) -> None:
        """Gives every message to `hear`. Raises ConnectionLostError when the broker hangs up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (message := await self._inbox.get()) is not None:
                    hear(message)
                raise ConnectionLostError(
                    f"{self.endpoint} ended the connection: {self._ended}.",
                    next_step="Is another client connected under the same name, or may this user not read here?",
                )

    async def _subscribed(self) -> None:
        try:
            reason = await asyncio.wait_for(self._answer, _CONNECT_S)
        except TimeoutError:
            raise DeviceError(
                f"{self.endpoint} listens, but does not answer in MQTT.",
                next_step="Is it another service's port, or one with TLS?",
            ) from None
        if not reason.is_failure:
            return
        if reason.value in _DENIED:
            raise UserInputError(
                f"The broker at {self.endpoint} refuses this user: {reason}.",
                next_step="Give --user NAME, and its password in the environment: MQTT_PASSWORD=… testbed probe mqtt …",
            )
        raise DeviceError(
            f"The broker at {self.endpoint} refuses “{self.pattern}”: {reason}.",
            next_step="Ask for a topic that this user may read: --topic 'hall/#'.",
        )

    async def _close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _wire(self, loop: asyncio.AbstractEventLoop) -> None:
        """paho's callbacks, which run in its thread, into the event loop."""

        def answered(reason: ReasonCode) -> None:
            if not self._answer.done():
                self._answer.set_result(reason)

        def put(message: Message | None) -> None:
            try:
                self._inbox.put_nowait(message)
            except asyncio.QueueFull:
                self.missed += 1

        def in_loop(function: Callable[..., None], argument: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
                loop.call_soon_threadsafe(function, argument)

        def on_connect(_c: paho.Client, _d: object, _f: object, reason: ReasonCode, _p: Properties | None) -> None:
            if reason.is_failure:
                in_loop(answered, reason)
            else:
                self._client.subscribe(self.pattern, 0)

        def on_subscribe(_c: object, _d: object, _m: int, reasons: list[ReasonCode], _p: Properties | None) -> None:
            in_loop(answered, reasons[0])

        def on_message(_c: object, _d: object, message: paho.MQTTMessage) -> None:
            # amqtt hands out retained messages of topics that nobody asked for
            if topic_matches_sub(self.pattern, message.topic):
                in_loop(put, Message(message.topic, bytes(message.payload), self._clock(), message.retain))

        def on_disconnect(_c: object, _d: object, _f: object, reason: ReasonCode, _p: Properties | None) -> None:
            self._ended = str(reason)
            in_loop(put, None)
            in_loop(answered, reason)

        self._client.on_connect, self._client.on_subscribe = on_connect, on_subscribe
        self._client.on_message, self._client.on_disconnect = on_message, on_disconnect
