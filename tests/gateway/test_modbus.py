from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from gateway.blocks import Block
from gateway.sources.modbus import Buses, ModbusSource
from gateway.sources.modbus.connection import Connection, Endpoint
from plant.clock import MINUTE, system_clock
from plant.config import ModbusTcpSource as Config
from plant.connections import Fault, Link, SourceStatus
from plant.points import Point, Quality
from plant.tags import Table, Tag
from tests.gateway.devices import Device, Request, raw_device, running_device
from tests.gateway.support import Recorder, eventually, tag
from tests.processes import free_port

X = tag("x", type="uint16", address="holding:3")
Y = tag("y", type="float32", address="holding:4", order="CDAB")


class Clock:
    """Runs with the computer's clock, and can be set ahead."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return system_clock() + self.ahead_ns


@asynccontextmanager
async def polling(
    port: int, *tags: Tag, clock: Clock | None = None, **config: Any
) -> AsyncIterator[tuple[ModbusSource, Recorder]]:
    section = Config(type="modbus-tcp", host="127.0.0.1", port=port, **({"poll_s": 0.05, "timeout_s": 0.2} | config))
    source = ModbusSource("plc", section, tags or (X,), clock or Clock(), Buses().of(section))
    emit = Recorder()
    task = asyncio.create_task(source.run(emit))
    try:
        yield source, emit
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert source.status().link is Link.STOPPED
        assert task.cancelled(), "it ended by itself"


def qualities(points: list[Point]) -> list[Quality]:
    return [point.quality for point in points]


def only(status: SourceStatus) -> tuple[Link, Fault]:
    return status.link, status.fault


async def test_values_with_the_time_of_the_reply() -> None:
    async with running_device() as device:
        await device.set(3, 4711, 0xF5C3, 0x4048)
        before = system_clock()
        async with polling(device.port, X, Y) as (source, emit):
            await eventually(lambda: len(emit.of("x")) >= 5)
            status = source.status()
    assert {point.value for point in emit.of("x")} == {4711.0}
    assert emit.of("y")[0].value == pytest.approx(3.14)
    times = [point.time_ns for point in emit.of("x")]
    assert before < times[0] < times[-1] < system_clock()
    assert times == sorted(set(times))
    assert [p.time_ns for p in emit.of("y")] == times, "one read, one time"
    assert only(status) == (Link.CONNECTED, Fault.NONE)
    assert [(t.tag, t.raw) for t in status.tags] == [("m.x", "1267"), ("m.y", "f5c3 4048")]
    assert status.round_trip_ms is not None
    assert status.round_trip_ms > 0
    assert status.reads >= 5
    assert device.requests < status.reads + 3, "both tags in one request"


async def test_each_tag_has_its_interval() -> None:
    async with running_device() as device:
        slow = tag("slow", type="uint16", address="holding:9", poll_s=0.4)
        async with polling(device.port, X, slow, poll_s=0.1) as (_, emit):
            await asyncio.sleep(1.05)
    assert 9 <= len(emit.of("x")) <= 12
    assert 2 <= len(emit.of("slow")) <= 4


async def test_the_rate_does_not_drift() -> None:
    async with running_device() as device, polling(device.port, poll_s=0.1) as (source, emit):
        await asyncio.sleep(1.5)
        times = [point.time_ns / 1e9 for point in emit.of("x")]
        overruns = source.status().overruns
    # A busy computer may be late with one poll; the ones after it are on the grid again.
    offsets = [(t - times[0] + 0.05) % 0.1 - 0.05 for t in times]
    assert abs(median(offsets[-7:]) - median(offsets[:7])) < 0.01
    assert len(times) + overruns >= 14


async def test_a_slow_device_gives_counted_overruns() -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.12)
        writer.write(request.reply(1))

    async with raw_device(answer) as port, polling(port, poll_s=0.05) as (source, emit):
        await eventually(lambda: len(emit.points) >= 3)
        assert source.status().overruns >= 4
    assert set(qualities(emit.points)) == {Quality.GOOD}


async def test_nobody_listens_then_somebody_does() -> None:
    device = Device(free_port())
    async with polling(device.port, X, Y) as (source, emit):
        await eventually(lambda: len(emit.points) >= 2)
        status = source.status()
        assert only(status) == (Link.DISCONNECTED, Fault.REFUSED)
        assert str(device.port) in status.detail
        assert status.tags[0].fault is Fault.REFUSED
        await device.start()
        await eventually(lambda: any(p.quality is Quality.GOOD for p in emit.points))
        assert only(source.status()) == (Link.CONNECTED, Fault.NONE)
        await device.stop()
    assert qualities(emit.of("x"))[:2] == [Quality.BAD_NOT_CONNECTED, Quality.GOOD], "told once, not at every try"


async def test_a_device_that_restarts_heals_and_leaves_a_gap() -> None:
    async with running_device() as device, polling(device.port) as (source, emit):
        await device.set(3, 1)
        await eventually(lambda: emit.points and emit.points[-1].value == 1)
        await device.stop()
        await eventually(lambda: emit.points[-1].quality < Quality.UNCERTAIN)
        assert emit.points[-1].value is None
        assert source.status().link is Link.DISCONNECTED
        lost_at = len(emit.points)
        await asyncio.sleep(0.3)
        assert len(emit.points) == lost_at, "no point, and no stale one, while it is away"
        await device.start()
        await device.set(3, 2)
        await eventually(lambda: emit.points[-1].value == 2)
        assert source.status().errors[Fault.LOST] == 1
        assert 1.0 not in [point.value for point in emit.points[lost_at:]]


async def test_silence_is_a_timeout_and_the_link_is_opened_again() -> None:
    connections = set()
    silent = True

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        if not silent:
            writer.write(request.reply(5))

    async with raw_device(answer) as port, polling(port, timeout_s=0.05) as (source, emit):
        await eventually(lambda: emit.points)
        assert source.status().fault is Fault.TIMEOUT
        await eventually(lambda: len(connections) >= 2)
        assert qualities(emit.points) == [Quality.BAD_TIMEOUT]
        silent = False
        await eventually(lambda: emit.points[-1].quality is Quality.GOOD)
        assert only(source.status()) == (Link.CONNECTED, Fault.NONE)


async def test_a_late_reply_is_never_taken_for_the_next_answer() -> None:
    """Every reply comes after the time-out, while the next request waits for its own."""
    late: list[tuple[Request, asyncio.StreamWriter]] = []
    count = 0

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        if count % 2:
            late.append((request, writer))
            return
        old, old_writer = late.pop()
        old_writer.write(old.reply(6666))
        await asyncio.sleep(0.01)
        writer.write(request.reply(1))

    async with raw_device(answer) as port, polling(port, timeout_s=0.05) as (_, emit):
        await eventually(lambda: len(emit.points) >= 6)
    assert {point.value for point in emit.points} == {1.0, None}


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        (lambda r: r.reply(1, unit=9), "unit 9"),
        (lambda r: r.reply(1, function=4), "function 4"),
        (lambda r: r.reply(1, 2), "2 registers instead of 1"),
        (lambda r: r.reply(), "0 registers instead of 1"),
        (lambda r: r.reply(1, transaction=0), "transaction 0"),
        (lambda r: r.reply(1, function=0x42), "cannot be decoded"),
        (lambda r: r.reply(1)[:8] + b"\x09" + r.reply(1)[9:], "cannot be decoded"),  # byte count beyond the frame
    ],
)
async def test_a_reply_to_another_question_is_not_believed(
    wrong: Any, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    mended = False

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(request.reply(77) if mended else wrong(request))

    async with raw_device(answer) as port, polling(port, timeout_s=0.1) as (source, emit):
        await eventually(lambda: emit.points)
        status = source.status()
        assert status.fault is Fault.WRONG_REPLY
        assert detail in status.detail
        assert qualities(emit.points) == [Quality.BAD_WRONG_REPLY]
        assert emit.points[0].value is None
        mended = True
        await eventually(lambda: emit.points[-1].quality is Quality.GOOD)
        assert emit.points[-1].value == 77


async def test_the_front_of_a_late_reply_closes_the_link() -> None:
    first = True
    connections = set()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        connections.add(writer)
        if first:
            first = False
            writer.write(request.reply(9)[:6])
        else:
            writer.write(request.reply(1))

    async with raw_device(answer) as port, polling(port, timeout_s=0.05) as (_, emit):
        await eventually(lambda: emit.points and emit.points[-1].quality is Quality.GOOD)
    assert len(connections) == 2
    assert {point.value for point in emit.points} == {1.0, None}


async def test_a_link_that_drops_in_mid_request_is_seen_at_once() -> None:
    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with raw_device(answer) as port, polling(port, timeout_s=30.0) as (source, emit):
        await eventually(lambda: emit.points, within_s=3)
        assert source.status().fault is Fault.LOST
    assert qualities(emit.points) == [Quality.BAD_NOT_CONNECTED]


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (ExcCodes.ILLEGAL_FUNCTION, Quality.BAD_MODBUS_ILLEGAL_FUNCTION),
        (ExcCodes.ILLEGAL_ADDRESS, Quality.BAD_MODBUS_ILLEGAL_ADDRESS),
        (ExcCodes.DEVICE_BUSY, Quality.BAD_MODBUS_DEVICE_BUSY),
        (ExcCodes.GATEWAY_NO_RESPONSE, Quality.BAD_MODBUS_GATEWAY_TARGET),
    ],
)
async def test_an_exception_names_its_code_and_keeps_the_link(code: ExcCodes, quality: Quality) -> None:
    async with running_device() as device:
        device.exception = code
        async with polling(device.port) as (source, emit):
            await eventually(lambda: device.requests >= 4)
            status = source.status()
            assert only(status) == (Link.FAILING, Fault.MODBUS_EXCEPTION)
            assert status.detail.startswith(f"exception {int(code)}")
            device.exception = None
            await eventually(lambda: emit.points[-1].quality is Quality.GOOD)
        assert qualities(emit.points)[:2] == [quality, Quality.GOOD]


async def test_one_failing_block_leaves_the_others_alone() -> None:
    far = tag("far", type="uint16", address="holding:150")
    async with running_device() as device:
        device.exception, device.exception_at = ExcCodes.ILLEGAL_ADDRESS, 150
        async with polling(device.port, X, far) as (source, emit):
            await eventually(lambda: len(emit.of("x")) >= 5)
            status = source.status()
    assert set(qualities(emit.of("x"))) == {Quality.GOOD}
    assert qualities(emit.of("far")) == [Quality.BAD_MODBUS_ILLEGAL_ADDRESS]
    assert only(status) == (Link.FAILING, Fault.MODBUS_EXCEPTION)
    assert [t.fault for t in status.tags] == [Fault.NONE, Fault.MODBUS_EXCEPTION]


async def test_a_lasting_failure_is_told_again_each_minute() -> None:
    clock = Clock()
    async with running_device() as device:
        device.exception = ExcCodes.DEVICE_FAILURE
        async with polling(device.port, clock=clock) as (_, emit):
            await eventually(lambda: device.requests >= 3)
            assert len(emit.points) == 1
            clock.ahead_ns = MINUTE
            await eventually(lambda: len(emit.points) == 2)
            before = device.requests
            await eventually(lambda: device.requests >= before + 3)
            assert len(emit.points) == 2


async def test_a_value_that_the_device_does_not_have_is_bad_without_disturbing_the_rest() -> None:
    async with running_device() as device:
        await device.set(3, 5, 0x0000, 0x7FC0)
        async with polling(device.port, X, Y) as (source, emit):
            await eventually(lambda: len(emit.of("x")) >= 4)
            status = source.status()
    assert qualities(emit.of("y")) == [Quality.BAD_NOT_AVAILABLE]
    assert set(qualities(emit.of("x"))) == {Quality.GOOD}
    assert status.link is Link.CONNECTED
    assert status.tags[1].last_good_ns is None
    assert status.tags[1].last is not None
    assert math.isfinite(emit.of("x")[0].value or math.nan)


async def test_coils_and_inputs() -> None:
    async with running_device() as device:
        await device.set(3, 0b1010)
        tags = (tag("i", type="uint16", address="input:3"), tag("c", type="bool", address="coil:3"))
        async with polling(device.port, *tags) as (_, emit):
            await eventually(lambda: emit.of("i") and emit.of("c"))
    assert emit.of("i")[0].value == 0b1010
    assert emit.of("c")[0].quality is Quality.GOOD


async def test_a_cancellation_that_comes_with_the_reply_is_not_lost() -> None:
    """wait_for of Python 3.11, inside pymodbus, would return the reply instead: a source that cannot be stopped."""
    async with running_device() as device:
        connection = Connection(Endpoint("modbus-tcp", "device", "127.0.0.1", device.port), 1.0)
        assert await connection.open() is None
        reading = asyncio.create_task(connection.read(Block(1, Table.HOLDING, 0, 1, 1.0, ()), 1.0))
        context = connection.client.ctx
        saw = context.trace_packet

        def cancel_with_the_reply(sending: bool, data: bytes) -> bytes:  # noqa: FBT001
            if not sending:
                asyncio.get_running_loop().call_soon(reading.cancel)
            return saw(sending, data)

        context.trace_packet = cancel_with_the_reply
        await asyncio.wait([reading])
        connection.close()
    assert reading.cancelled()


async def test_report_by_exception() -> None:
    quiet = tag("x", type="uint16", address="holding:3", report={"deadband": 5, "heartbeat_s": 0.5})
    async with running_device() as device, polling(device.port, quiet) as (source, emit):
        await eventually(lambda: source.status().reads >= 16)
        assert 2 <= len(emit.points) <= 4, "the first, and one in half a second"
        await device.set(3, 4)
        await device.set(3, 20)
        await eventually(lambda: emit.points[-1].value == 20)
        status = source.status().tags[0]
        assert status.last is not None
        assert status.last.time_ns >= emit.points[-1].time_ns, "people see the last reading"
