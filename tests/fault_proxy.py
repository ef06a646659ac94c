"""A TCP relay between the gateway and a Modbus server that spoils replies, for Modbus TCP and RTU over TCP.

Each reply meets at most one `Fault`, chosen by the random generator that the test seeds. Data bytes are never
changed: on Modbus TCP nothing can tell a changed register from a real one (TCP's own checksum is the guard), so
GARBLE changes what a checker can see there: protocol id, length field or function. On RTU it flips a bit anywhere,
for the CRC is there to catch it. What can pass as right is never made: WRONG_UNIT and the like come with a good CRC.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from random import Random

from pymodbus.framer import FramerRTU

EXCEPTIONS = (1, 2, 3, 4, 6, 10, 11)


class Fault(StrEnum):
    DELAY = "delay"  # late, but in time
    LATE = "late"  # after the time-out, when the next request may be waiting
    SILENT = "silent"
    CUT = "cut"  # the connection breaks, before the reply or in the middle of it
    SPLIT = "split"  # byte by byte
    MERGE = "merge"  # the reply twice in one piece
    GARBLE = "garble"
    WRONG_UNIT = "wrong unit"
    WRONG_FUNCTION = "wrong function"
    WRONG_LENGTH = "wrong length"
    WRONG_TRANSACTION = "wrong transaction"  # Modbus TCP only
    EXCEPTION = "exception"


class FaultProxy:
    """`async with FaultProxy(port, …) as proxy`: connect to `proxy.port`. `share` of the replies meet a fault."""

    def __init__(
        self, target: int, random: Random, *, rtu: bool = False, share: float = 0.0, timeout_s: float = 0.1
    ) -> None:
        self._target, self._random, self._rtu = target, random, rtu
        self.share, self._timeout_s = share, timeout_s
        self.kinds = [kind for kind in Fault if not (rtu and kind is Fault.WRONG_TRANSACTION)]
        self.choose: Callable[[int], Fault | None] = self._by_chance
        self.done: Counter[Fault] = Counter()
        self.port = 0
        self.connections = 0
        self.requests: list[tuple[float, int]] = []  # when (loop time) which unit was asked
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _by_chance(self, _unit: int) -> Fault | None:
        return self._random.choice(self.kinds) if self._random.random() < self.share else None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        late: set[asyncio.Task[None]] = set()
        try:
            with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, _CutError):
                while True:
                    request = await reader.readexactly(8 if self._rtu else 12)
                    self.requests.append((asyncio.get_running_loop().time(), request[0 if self._rtu else 6]))
                    up_writer.write(request)
                    frame = await self._reply(up_reader)
                    await self._answer(frame, writer, late)
        finally:
            for one in late:
                one.cancel()
            up_writer.close()
            writer.close()
            self._tasks.discard(task)

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        if not self._rtu:
            head = await reader.readexactly(6)
            return head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
        head = await reader.readexactly(3)
        return head + await reader.readexactly(2 if head[1] & 0x80 else head[2] + 2)

    async def _answer(self, frame: bytes, writer: asyncio.StreamWriter, late: set[asyncio.Task[None]]) -> None:
        fault = self.choose(frame[0 if self._rtu else 6])
        if fault is None:
            writer.write(frame)
            return
        self.done[fault] += 1
        if fault is Fault.LATE:
            late.add(asyncio.create_task(self._later(frame, writer)))
        elif fault is Fault.DELAY:
            await asyncio.sleep(self._timeout_s * self._random.uniform(0.1, 0.6))
            writer.write(frame)
        elif fault is Fault.SPLIT:
            for byte in frame:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
        elif fault is Fault.CUT:
            writer.write(frame[: self._random.randrange(len(frame))])
            raise _CutError
        elif fault is not Fault.SILENT:
            writer.write(frame + frame if fault is Fault.MERGE else self._changed(frame, fault))

    async def _later(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._timeout_s * self._random.uniform(1.05, 2.5))
        writer.write(frame)

    def _changed(self, frame: bytes, fault: Fault) -> bytes:
        if self._rtu:
            return self._changed_rtu(frame, fault)
        head, unit, pdu = bytearray(frame[:6]), frame[6], frame[7:]
        if fault is Fault.WRONG_TRANSACTION:
            head[:2] = struct.pack(">H", (int.from_bytes(head[:2], "big") + self._random.randrange(1, 9)) % 65_536)
        elif fault is Fault.GARBLE:
            at = self._random.choice((2, 3, 4, 5, 7))
            garbled = bytearray(bytes(head) + bytes([unit]) + pdu)
            garbled[at] ^= 1 << self._random.randrange(8)
            return bytes(garbled)
        unit, pdu = self._changed_pdu(unit, pdu, fault)
        head[4:6] = struct.pack(">H", len(pdu) + 1)
        return bytes(head) + bytes([unit]) + pdu

    def _changed_rtu(self, frame: bytes, fault: Fault) -> bytes:
        if fault is Fault.GARBLE:
            garbled = bytearray(frame)
            garbled[self._random.randrange(len(frame))] ^= 1 << self._random.randrange(8)
            return bytes(garbled)
        unit, pdu = self._changed_pdu(frame[0], frame[1:-2], fault)
        body = bytes([unit]) + pdu
        return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")

    def _changed_pdu(self, unit: int, pdu: bytes, fault: Fault) -> tuple[int, bytes]:
        if fault is Fault.WRONG_UNIT:
            return unit % 247 + 1, pdu
        if fault is Fault.EXCEPTION:
            return unit, bytes([pdu[0] | 0x80, self._random.choice(EXCEPTIONS)])
        if fault is Fault.WRONG_FUNCTION:
            return unit, bytes([pdu[0] ^ 7]) + pdu[1:]
        if fault is Fault.WRONG_LENGTH:
            longer = self._random.random() < 0.5
            data = pdu[2:] + b"\x12\x34" if longer else pdu[2:-2]
            return unit, bytes([pdu[0], len(data)]) + data
        return unit, pdu


class _CutError(Exception):
    pass
