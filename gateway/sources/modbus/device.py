"""One device (unit) on a bus: polls its blocks at fixed rates, heals them, and says how it goes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.blocks import Block, Limits
from gateway.schedule import Schedule
from gateway.sources.base import Emit
from gateway.sources.modbus.bus import Bus, Member
from gateway.sources.modbus.healing import Healing, Refusal
from gateway.sources.modbus.replies import Failure
from gateway.sources.modbus.signals import Reading, Signals
from gateway.sources.modbus.writing import write_tag
from plant.clock import Clock
from plant.config import AnyModbusSource
from plant.connections import Fault, Link, SourceStatus
from plant.points import PointBatch
from plant.tags import Tag

log = logging.getLogger(__name__)

_DEAD_AFTER = 3
"""So many requests in a row without an answer: not one block but the whole unit is silent."""


class ModbusSource:
    """One unit with its tags. Sources of one endpoint share its bus."""

    def __init__(self, name: str, config: AnyModbusSource, tags: Sequence[Tag], clock: Clock, bus: Bus) -> None:
        self.name = name
        self._config, self._clock, self._bus = config, clock, bus
        limits = Limits(config.max_registers, config.max_bits, config.max_gap)
        self._healing = Healing(tags, limits, unit=config.unit, poll_s=config.poll_s)
        self._signals = Signals(tags)
        shortest_s = min((block.poll_s for block in self._healing.blocks), default=config.poll_s)
        self._member = Member(config.unit, config.timeout_s, shortest_s)
        self._schedule = Schedule()
        self._readings: dict[int, Reading] = {}  # by their key in the schedule
        self._link, self._since_ns = Link.STOPPED, clock()
        self._told: dict[str, Fault] = {}  # by place: what the log has been told
        self._last_good_ns: int | None = None
        self._round_trip_ms: float | None = None
        self._reads = 0
        self._overruns = 0
        self._errors: Counter[Fault] = Counter()
        self._silent_in_a_row = 0

    async def run(self, emit: Emit) -> None:
        if not self._healing.blocks:
            return
        self._set_link(Link.CONNECTING)
        self._schedule, self._readings = Schedule(), {}
        self._take_blocks(time.monotonic())
        try:
            with self._bus.joined(self._member):
                while True:
                    await self._turn(emit)
        finally:
            self._healing.interrupted()
            self._set_link(Link.STOPPED)

    async def _turn(self, emit: Emit) -> None:
        """Waits for the next read that is due, and does it."""
        key, due = self._schedule.next()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if self._healing.due(time.monotonic()):
            self._take_blocks(due)
            return
        reading = self._readings[key]
        reply = await self._bus.read(self._member, reading.block)
        time_ns = self._clock()  # fixed once, here, and kept all the way to the store
        now = time.monotonic()
        if isinstance(reply, Failure):
            batches = self._failed(key, reading, reply, time_ns, now, due)
        else:
            batches = [self._good(key, reading, reply, time_ns, now, due)]
        news = PointBatch.concat([batch for batch in batches if len(batch)])
        if len(news):
            await emit(news)

    def _good(
        self, key: int, reading: Reading, cells: Sequence[int] | Sequence[bool], time_ns: int, now: float, due: float
    ) -> PointBatch:
        self._silent_in_a_row = 0
        self._reads += 1
        self._last_good_ns, self._round_trip_ms = time_ns, self._bus.round_trip_ms
        if self._told.pop(_place(reading.block), None):
            log.info("%s: %s answers again", self.name, _place(reading.block))
        batch = self._signals.good(reading, cells, time_ns)
        self._overruns += self._schedule.done(key, now)
        if self._healing.answered(reading.block, now):
            self._take_blocks(due)
        self._set_link(Link.FAILING if self._signals.failure else Link.CONNECTED)
        return batch

    def _failed(
        self, key: int, reading: Reading, failure: Failure, time_ns: int, now: float, due: float
    ) -> Iterable[PointBatch]:
        self._count(failure)
        if not failure.refused:
            return self._not_read(key, reading, failure, time_ns, now, due)
        self._overruns += self._schedule.done(key, now)
        refusal = self._healing.refused(reading.block, now)
        if refusal is Refusal.DIVIDED:
            log.info("%s: %s: %s; read in parts", self.name, _place(reading.block), failure.detail)
            self._take_blocks(due)
            return []
        if refusal is Refusal.CONCLUDED:
            self._take_blocks(due)
        else:
            self._schedule.postpone(key, self._healing.retry_at(reading.block))
        self._set_link(Link.FAILING)
        return [self._tell(reading, failure, time_ns)]

    def _not_read(
        self, key: int, reading: Reading, failure: Failure, time_ns: int, now: float, due: float
    ) -> Iterable[PointBatch]:
        """Without a connection every tag of the device is lost; a unit that stays silent is lost as well."""
        dead = self._silent_in_a_row >= _DEAD_AFTER
        lost = list(self._readings.values()) if failure.unconnected or dead else [reading]
        self._set_link(Link.DISCONNECTED if failure.unconnected else Link.FAILING)
        batches = [self._tell(one, failure, time_ns) for one in lost]
        missed = self._schedule.done(key, now)
        if not (failure.unconnected or dead):
            self._overruns += missed
        self._healing.interrupted()
        self._take_blocks(due)
        if failure.unconnected:
            self._schedule.skip(now)
        return batches

    def _count(self, failure: Failure) -> None:
        self._reads += failure.fault in (Fault.MODBUS_EXCEPTION, Fault.WRONG_REPLY)
        self._silent_in_a_row = self._silent_in_a_row + 1 if failure.silent else 0
        if failure.asked:
            self._errors[failure.fault] += 1

    def _tell(self, reading: Reading, failure: Failure, time_ns: int) -> PointBatch:
        place = _place(reading.block)
        if failure.asked and self._told.get(place) is not failure.fault:
            self._told[place] = failure.fault
            log.warning("%s: %s: %s (%s)", self.name, place, failure.fault, failure.detail)
        alone = failure.refused and self._healing.is_alone(reading.block)
        detail = f"{failure.detail} at {_address(reading.block)}" if failure.refused else failure.detail
        if alone:
            detail += "; read alone, and later ever more rarely, until it answers"
        return self._signals.failed(reading, failure, detail, time_ns)

    def _take_blocks(self, due: float) -> None:
        """Takes over the blocks as they are now; a new one is due when the first of its tags was."""
        old = {reading.block.ids: key for key, reading in self._readings.items()}
        dues = {tag: self._schedule.due(key) for ids, key in old.items() for tag in ids}
        for block in self._healing.blocks:
            if old.pop(block.ids, None) is not None:
                continue
            first = due if self._healing.is_waiting(block) else min(dues.get(tag, due) for tag in block.ids)
            key = self._schedule.add(block.poll_s, first)
            self._schedule.postpone(key, self._healing.retry_at(block))
            self._readings[key] = Reading(block, self._signals.rows(block))
        for key in old.values():
            self._schedule.remove(key)
            del self._readings[key]

    async def write(self, tag: Tag, value: float) -> tuple[float | None, float]:
        """Writes one of its tags, if that is allowed; see writing.py."""
        return await write_tag(self._bus, self._member, tag, value)

    def _set_link(self, link: Link) -> None:
        if link is not self._link:
            self._link, self._since_ns = link, self._clock()

    def status(self) -> SourceStatus:
        failure, detail = self._signals.failure or (None, "")
        return SourceStatus(
            name=self.name,
            kind=self._config.type,
            endpoint=self._config.endpoint,
            link=self._link,
            since_ns=self._since_ns,
            fault=failure.fault if failure else Fault.NONE,
            detail=detail,
            last_good_ns=self._last_good_ns,
            round_trip_ms=self._round_trip_ms,
            reads=self._reads,
            errors=dict(self._errors),
            overruns=self._overruns,
            tags=self._signals.status(),
        )


def _place(block: Block) -> str:
    return f"unit {block.unit} {_address(block)}"


def _address(block: Block) -> str:
    last = "" if block.count == 1 else f"…{block.start + block.count - 1}"
    return f"{block.table.value}:{block.start}{last}"
