"""One open link to one endpoint: asks one thing at a time, and believes no reply that it has not checked.

pymodbus does framing and transaction ids. The rest is ours, because the client (3.16) starts no reconnect after a
failed first connect, returns replies of the wrong function or length as success, lets transaction id 0 pass, waits
the whole time-out when the link drops and, on RTU, takes a late reply for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from gateway.blocks import Block
from gateway.sources.modbus.replies import Expected, Failure, cells_of, lost, no_answer, wrong
from plant.config import AnyModbusSource, ModbusRtuSource, Parity
from plant.connections import Fault
from plant.points import Quality
from plant.tags import Table

# pymodbus logs every time-out of a dead device as an error; what matters of that is in our status and log.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what asyncio logs when pymodbus cannot take a reply apart and lets its exception go: a nonsense device
    would fill the log with tracebacks. All else that asyncio says passes."""
    return not (record.exc_info and isinstance(record.exc_info[1], ModbusIOException))


logging.getLogger("asyncio").addFilter(_is_news)

Client = AsyncModbusTcpClient | AsyncModbusSerialClient
_PARITY = {Parity.NONE: "N", Parity.EVEN: "E", Parity.ODD: "O"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a link leads and how it is opened: sources with equal endpoints share one."""

    kind: str
    place: str  # host:port or serial port
    host: str = ""
    port: int = 0
    serial: tuple[int, Parity, int] | None = None  # baudrate, parity, stop bits

    @classmethod
    def of(cls, source: AnyModbusSource) -> Endpoint:
        if isinstance(source, ModbusRtuSource):
            serial = (source.baudrate, source.parity, source.stopbits)
            return cls(source.type, source.endpoint, serial=serial)
        return cls(source.type, source.endpoint, source.host, source.port)

    @property
    def is_rtu(self) -> bool:
        return self.kind != "modbus-tcp"


class Connection:
    """One socket or serial port. `open` once, then `read`; `close` ends it for good."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._endpoint, self._rtu = endpoint, endpoint.is_rtu
        self._client = self._make_client(timeout_s)
        self._packet = b""  # all that has come since the request, or its last piece: tells why a reply was not taken
        self._expected: Expected | None = None  # None: nothing was asked
        self.unasked = False  # bytes came that nobody had asked for

    def _make_client(self, timeout_s: float) -> Client:
        common: dict[str, Any] = {
            "timeout": timeout_s,
            "retries": 0,
            "reconnect_delay": 0,
            "trace_packet": self._saw_packet,
            "trace_connect": self._saw_connect,
        }
        if self._endpoint.serial is not None:
            baudrate, parity, stopbits = self._endpoint.serial
            common |= {"baudrate": baudrate, "parity": _PARITY[parity], "stopbits": stopbits}
            return AsyncModbusSerialClient(self._endpoint.place, **common)
        framer = FramerType.RTU if self._rtu else FramerType.SOCKET
        return AsyncModbusTcpClient(self._endpoint.host, port=self._endpoint.port, framer=framer, **common)

    async def open(self) -> Failure | None:
        """None when connected."""
        client = self._client
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
        connected = await client.connect()
        _end_if_cancelled()
        if connected:
            return None
        place = self._endpoint.place
        if error is None:
            detail, fault = f"{place}: no connection within {self._timeout_s:g} s", Fault.TIMEOUT
        else:
            detail = f"{place}: {error}"
            fault = Fault.REFUSED if isinstance(error, ConnectionRefusedError) else Fault.UNREACHABLE
        return Failure(Quality.BAD_NOT_CONNECTED, fault, detail, link_lost=True)

    async def read(self, block: Block, timeout_s: float) -> list[int] | list[bool] | Failure:
        """The block's registers or bits, or why not."""
        call = {
            Table.COIL: self._client.read_coils,
            Table.DISCRETE: self._client.read_discrete_inputs,
            Table.HOLDING: self._client.read_holding_registers,
            Table.INPUT: self._client.read_input_registers,
        }[block.table]
        reply = await self.ask(
            lambda: call(block.start, count=block.count, device_id=block.unit), Expected.of(block), timeout_s
        )
        return reply if isinstance(reply, Failure) else cells_of(block, reply)

    async def ask(
        self, send: Callable[[], Awaitable[ModbusPDU]], expected: Expected, timeout_s: float
    ) -> ModbusPDU | Failure:
        """The checked reply to one request."""
        if self.unasked or self._client.ctx.recv_buffer:  # a late reply, or its front: its rest could pass as an answer
            return wrong("part of an earlier reply was left over", link_lost=True)
        self._client.comm_params.timeout_connect = self._client.ctx.comm_params.timeout_connect = timeout_s
        self._packet, self._expected = b"", expected
        try:
            reply = await send()
            _end_if_cancelled()
        except _NotTheAnswer as mistake:
            return wrong(str(mistake), link_lost=True)
        except ConnectionException as error:
            return self._undecodable() or lost(str(error))
        except ModbusException:
            # retries=0: the only other thing that pymodbus raises from a request is "no response".
            # On RTU a late reply could pass as the next answer: the link is given up with it.
            return self._stranger(expected) or no_answer(f"no answer within {timeout_s:g} s", link_lost=self._rtu)
        finally:
            self._expected = None
        failure = expected.failure(reply, self._client.ctx.request_transaction_id)
        return reply if failure is None else failure

    async def quiet(self, wait_s: float) -> None:
        """Returns when nothing has come for so long (or has not stopped coming for four times as long).

        On a line a reply can come later than the time-out and after the port was opened again.
        """
        for _ in range(4):
            self.unasked = False
            await asyncio.sleep(wait_s)
            self._client.ctx.recv_buffer = b""
            if not self.unasked:
                return

    def close(self) -> None:
        self._client.close()

    @property
    def client(self) -> Client:
        """For writing.py, the only module that writes."""
        return self._client

    @property
    def _timeout_s(self) -> float:
        return float(self._client.comm_params.timeout_connect)

    def _stranger(self, expected: Expected) -> Failure | None:
        """A reply to this very request that pymodbus skipped because another unit gave it."""
        if self._answers_request() and self._packet[6] != expected.unit:
            return wrong(f"unit {self._packet[6]} answered instead of {expected.unit}")
        return None

    def _undecodable(self) -> Failure | None:
        """pymodbus drops the link over a reply that it cannot decode."""
        if self._answers_request():
            return wrong(f"a reply that cannot be decoded: {self._packet[:8].hex(' ')} …", link_lost=True)
        return None

    def _answers_request(self) -> bool:
        asked = self._client.ctx.request_transaction_id
        return not self._rtu and len(self._packet) >= 8 and int.from_bytes(self._packet[:2], "big") == asked

    def _saw_packet(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 — pymodbus calls it so
        if sending:
            return data
        self._packet = data
        if self._expected is None:
            self.unasked = self._rtu
            return b"" if self._rtu else data
        if self._rtu and (mistake := self._expected.rtu_mistake(data)):
            self._give_up(_NotTheAnswer(mistake))
            return b""
        return data

    def _saw_connect(self, connected: bool) -> None:  # noqa: FBT001 — pymodbus calls it so
        if not connected and self._expected is not None:
            self._give_up(ConnectionException("the device closed the connection"))

    def _give_up(self, error: Exception) -> None:
        future = self._client.ctx.response_future
        if not future.done():
            future.set_exception(error)


def _end_if_cancelled() -> None:
    """`asyncio.wait_for` of Python 3.11, inside pymodbus, loses a cancellation that comes together with the reply."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class _NotTheAnswer(Exception):  # noqa: N818 — never leaves this module
    """An RTU frame that cannot be the reply that is waited for."""
