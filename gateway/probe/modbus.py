"""The steps of a Modbus probe: units, ranges, limits, a window. Every one is bounded in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from gateway.probe.advice import Measured
from gateway.probe.device import Device
from gateway.probe.ranges import Span, find_pairs, find_spans, gaps, longest_read, merge
from gateway.sources.modbus.replies import Failure
from plant.connections import Fault
from plant.points import Quality
from plant.tags import Table

T = TypeVar("T")
_MOST = {True: 2000, False: 125}  # addresses per request: bits, registers
_TIMED_READS = 20

Progress = Callable[[str], None]


class Presence(StrEnum):
    """What came back from a unit id."""

    ANSWERS = "answers"  # with data, or that it lacks this function, address or number of them
    ERROR = "answers with an error"
    GATEWAY_PATH = "gateway: no path"  # exception 10
    GATEWAY_TARGET = "gateway: device silent"  # exception 11
    SILENT = "silent"
    WRONG = "wrong reply"


_PRESENCE = {
    Quality.BAD_MODBUS_ILLEGAL_FUNCTION: Presence.ANSWERS,
    Quality.BAD_MODBUS_ILLEGAL_ADDRESS: Presence.ANSWERS,
    Quality.BAD_MODBUS_ILLEGAL_VALUE: Presence.ANSWERS,
    Quality.BAD_MODBUS_GATEWAY_PATH: Presence.GATEWAY_PATH,
    Quality.BAD_MODBUS_GATEWAY_TARGET: Presence.GATEWAY_TARGET,
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit id with what it did when it was asked for one register."""

    number: int
    presence: Presence
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of one table of one unit. `complete`: False where the time was up before all was looked at."""

    unit: int
    table: Table
    spans: tuple[Span, ...]
    complete: bool
    detail: str = ""


async def scan_units(device: Device, numbers: Iterable[int], address: int) -> AsyncIterator[Unit]:
    """Asks each unit for one holding register, and a silent one for an input register too.

    Not on RTU: there every silence costs a new link and a wait for late replies.
    """
    for number in numbers:
        reply = await device.read(number, Table.HOLDING, Span(address, address + 1))
        if isinstance(reply, Failure) and reply.fault is Fault.TIMEOUT and not device.is_rtu:
            reply = await device.read(number, Table.INPUT, Span(address, address + 1))
        yield Unit(number, *_presence(reply))


def _presence(reply: Sequence[int] | Failure) -> tuple[Presence, str]:
    if not isinstance(reply, Failure):
        return Presence.ANSWERS, ""
    if reply.fault is Fault.MODBUS_EXCEPTION:
        return _PRESENCE.get(reply.quality, Presence.ERROR), reply.detail
    return Presence.SILENT if reply.fault in (Fault.TIMEOUT, Fault.LOST) else Presence.WRONG, reply.detail


async def scan_table(
    device: Device, unit: int, table: Table, whole: Span, budget_s: float, progress: Progress = lambda _: None
) -> Found:
    """Which addresses of the table can be read, in at most about `budget_s` seconds."""
    ask = _Asker(device, unit, table, time.monotonic() + budget_s, progress)
    spans = await ask.follow(find_spans(whole, _MOST[table.is_bits]))
    if spans is None and ask.no_function:
        return Found(unit, table, (), complete=True, detail="the device does not know this table (exception 1)")
    if not table.is_bits and not spans and not ask.timed_out:
        spans = await ask.follow(find_pairs([whole]))
    detail = f"silent at {ask.timed_out} requests" if ask.timed_out else ""
    return Found(unit, table, merge(ask.answered), complete=spans is not None, detail=detail)


async def measure(device: Device, found: Found) -> Measured | None:
    """How fast and how much at once the unit answers; None where nothing could be read."""
    if not found.spans:
        return None
    widest = max(found.spans, key=lambda span: span.count)
    most = _MOST[found.table.is_bits]
    ask = _Asker(device, found.unit, found.table, time.monotonic() + 20, lambda _: None)
    longest = await ask.follow(longest_read(widest, most))
    at_once = most if longest == widest.count else longest or 1  # the device may well answer more than it has there
    refused = await _gap_refused(device, found, at_once)
    times: list[float] = []
    span = Span(widest.start, widest.start + max(longest or 1, 1))
    until = time.monotonic() + 10
    while len(times) < _TIMED_READS and (not times or time.monotonic() < until):
        reply = await device.read(found.unit, found.table, span)
        if isinstance(reply, Failure):
            break
        times.append(device.round_trip_ms)
    if not times:
        return None
    return Measured(times, longest, min(widest.count, most), refused, len(found.spans))


async def _gap_refused(device: Device, found: Found, at_once: int) -> bool | None:
    """Whether a read across the smallest gap fails; None where there is none that a request could span."""
    for gap in gaps(found.spans):
        across = Span(gap.start - 1, gap.end + 1)
        if across.count <= at_once:
            return isinstance(await device.read(found.unit, found.table, across), Failure)
    return None


async def read_window(device: Device, unit: int, table: Table, span: Span, at_once: int) -> list[int] | None:
    """The registers of a window, in as many requests as the device needs; None where one is not answered."""
    registers: list[int] = []
    for start in range(span.start, span.end, at_once):
        reply = await device.read(unit, table, Span(start, min(start + at_once, span.end)))
        if isinstance(reply, Failure):
            return None
        registers += map(int, reply)
    return registers


async def watch(
    device: Device, unit: int, table: Table, span: Span, at_once: int, seconds: float, first: list[int]
) -> list[list[int]]:
    """The window again and again for so many seconds, at most five times a second; `first` is the row before."""
    rows = [first]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(min(max(0.2, seconds / 100), max(0.0, until - time.monotonic())))
        row = await read_window(device, unit, table, span, at_once)
        if row is not None:
            rows.append(row)
    return rows


class _Asker:
    """Carries out what a generator of `ranges` asks, until the time is up."""

    def __init__(self, device: Device, unit: int, table: Table, deadline: float, progress: Progress) -> None:
        self._device, self._unit, self._table = device, unit, table
        self._deadline, self._progress = deadline, progress
        self.answered: list[Span] = []
        self.no_function = False
        self.timed_out = 0

    async def follow(self, asking: Generator[Span, bool, T]) -> T | None:
        """What the generator returns; None when the time was up, or the table does not exist."""
        try:
            span = next(asking)
            while time.monotonic() < self._deadline and not self.no_function:
                span = asking.send(await self._read(span))
        except StopIteration as done:
            result: T = done.value
            return result
        return None

    async def _read(self, span: Span) -> bool:
        reply = await self._device.read(self._unit, self._table, span)
        self._progress(f"{self._table.value} {span}")
        if not isinstance(reply, Failure):
            self.answered.append(span)
            return True
        self.no_function = reply.quality is Quality.BAD_MODBUS_ILLEGAL_FUNCTION
        self.timed_out += reply.fault is Fault.TIMEOUT
        return False
