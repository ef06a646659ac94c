"""A Modbus device as the probe asks it: one request at a time, reads only, on the gateway's own connection."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from gateway.blocks import Block
from gateway.probe.ranges import Span
from gateway.sources.modbus.connection import Connection, Endpoint
from gateway.sources.modbus.replies import Failure
from plant.config import AnyModbusSource
from plant.connections import Fault
from plant.errors import ConnectionLostError
from plant.tags import Table

_NEXT_STEPS = {
    Fault.REFUSED: "Nobody listens there: is it the right address, is Modbus TCP switched on in the device, "
    "is the port another one than 502?",
    Fault.TIMEOUT: "Nobody answers at that address: is the device on, its cable in, its address in your network? "
    "A firewall between swallows packets the same way.",
    Fault.UNREACHABLE: "Check the address and that this computer has an address in the same network (try: ping).",
}


class Device:
    """An open connection; `async with` closes it. Entering raises ConnectionLostError with what to do."""

    def __init__(self, source: AnyModbusSource) -> None:
        self._endpoint = Endpoint.of(source)
        self.endpoint = source.endpoint
        self.is_rtu = self._endpoint.is_rtu
        self.timeout_s = source.timeout_s
        self.round_trip_ms = 0.0
        self._connection: Connection | None = None
        self._reopened = False

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def read(self, unit: int, table: Table, span: Span) -> list[int] | list[bool] | Failure:
        """What the device answers. A connection that was lost is opened again for the next request."""
        connection = self._connection or await self._open()
        block = Block(unit, table, span.start, span.count, 1.0, ())
        begun = time.perf_counter()
        reply = await connection.read(block, self.timeout_s)
        self.round_trip_ms = (time.perf_counter() - begun) * 1e3
        if isinstance(reply, Failure) and reply.link_lost:
            self._close()
        return reply

    async def _open(self) -> Connection:
        self._connection = connection = Connection(self._endpoint, self.timeout_s)
        failure = await connection.open()
        if failure is not None:
            self._close()
            raise ConnectionLostError(
                f"No connection: {failure.detail}.",
                next_step=_NEXT_STEPS.get(failure.fault, "Check its address and its cable."),
            )
        if self.is_rtu and self._reopened:
            await connection.quiet(self.timeout_s)  # a reply that comes late must not pass for the next one
        self._reopened = True
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
