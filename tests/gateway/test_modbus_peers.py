"""Foreign peers: a server on libmodbus (compiled here), and a serial line."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.sources.modbus import Buses, ModbusSource
from plant.clock import system_clock
from plant.config import ModbusRtuSource
from plant.connections import Fault, Link
from plant.points import Quality
from plant.tags import Tag
from tests.gateway.support import Recorder, eventually, tag
from tests.gateway.test_modbus import polling
from tests.processes import free_port

_ONE_REPLY = 7  # bytes: unit, function, byte count, one register, CRC
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


@pytest.fixture(scope="module")
def libmodbus_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled peer."""
    compiler, config = shutil.which("cc"), shutil.which("pkg-config")
    if compiler is None or config is None:
        pytest.skip("no C compiler or no pkg-config")
    flags = subprocess.run([config, "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False)
    if flags.returncode:
        pytest.skip("libmodbus is not installed (Debian: libmodbus-dev)")
    program = tmp_path_factory.mktemp("peer") / "server"
    source = Path(__file__).parent / "peers" / "libmodbus_server.c"
    subprocess.run([compiler, "-Wall", "-Werror", "-o", program, source, *flags.stdout.split()], check=True)
    return program


@asynccontextmanager
async def serving(program: Path) -> AsyncIterator[int]:
    port = free_port()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, str(port), stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 5) == b"listening\n"
        yield port
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 5)


async def test_a_server_on_libmodbus_in_all_orders(libmodbus_server: Path) -> None:
    floats = [tag(f"f_{o}", type="float32", order=o, address=f"holding:{2 * i}") for i, o in enumerate(ORDERS)]
    ints = [tag(f"i_{o}", type="int32", order=o, address=f"holding:{8 + 2 * i}") for i, o in enumerate(ORDERS)]
    words = [tag(f"w{a}", type="uint16", address=f"holding:{a}") for a in (100, 101, 199)]
    inputs = [tag(f"in{a}", type="uint16", address=f"input:{a}") for a in (0, 7, 124, 125)]
    bits = [tag(f"{t}{a}", type="bool", address=f"{t}:{a}") for t in ("coil", "discrete") for a in (0, 1, 9, 198)]
    beyond = tag("beyond", type="uint16", address="holding:200")
    tags = [*floats, *ints, *words, *inputs, *bits, beyond]
    async with serving(libmodbus_server) as port, polling(port, *tags) as (_, emit):
        await eventually(lambda: {p.tag for p in emit.points} == {t.id for t in tags})
        await eventually(lambda: len(emit.of("w199")) >= 3)
    last = {p.tag.removeprefix("m."): p for p in emit.points}
    assert [last[f"f_{o}"].value for o in ORDERS] == [1.5] * 4
    assert [last[f"i_{o}"].value for o in ORDERS] == [-123456789] * 4
    assert [last[t.name].value for t in words] == [100, 101, 199]
    assert [last[t.name].value for t in inputs] == [5000, 5007, 5124, 5125]
    assert [last[t.name].value for t in bits] == [1, 0, 1, 1] * 2
    assert last.pop("beyond").quality is Quality.BAD_MODBUS_ILLEGAL_ADDRESS
    assert {p.quality for p in last.values()} == {Quality.GOOD}


class Line:
    """Two pseudo-terminals joined into one serial line. `hold` keeps back what the device sends."""

    def __init__(self) -> None:
        self._masters, self.ends = [], []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append((master, slave))
            self.ends.append(os.ttyname(slave))
        self.held: bytes | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        (ours, _), (theirs, _) = self._masters
        loop.add_reader(ours, lambda: os.write(theirs, os.read(ours, 512)))
        loop.add_reader(theirs, lambda: self._answer(os.read(theirs, 512)))

    def hold(self) -> None:
        self.held = b""

    def release(self, count: int) -> None:
        """Lets the first `count` bytes through; the rest is lost."""
        held, self.held = self.held, None
        self._answer((held or b"")[:count])

    def _answer(self, data: bytes) -> None:
        if self.held is None:
            os.write(self._masters[0][0], data)
        else:
            self.held += data

    def close(self) -> None:
        for master, slave in self._masters:
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            os.close(slave)


