"""Modbus devices that cost almost nothing, for measuring who reads them. Every register changes at every read.

Registers 0–3 hold the time of the answer (ns since 1970), 4–7 the time at which the device last changed that value,
8 … the words.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

REGISTERS = 500
_CHANGES_EVERY_NS = 1_700_000_000


def devices_until_told(pipe: Connection, count: int) -> None:
    """Serves so many devices, tells their ports, and ends when anything is sent."""
    asyncio.run(_serve(pipe, count))


async def _serve(pipe: Connection, count: int) -> None:
    servers = [await asyncio.start_server(_device(seed), "127.0.0.1", 0) for seed in range(count)]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.to_thread(pipe.recv)
    for server in servers:
        server.close()


def _device(seed: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    chance = random.Random(seed)
    noise = chance.randbytes(4 * REGISTERS)
    phase = chance.randrange(_CHANGES_EVERY_NS)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await reader.readexactly(12)
                transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", frame)
                now_ns = time.time_ns()
                changed_ns = now_ns - (now_ns - phase) % _CHANGES_EVERY_NS
                shift = 2 * chance.randrange(REGISTERS - 8)
                memory = struct.pack(">QQ", now_ns, changed_ns) + noise[shift : shift + 2 * REGISTERS]
                data = memory[2 * address : 2 * (address + count)]
                writer.write(struct.pack(">HHHBBB", transaction, 0, len(data) + 3, unit, function, len(data)) + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return serve
