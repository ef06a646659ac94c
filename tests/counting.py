"""A device and a machine that number what they tell: whatever is lost, doubled or out of order shows."""

from __future__ import annotations

import asyncio
import struct
import threading
import time

from tests.brokers import Publisher


class CountingPlc:
    """A Modbus server whose register pair grows by one at every read: a lost read leaves a hole."""

    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, _, _, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                await reader.readexactly(5)
                self.reads += 1
                writer.write(struct.pack(">HHHBBBI", transaction, 0, 7, unit, 3, 4, self.reads))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def publish(port: int, stop: threading.Event) -> int:
    """One numbered message after the other; each waits until the broker has it. Gives the last number."""
    async with Publisher(port) as machine:
        number = 0
        while not stop.is_set():
            number += 1
            await machine.send("m/sent", f'{{"n": {number}, "t": {time.time_ns()}}}')
            await asyncio.sleep(0.002)
    return number
