"""Devices to talk to: a real pymodbus server, and a raw TCP server that answers wrongly on purpose."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.processes import free_port


@dataclass
class Device:
    """Registers 0 … 199 (shared by holding and input), unit 1. `exception` answers every read with it,
    or those that take in `exception_at`, or those of cells that it `refuses`."""

    port: int = field(default_factory=free_port)
    exception: ExcCodes | None = None
    exception_at: int | None = None
    refuses: Callable[[range], bool] | None = None
    takes_writes: bool = True
    refuses_writes: ExcCodes | None = None
    requests: int = 0
    writes: list[tuple[int, int, int]] = field(default_factory=list)  # function, address, count

    _setting: bool = False

    async def start(self) -> None:
        registers = SimData(0, count=200, values=0, datatype=DataType.REGISTERS)
        device = SimDevice(1, [registers], action=self._action)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        await self._server.shutdown()

    async def set(self, address: int, *values: int) -> None:
        exception, self.exception = self.exception, None
        self._setting = True
        await self._server.async_setValues(1, 16, address, list(values))
        self._setting = False
        self.exception = exception

    async def _action(
        self, function: int, start: int, address: int, count: int, registers: list[int], set_values: list[int] | None
    ) -> ExcCodes | None:
        if set_values is not None:
            return None if self._setting else self._written(function, address, set_values, registers[address - start :])
        if function > 4:  # pymodbus reads what it has written
            return None
        self.requests += 1
        if self.exception_at is not None and not address <= self.exception_at < address + count:
            return None
        if self.refuses is not None and not self.refuses(range(address, address + count)):
            return None
        return self.exception

    def _written(self, function: int, address: int, values: list[int], present: list[int]) -> ExcCodes | None:
        self.writes.append((function, address, len(values)))
        if not self.takes_writes:
            values[:] = present[: len(values)]
        return self.refuses_writes


@asynccontextmanager
async def running_device() -> AsyncIterator[Device]:
    device = Device()
    await device.start()
    try:
        yield device
    finally:
        await device.stop()


@dataclass(frozen=True)
class Request:
    """What the gateway asked."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int

    def reply(
        self, *registers: int, transaction: int | None = None, unit: int | None = None, function: int | None = None
    ) -> bytes:
        """A correct reply, except for what is given otherwise."""
        data = struct.pack(f">BB{len(registers)}H", function or self.function, 2 * len(registers), *registers)
        header = (self.transaction if transaction is None else transaction, 0, len(data) + 1, unit or self.unit)
        return struct.pack(">HHHB", *header) + data


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_device(answer: Answer) -> AsyncIterator[int]:
    """A TCP server whose `answer` decides, byte by byte, what comes back. Gives its port."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while True:
                frame = await reader.readexactly(12)
                transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", frame)
                await answer(Request(transaction, unit, function, address, count), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
