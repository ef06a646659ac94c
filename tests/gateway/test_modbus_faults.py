"""Under every fault of the proxy: no wrong value, no point under a wrong time, and quick recovery."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from random import Random

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.sources.modbus import Buses, ModbusSource
from plant.clock import system_clock
from plant.config import ModbusRtuTcpSource, ModbusTcpSource
from plant.points import Point, Quality
from tests.fault_proxy import Fault, FaultProxy
from tests.gateway.support import Recorder, eventually, tag
from tests.processes import free_port

POLL_S, TIMEOUT_S = 0.1, 0.05
N = 10
STEP_NS = 10_000_000  # the counter in the registers goes on every 10 ms
TAGS = [
    *(tag(f"r{i}", type="uint16", address=f"holding:{20 * (i // 5) + i}") for i in range(N)),
    tag("count", type="uint32", address="holding:100"),
]


class CountingServer:
    """Unit u, register a holds 1000 u + a; registers 100–101 hold the server's time in steps of 10 ms."""

    def __init__(self, rtu: bool, units: tuple[int, ...]) -> None:  # noqa: FBT001
        self.port, self._rtu, self.units = free_port(), rtu, units
        self.began_ns = system_clock()

    async def __aenter__(self) -> CountingServer:
        devices = [
            SimDevice(
                u,
                [SimData(0, values=[1000 * u + a for a in range(102)], datatype=DataType.REGISTERS)],
                action=self._count,
            )
            for u in self.units
        ]
        framer = FramerType.RTU if self._rtu else FramerType.SOCKET
        self._server = ModbusTcpServer(devices, framer=framer, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.shutdown()

    async def _count(
        self, _f: int, start: int, address: int, count: int, registers: list[int], set_values: object
    ) -> None:
        if set_values is None and address <= 100 < address + count:
            steps = (system_clock() - self.began_ns) // STEP_NS
            registers[100 - start : 102 - start] = [steps >> 16, steps & 0xFFFF]


def source_of(unit: int, proxy: FaultProxy, rtu: bool, buses: Buses, *, poll_s: float = POLL_S) -> ModbusSource:  # noqa: FBT001
    common = {"host": "127.0.0.1", "port": proxy.port, "unit": unit, "poll_s": poll_s, "timeout_s": TIMEOUT_S}
    config = (
        ModbusRtuTcpSource(type="modbus-rtu-tcp", **common) if rtu else ModbusTcpSource(type="modbus-tcp", **common)
    )
    return ModbusSource(f"u{unit}", config, TAGS, system_clock, buses.of(config))


@asynccontextmanager
async def running(*sources: ModbusSource) -> AsyncIterator[list[Recorder]]:
    recorders = [Recorder() for _ in sources]
    tasks = [asyncio.create_task(s.run(r)) for s, r in zip(sources, recorders, strict=True)]
    try:
        yield recorders
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)


def check_values(server: CountingServer, unit: int, points: list[Point]) -> None:
    last: dict[str, int] = {}
    addresses = {t.id: t.modbus_address[1] for t in TAGS}
    for point in points:
        assert point.time_ns > last.get(point.tag, 0), "times go on"
        last[point.tag] = point.time_ns
        if point.quality < Quality.UNCERTAIN:
            assert point.value is None
        elif point.tag == "m.count":
            assert isinstance(point.value, float)
            read_ns = server.began_ns + int(point.value) * STEP_NS
            assert 0 <= point.time_ns - read_ns <= (TIMEOUT_S + 0.05) * 1e9, "a value of another time"
        else:
            assert point.value == 1000 * unit + addresses[point.tag]


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu over tcp"])
async def test_a_mix_of_all_faults(rtu: bool) -> None:  # noqa: FBT001
    random = Random(20 + rtu)
    async with (
        CountingServer(rtu, (1,)) as server,
        FaultProxy(server.port, random, rtu=rtu, timeout_s=TIMEOUT_S) as proxy,
        running(source_of(1, proxy, rtu, Buses())) as (emit,),
    ):
        delays = []
        for _ in range(5):
            proxy.share = 0.5
            await asyncio.sleep(random.uniform(1.0, 1.3))
            proxy.share = 0.0
            delays.append(await recovery_s(emit))
            await asyncio.sleep(0.1)
    check_values(server, 1, emit.points)
    assert set(proxy.done) == set(proxy.kinds), "every fault occurred"
    assert sum(p.quality is Quality.GOOD for p in emit.points) > 100
    assert sum(p.quality < Quality.UNCERTAIN for p in emit.points) > 20
    assert max(delays) <= 2 * POLL_S + 3 * TIMEOUT_S, delays


async def recovery_s(emit: Recorder) -> float:
    """Seconds until every tag has a good value that was read after now."""
    now_ns, at = system_clock(), len(emit.points)
    await eventually(
        lambda: (
            {p.tag for p in emit.points[at:] if p.quality is Quality.GOOD and p.time_ns >= now_ns}
            == {t.id for t in TAGS}
        )
    )
    return (system_clock() - now_ns) / 1e9


