"""Modbus TCP: polls blocks at fixed rates over one connection, and believes no reply that it has not checked.

pymodbus does framing and transaction ids. The rest is ours, because the client (3.16) starts no reconnect after a
failed first connect, returns replies of the wrong function or length as success, lets transaction id 0 pass, and
waits the whole time-out when the link drops. There is no code here that writes to a device.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from gateway.blocks import Block, Limits, plan_blocks
from gateway.decode import BlockDecoder, Decoded
from gateway.repeats import Repeats
from gateway.schedule import Backoff, Schedule
from gateway.sources.base import Emit
from plant.clock import Clock
from plant.config import ModbusTcpSource as ModbusTcpConfig
from plant.connections import Fault, Link, SourceStatus, TagStatus
from plant.points import Point, PointBatch, Quality
from plant.tags import Table, Tag

log = logging.getLogger(__name__)
# pymodbus logs every time-out of a dead device as an error; what matters of that is in our status and log.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_TIMEOUTS_BEFORE_RECONNECT = 3
"""A device that restarted may leave a dead link behind, on which every request times out."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a read gave no value. `link_lost`: the connection must be opened again."""

    quality: Quality
    fault: Fault
    detail: str
    link_lost: bool = False


class Connection:
    """One socket to one endpoint. Replies are checked here; nothing unchecked leaves."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._client = AsyncModbusTcpClient(
            host,
            port=port,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._saw_packet,
            trace_connect=self._saw_connect,
        )
        self._header = b""  # of the last packet that arrived since the request: tells why a reply was not taken
        self._reading = False

    async def open(self) -> Failure | None:
        """None when connected."""
        params, client = self._client.comm_params, self._client
        error: OSError | None = None
        create = client.ctx.call_create

        async def create_and_keep_error() -> Any:
            nonlocal error
            try:
                return await create()
            except OSError as caught:  # pymodbus would only log it
                error = caught
                raise

        client.ctx.call_create = create_and_keep_error
        if await client.connect():
            return None
        endpoint = f"{params.host}:{params.port}"
        if error is None:
            detail, fault = f"{endpoint}: no connection within {params.timeout_connect:g} s", Fault.TIMEOUT
        else:
            detail = f"{endpoint}: {error}"
            fault = Fault.REFUSED if isinstance(error, ConnectionRefusedError) else Fault.UNREACHABLE
        return Failure(Quality.BAD_NOT_CONNECTED, fault, detail, link_lost=True)

    async def read(self, block: Block) -> list[int] | list[bool] | Failure:
        """The block's registers or bits, or why not."""
        call = {
            Table.COIL: self._client.read_coils,
            Table.DISCRETE: self._client.read_discrete_inputs,
            Table.HOLDING: self._client.read_holding_registers,
            Table.INPUT: self._client.read_input_registers,
        }[block.table]
        if self._client.ctx.recv_buffer:  # the front of a late reply; its rest could be taken for an answer
            return _wrong("part of an earlier reply was left over", link_lost=True)
        self._header = b""
        self._reading = True
        try:
            reply = await call(block.start, count=block.count, device_id=block.unit)
        except ConnectionException as error:
            return self._undecodable() or _lost(str(error))
        except ModbusException:
            # retries=0: the only other thing that pymodbus raises from a read is "no response"
            return self._stranger(block) or Failure(
                Quality.BAD_TIMEOUT, Fault.TIMEOUT, f"no answer within {self._client.comm_params.timeout_connect:g} s"
            )
        finally:
            self._reading = False
        return self._checked(block, reply)

    def close(self) -> None:
        self._client.close()

    def _checked(self, block: Block, reply: ModbusPDU) -> list[int] | list[bool] | Failure:
        function = _FUNCTION[block.table]
        asked = self._client.ctx.request_transaction_id
        if reply.transaction_id != asked:
            return _wrong(f"transaction {reply.transaction_id} instead of {asked}")
        if reply.dev_id != block.unit:
            return _wrong(f"unit {reply.dev_id} answered instead of {block.unit}")
        if reply.function_code == function | 0x80:
            code = reply.exception_code
            return Failure(Quality.of_modbus_exception(code), Fault.MODBUS_EXCEPTION, f"exception {code}")
        if reply.function_code != function:
            return _wrong(f"function {reply.function_code} instead of {function}")
        if block.table.is_bits:
            padded = (block.count + 7) // 8 * 8
            if len(reply.bits) != padded:
                return _wrong(f"{len(reply.bits)} bits instead of {padded}")
            return list(reply.bits[: block.count])
        if len(reply.registers) != block.count:
            return _wrong(f"{len(reply.registers)} registers instead of {block.count}")
        return list(reply.registers)

    def _stranger(self, block: Block) -> Failure | None:
        """A reply to this very request that pymodbus skipped because another unit gave it."""
        if self._answers_request() and self._header[6] != block.unit:
            return _wrong(f"unit {self._header[6]} answered instead of {block.unit}")
        return None

    def _undecodable(self) -> Failure | None:
        """pymodbus drops the link over a reply that it cannot decode."""
        if self._answers_request():
            return _wrong(f"a reply that cannot be decoded: {self._header.hex(' ')} …", link_lost=True)
        return None

    def _answers_request(self) -> bool:
        asked = self._client.ctx.request_transaction_id
        return len(self._header) >= 8 and int.from_bytes(self._header[:2], "big") == asked

    def _saw_packet(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 — pymodbus calls it so
        if not sending:
            self._header = data[:8]
        return data

    def _saw_connect(self, connected: bool) -> None:  # noqa: FBT001 — pymodbus calls it so
        future = self._client.ctx.response_future
        if not connected and self._reading and not future.done():
            future.set_exception(ConnectionException("the device closed the connection"))


def _wrong(detail: str, *, link_lost: bool = False) -> Failure:
    return Failure(Quality.BAD_WRONG_REPLY, Fault.WRONG_REPLY, detail, link_lost)


def _lost(detail: str) -> Failure:
    return Failure(Quality.BAD_NOT_CONNECTED, Fault.LOST, detail, link_lost=True)


def _place(block: Block) -> str:
    return f"unit {block.unit} {block.table.value}:{block.start}…{block.start + block.count - 1}"


class _BlockState:
    """One block with its decoder and what its last reads gave."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.decoder = BlockDecoder(block)
        self._ids = tuple(tag.id for tag in block.tags)
        self._types = {tag.id: tag.type.value for tag in block.tags}
        self._rows = np.arange(len(block.tags), dtype=np.int32)
        self._repeats = Repeats(len(block.tags))
        self._good_ns = np.zeros(len(block.tags), dtype=np.int64)
        self._reply: Sequence[int] | Sequence[bool] | None = None
        self._last: PointBatch | None = None
        self.failure: Failure | None = None

    def read(self, reply: Sequence[int] | Sequence[bool], time_ns: int) -> PointBatch:
        self._reply, self.failure = reply, None
        return self._points(self.decoder(reply), time_ns)

    def failed(self, failure: Failure, time_ns: int) -> PointBatch:
        self.failure = failure
        n = len(self._ids)
        return self._points(Decoded(np.full(n, np.nan), np.full(n, failure.quality, dtype=np.uint8)), time_ns)

    def _points(self, decoded: Decoded, time_ns: int) -> PointBatch:
        times = np.full(len(self._ids), time_ns, dtype=np.int64)
        batch = PointBatch(self._ids, self._rows, times, decoded.value, decoded.quality, decoded.text)
        self._last = batch
        self._good_ns[decoded.quality >= Quality.UNCERTAIN] = time_ns
        news = self._repeats.news(decoded.quality, time_ns)
        return batch if news.all() else batch.take(news)

    def status(self) -> list[TagStatus]:
        points: list[Point | None] = list(self._last) if self._last is not None else [None] * len(self._ids)
        raw = self.decoder.raw(self._reply) if self._reply is not None else ("",) * len(self._ids)
        return [
            TagStatus(tag, point, int(good) or None, hexed, *self._fault(point))
            for tag, point, good, hexed in zip(self._ids, points, self._good_ns, raw, strict=True)
        ]

    def _fault(self, point: Point | None) -> tuple[Fault, str]:
        if point is None:
            return Fault.NO_DATA, ""
        if self.failure is not None:
            return self.failure.fault, self.failure.detail
        if point.quality is Quality.BAD_DECODE:
            return Fault.DECODE, f"the registers do not hold a {self._types[point.tag]}"
        return Fault.NONE, ""


class ModbusTcpSource:
    """One Modbus TCP endpoint with its tags."""

    def __init__(self, name: str, config: ModbusTcpConfig, tags: Sequence[Tag], clock: Clock) -> None:
        self.name = name
        self._config = config
        self._clock = clock
        limits = Limits(config.max_registers, config.max_bits, config.max_gap)
        blocks = plan_blocks(tags, limits, unit=config.unit, poll_s=config.poll_s)
        self._order = [tag.id for tag in tags]
        self._blocks = [_BlockState(block) for block in blocks]
        self._link, self._since_ns = Link.STOPPED, clock()
        self._last_good_ns: int | None = None
        self._round_trip_ms: float | None = None
        self._reads = 0
        self._overruns = 0
        self._errors: Counter[Fault] = Counter()
        self._timeouts_in_a_row = 0
        self._backoff = Backoff()

    async def run(self, emit: Emit) -> None:
        if not self._blocks:
            return
        self._set_link(Link.CONNECTING)
        schedule = Schedule([state.block.poll_s for state in self._blocks], time.monotonic())
        try:
            while True:
                connection = Connection(self._config.host, self._config.port, self._config.timeout_s)
                try:
                    failure = await connection.open()
                    if failure is None:
                        failure = await self._poll(connection, schedule, emit)
                    else:
                        self._not_opened(failure)
                finally:
                    connection.close()
                await self._lost(failure, emit)
                await asyncio.sleep(self._backoff.next())
                schedule.skip(time.monotonic())
        finally:
            self._set_link(Link.STOPPED)

    def _not_opened(self, failure: Failure) -> None:
        self._errors[failure.fault] += 1
        if self._failure is None or self._failure.fault is not failure.fault:
            log.warning("%s: %s (%s)", self.name, failure.fault, failure.detail)

    async def _poll(self, connection: Connection, schedule: Schedule, emit: Emit) -> Failure:
        """Polls until the connection is of no use any more; gives the reason."""
        self._timeouts_in_a_row = 0
        while True:
            index, due = schedule.next()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            state = self._blocks[index]
            started = time.perf_counter()
            reply = await connection.read(state.block)
            time_ns = self._clock()  # fixed once, here, and kept all the way to the store
            round_trip_ms = (time.perf_counter() - started) * 1e3
            if isinstance(reply, Failure):
                batch = self._failed(state, reply, time_ns)
            else:
                batch = self._good(state, reply, time_ns, round_trip_ms)
            if len(batch):
                await emit(batch)
            if isinstance(reply, Failure) and (
                reply.link_lost or self._timeouts_in_a_row >= _TIMEOUTS_BEFORE_RECONNECT
            ):
                return reply
            self._overruns += schedule.done(index, time.monotonic())

    def _good(
        self, state: _BlockState, reply: Sequence[int] | Sequence[bool], time_ns: int, round_trip_ms: float
    ) -> PointBatch:
        self._timeouts_in_a_row = 0
        self._backoff.reset()
        self._reads += 1
        self._last_good_ns, self._round_trip_ms = time_ns, round_trip_ms
        if state.failure is not None:
            log.info("%s: %s answers again", self.name, _place(state.block))
        batch = state.read(reply, time_ns)
        self._set_link(Link.FAILING if self._failure else Link.CONNECTED)
        return batch

    def _failed(self, state: _BlockState, failure: Failure, time_ns: int) -> PointBatch:
        timed_out = failure.fault is Fault.TIMEOUT
        self._timeouts_in_a_row = self._timeouts_in_a_row + 1 if timed_out else 0
        self._reads += failure.fault in (Fault.MODBUS_EXCEPTION, Fault.WRONG_REPLY)
        self._errors[failure.fault] += 1
        if state.failure is None or state.failure.fault is not failure.fault:
            log.warning("%s: %s: %s (%s)", self.name, _place(state.block), failure.fault, failure.detail)
        self._set_link(Link.DISCONNECTED if failure.link_lost else Link.FAILING)
        return state.failed(failure, time_ns)

    async def _lost(self, failure: Failure, emit: Emit) -> None:
        """The connection is gone: so is every tag of the source, from now on."""
        time_ns = self._clock()
        batches = [state.failed(failure, time_ns) for state in self._blocks]
        self._set_link(Link.DISCONNECTED)
        news = PointBatch.concat([batch for batch in batches if len(batch)])
        if len(news):
            await emit(news)

    @property
    def _failure(self) -> Failure | None:
        """The first block's that does not work."""
        return next((state.failure for state in self._blocks if state.failure is not None), None)

    def _set_link(self, link: Link) -> None:
        if link is not self._link:
            self._link, self._since_ns = link, self._clock()

    def status(self) -> SourceStatus:
        failure = self._failure
        tags = {status.tag: status for state in self._blocks for status in state.status()}
        return SourceStatus(
            name=self.name,
            kind=self._config.type,
            endpoint=f"{self._config.host}:{self._config.port}",
            link=self._link,
            since_ns=self._since_ns,
            fault=failure.fault if failure else Fault.NONE,
            detail=failure.detail if failure else "",
            last_good_ns=self._last_good_ns,
            round_trip_ms=self._round_trip_ms,
            reads=self._reads,
            errors=dict(self._errors),
            overruns=self._overruns,
            tags=tuple(tags[tag] for tag in self._order),
        )