@contextmanager
def serial_line() -> Iterator[Line]:
    line = Line()
    line.start()
    try:
        yield line
    finally:
        line.close()


@asynccontextmanager
async def serial_devices(port: str, *units: int) -> AsyncIterator[None]:
    """Unit u, register a holds 1000 u + a."""
    devices = [
        SimDevice(u, [SimData(0, values=[1000 * u + a for a in range(50)], datatype=DataType.REGISTERS)]) for u in units
    ]
    server = ModbusSerialServer(devices, port=port, baudrate=115_200)
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


@asynccontextmanager
async def serial_sources(
    port: str, tags: list[Tag], *units: int, **fields: Any
) -> AsyncIterator[list[tuple[ModbusSource, Recorder]]]:
    buses = Buses()
    common = {"device": port, "baudrate": 115_200, "parity": "none", "poll_s": 0.1, "timeout_s": 0.1} | fields
    configs = [ModbusRtuSource(type="modbus-rtu", unit=u, **common) for u in units]
    pairs = [(ModbusSource(f"u{c.unit}", c, tags, system_clock, buses.of(c)), Recorder()) for c in configs]
    tasks = [asyncio.create_task(source.run(recorder)) for source, recorder in pairs]
    try:
        yield pairs
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_units_on_a_serial_line() -> None:
    tags = [tag(f"r{a}", type="uint16", address=f"holding:{a}") for a in (0, 1, 30)]
    with serial_line() as line:
        async with serial_devices(line.ends[1], 1, 7), serial_sources(line.ends[0], tags, 1, 7) as pairs:
            await eventually(lambda: all(len(r.of("r30")) >= 5 for _, r in pairs))
            assert [s.status().link for s, _ in pairs] == [Link.CONNECTED] * 2
            assert pairs[0][0].status().endpoint == line.ends[0]
    for unit, (_, recorder) in zip((1, 7), pairs, strict=True):
        assert {(p.tag, p.value) for p in recorder.points} == {(f"m.r{a}", 1000.0 * unit + a) for a in (0, 1, 30)}


async def test_a_late_reply_on_a_serial_line_is_never_taken_for_an_answer() -> None:
    """Two blocks of one length: only the register address, which no reply carries, tells their replies apart.

    The first one's reply comes after its time-out, when the second one would be waiting for its own.
    """
    tags = [tag(f"r{a}", type="uint16", address=f"holding:{a}") for a in (0, 30)]
    with serial_line() as line:
        async with serial_devices(line.ends[1], 1), serial_sources(line.ends[0], tags, 1) as ((source, emit),):
            for delay_s in (0.11, 0.13, 0.16, 0.19):
                await eventually(lambda: emit.points and emit.points[-1].quality is Quality.GOOD)
                line.hold()
                await eventually(lambda: line.held)
                await asyncio.sleep(delay_s)
                line.release(_ONE_REPLY)
                at = len(emit.points)
                await eventually(
                    lambda at=at: {p.tag for p in emit.points[at:] if p.value is not None} == {"m.r0", "m.r30"}
                )
            assert source.status().errors[Fault.TIMEOUT] >= 4
    assert {(p.tag, p.value) for p in emit.points if p.value is not None} == {("m.r0", 1000.0), ("m.r30", 1030.0)}


async def test_a_serial_port_that_is_not_there() -> None:
    async with serial_sources("/dev/ttyNOT_THERE", [tag(type="uint16", address="holding:0")], 1) as ((source, emit),):
        await eventually(lambda: emit.points)
        status = source.status()
    assert (status.link, status.fault) == (Link.DISCONNECTED, Fault.UNREACHABLE)
    assert "ttyNOT_THERE" in status.detail