async def stalls(found: list[float]) -> None:
    """Appends how late the event loop was, s, whenever that alone explains a time-out: all parts run in this loop."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.01)
        late = time.monotonic() - began - 0.01
        if late > TIMEOUT_S / 2:
            found.append(late)


async def test_one_dead_unit_among_eight() -> None:
    """The dead one takes half a cycle of the bus each time that it is asked (time-out, then silence on the line)."""
    poll_s, units = 4 * TIMEOUT_S, tuple(range(1, 9))
    async with (
        CountingServer(rtu=True, units=units) as server,
        FaultProxy(server.port, Random(1), rtu=True, timeout_s=TIMEOUT_S) as proxy,
        running(*sources_on_one_bus(proxy, units, poll_s)) as recorders,
    ):
        await eventually(lambda: all(r.of("r0") for r in recorders))
        proxy.choose = lambda unit: Fault.SILENT if unit == 4 else None
        began_ns, asked_before = system_clock(), len(proxy.requests)
        late: list[float] = []
        watching = asyncio.create_task(stalls(late))
        await asyncio.sleep(6.0)
        cycles = int((system_clock() - began_ns) / 1e9 / poll_s)
        watching.cancel()
        probes = [at for at, unit in proxy.requests[asked_before:] if unit == 4]
        counted = {
            unit: sum(p.quality is Quality.GOOD and p.time_ns > began_ns for p in recorder.of("r0"))
            for unit, recorder in zip(units, recorders, strict=True)
        }
        proxy.choose = lambda _unit: None
        await eventually(lambda: recorders[3].points[-1].quality is Quality.GOOD)
    assert counted.pop(4) == 0
    excused = sum(1 + math.ceil(each / poll_s) for each in late)  # cycles that the computer itself missed
    assert min(counted.values()) >= 0.95 * cycles - excused, (counted, cycles, late)
    assert 4 <= len(probes) <= 8
    assert min(b - a for a, b in pairwise(probes[2:])) > 2 * poll_s, "rare, one at a time"
    for unit, recorder in zip(units, recorders, strict=True):
        check_values(server, unit, recorder.points)


def sources_on_one_bus(proxy: FaultProxy, units: tuple[int, ...], poll_s: float = POLL_S) -> list[ModbusSource]:
    buses = Buses()
    return [source_of(unit, proxy, True, buses, poll_s=poll_s) for unit in units]


async def test_sources_of_one_endpoint_share_one_connection() -> None:
    async with (
        CountingServer(rtu=True, units=(1, 2, 3)) as server,
        FaultProxy(server.port, Random(1), rtu=True) as proxy,
    ):
        async with running(*sources_on_one_bus(proxy, (1, 2, 3))) as recorders:
            await eventually(lambda: all(len(r.of("r0")) >= 5 for r in recorders))
        assert proxy.connections == 1
        assert {unit for _, unit in proxy.requests} == {1, 2, 3}
        order = [unit for _, unit in proxy.requests]
        assert max(abs(order.count(u) - order.count(1)) for u in (2, 3)) <= 3, "each in its turn"


@pytest.mark.parametrize("fault", [Fault.LATE, Fault.SILENT])
async def test_on_rtu_a_time_out_opens_the_link_again(fault: Fault) -> None:
    async with (
        CountingServer(rtu=True, units=(1,)) as server,
        FaultProxy(server.port, Random(1), rtu=True, timeout_s=TIMEOUT_S) as proxy,
        running(source_of(1, proxy, True, Buses())) as (emit,),
    ):
        await eventually(lambda: emit.points)
        answers = iter([fault])
        proxy.choose = lambda _unit: next(answers, None)
        await eventually(lambda: proxy.connections == 2)
        await recovery_s(emit)
    check_values(server, 1, emit.points)
    assert next(p.quality for p in emit.points if p.quality < Quality.UNCERTAIN) is Quality.BAD_TIMEOUT


async def test_a_nonsense_device_leaves_no_tracebacks_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = await reader.readexactly(12)
                writer.write(asked[:2] + bytes([0, 0, 0, 3, asked[6], 0x63, 0]))  # a function that does not exist
                answered.append(asked)
        writer.close()

    answered: list[bytes] = []
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    config = ModbusTcpSource(
        type="modbus-tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1], unit=1, poll_s=0.1, timeout_s=0.1
    )
    source = ModbusSource("u1", config, TAGS, system_clock, Buses().of(config))
    async with running(source) as (emit,):
        await eventually(lambda: len(answered) >= 3 and emit.points)
    server.close()
    await server.wait_closed()
    assert {p.value for p in emit.points} == {None}
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_other_errors_of_asyncio_are_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("asyncio").error("Fatal error", exc_info=ValueError("something else"))
    assert "something else" in caplog.text
