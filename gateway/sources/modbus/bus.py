"""A bus: the one connection that all sources of an endpoint share. One request at a time, first come first served."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar
from weakref import WeakValueDictionary

from gateway.blocks import Block
from gateway.schedule import Backoff
from gateway.sources.modbus.breaker import Breaker
from gateway.sources.modbus.connection import Connection, Endpoint
from gateway.sources.modbus.replies import Failure, lost, no_answer
from plant.config import AnyModbusSource

log = logging.getLogger(__name__)
T = TypeVar("T")

_TIMEOUTS_BEFORE_RECONNECT = 3
"""A device that restarted may leave a dead link behind, on which every request times out."""


@dataclass(frozen=True, slots=True)
class Member:
    """One source on the bus: which unit it asks, how long it waits, how often it polls at most."""

    unit: int
    timeout_s: float
    poll_s: float


class Bus:
    """Opens its connection when a member asks, opens it again after a loss, closes it when the last member leaves.

    Waiting requests are served in the order in which they came, so no unit is asked twice while another waits.
    """

    def __init__(self, endpoint: Endpoint, random: Random | None = None) -> None:
        self.endpoint = endpoint
        self._random = random or Random()
        self._lock = asyncio.Lock()
        self.round_trip_ms = 0.0  # of the last answer, without the wait for the turn
        self._members: list[Member] = []
        self._connection: Connection | None = None
        self._not_open: Failure = lost("not connected yet")
        self._retry_at = 0.0
        self._backoff = Backoff(random=self._random)
        self._silence_in_a_row = 0
        self._breakers: dict[int, Breaker] = {}
        self._answered_at: dict[int, float] = {}

    @contextmanager
    def joined(self, member: Member) -> Iterator[None]:
        """While the source polls."""
        self._members.append(member)
        try:
            yield
        finally:
            self._members.remove(member)
            if member.unit not in {other.unit for other in self._members}:
                self._breakers.pop(member.unit, None)
                self._answered_at.pop(member.unit, None)
            if not self._members:
                self._drop()
                self._retry_at, self._silence_in_a_row = 0.0, 0
                self._backoff.reset()

    async def read(self, member: Member, block: Block) -> list[int] | list[bool] | Failure:
        """The block's registers or bits, or why not."""
        return await self.ask(member, lambda connection: connection.read(block, member.timeout_s))

    async def ask(self, member: Member, question: Callable[[Connection], Awaitable[T | Failure]]) -> T | Failure:
        """The answer to one question, asked when it is its turn. Returns at once for a unit known to be dead."""
        breaker = self._breakers.setdefault(member.unit, Breaker(self._random))
        async with self._lock:
            if not self._members:
                return lost("the source is stopped")
            asked = time.monotonic()
            if wait_s := breaker.wait_s(asked):
                return replace(no_answer(f"no answer for some time; asked again in {wait_s:.0f} s"), asked=False)
            connection = await self._opened(member)
            if isinstance(connection, Failure):
                return connection
            asked = time.monotonic()
            try:
                answer = await question(connection)
                self.round_trip_ms = (time.monotonic() - asked) * 1e3
            except asyncio.CancelledError:
                if self.endpoint.is_rtu:  # its reply is still on the way
                    self._drop()
                raise
            await self._judge(member, breaker, asked, answer)
            return answer

    async def _opened(self, member: Member) -> Connection | Failure:
        now = time.monotonic()
        if self._connection is not None:
            return self._connection
        if now < self._retry_at:
            return replace(self._not_open, asked=False)
        connection = Connection(self.endpoint, member.timeout_s)
        try:
            failure = await connection.open()
        except asyncio.CancelledError:
            connection.close()
            raise
        if failure is None:
            self._connection = connection
            return connection
        connection.close()
        self._not_open = failure
        self._later()
        return failure

    async def _judge(self, member: Member, breaker: Breaker, asked: float, answer: object) -> None:
        """What an answer, or its lack, says of the unit and of the link."""
        failure = answer if isinstance(answer, Failure) else None
        if failure is None or not (failure.silent or failure.unconnected):
            breaker.answered()
            self._answered_at[member.unit] = time.monotonic()
        if failure is None or failure.code:
            self._silence_in_a_row = 0
            self._backoff.reset()
        if failure is None:
            return
        timed_out = failure.silent and not failure.code
        self._silence_in_a_row += timed_out
        if failure.link_lost or self._silence_in_a_row >= _TIMEOUTS_BEFORE_RECONNECT:
            self._silence_in_a_row = 0
            self._drop()
            if failure.unconnected:
                self._not_open = failure
                self._later()
            elif self.endpoint.is_rtu:
                await self._reopen_quietly(member)
        if failure.silent:
            others = max((at for unit, at in self._answered_at.items() if unit != member.unit), default=0.0)
            breaker.silent(asked, time.monotonic(), others)

    async def _reopen_quietly(self, member: Member) -> None:
        """A late reply may still come along the line: nothing is asked before that time is over."""
        connection = await self._opened(member)
        if isinstance(connection, Connection):
            try:
                await connection.quiet(member.timeout_s)
            except asyncio.CancelledError:
                self._drop()
                raise

    def _later(self) -> None:
        """The next try comes no later than the next poll but one."""
        shortest_s = min((member.poll_s for member in self._members), default=1.0)
        self._retry_at = time.monotonic() + min(self._backoff.next(), max(0.05, shortest_s))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Buses:
    """The buses in use, one per endpoint."""

    def __init__(self) -> None:
        self._buses: WeakValueDictionary[Endpoint, Bus] = WeakValueDictionary()

    def of(self, source: AnyModbusSource) -> Bus:
        """The bus of the source's endpoint. It lives as long as a source holds it."""
        endpoint = Endpoint.of(source)
        bus = self._buses.get(endpoint)
        if bus is None:
            bus = self._buses[endpoint] = Bus(endpoint)
        return bus
