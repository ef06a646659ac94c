"""A Modbus device with islands of registers, a limit per request and a pace, and a probe of it in this process."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from rich.console import Console

from gateway.probe.device import Device
from gateway.probe.ranges import Span
from plant.config import ModbusTcpSource
from plant.tags import Table
from testbed.probe.modbus import Wanted, probe
from tests.processes import free_port


@dataclass
class Islands:
    """Holding and input registers of unit 1 at `islands` (start: values), nothing between them."""

    islands: Mapping[int, Sequence[int]]
    most: int = 125
    delay_s: float = 0.0
    whole: int = 1  # answers only requests for so many registers, such as 2 where every value is a float32
    port: int = field(default_factory=free_port)
    functions: set[int] = field(default_factory=set)

    async def action(
        self, function: int, _start: int, address: int, count: int, _registers: list[int], _values: object
    ) -> ExcCodes | None:
        self.functions.add(function)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.whole > 1 and (count != self.whole or (address - min(self.islands)) % self.whole):
            return ExcCodes.ILLEGAL_ADDRESS
        return ExcCodes.ILLEGAL_VALUE if count > self.most else None


@asynccontextmanager
async def serving(islands: Islands, framer: FramerType = FramerType.SOCKET) -> AsyncIterator[Islands]:
    data = [
        SimData(start, values=list(values), datatype=DataType.REGISTERS) for start, values in islands.islands.items()
    ]
    device = SimDevice(1, data, action=islands.action)
    server = ModbusTcpServer(device, framer=framer, address=("127.0.0.1", islands.port))
    await server.serve_forever(background=True)
    try:
        yield islands
    finally:
        await server.shutdown()


def device_at(port: int, timeout_s: float = 1.0) -> Device:
    config = {"type": "modbus-tcp", "host": "127.0.0.1", "port": port, "timeout_s": timeout_s}
    return Device(ModbusTcpSource.model_validate(config))


async def probed(port: int, timeout_s: float = 1.0, kind: str = "modbus-tcp", **wanted: Any) -> str:
    """What the probe prints."""
    defaults = {"units": Span(1, 2), "range": Span(0, 100), "tables": (Table.HOLDING,), "within_s": 20.0}
    out = io.StringIO()
    source = {"type": kind, "host": "127.0.0.1", "port": port}
    consoles = Console(file=out, width=160), Console(file=io.StringIO())
    await probe(source, timeout_s, Wanted(**(defaults | wanted)), *consoles)
    return out.getvalue()
