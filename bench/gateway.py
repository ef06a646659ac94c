"""Figures of the gateway on this machine: `python -m bench.gateway` (about 15 s)."""

from __future__ import annotations

import asyncio
import random
import struct
import tempfile
import time
import timeit
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.blocks import Block, Limits, plan_blocks
from gateway.decode import BlockDecoder
from gateway.gateway import Gateway
from gateway.outbox import Outbox
from plant.clock import system_clock
from plant.config import PlantConfig
from plant.points import Point, PointBatch, Quality
from plant.tags import Table, Tag

_DEVICES, _REGISTERS, _SECONDS = 20, 100, 8.0


def run() -> list[tuple[str, str]]:
    """Name and figure of each measurement."""
    return [decode_50_floats(), plan_1000_tags(), *outbox(), *end_to_end()]


def _tag(name: str, kind: str, address: int) -> Tag:
    return Tag(machine="m", name=name, source="plc", type=kind, address=f"holding:{address}")


def _best_us(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


def decode_50_floats() -> tuple[str, str]:
    tags = tuple(_tag(f"t{i}", "float32", 2 * i) for i in range(50))
    decoder = BlockDecoder(Block(1, Table.HOLDING, 0, 100, 1.0, tags))
    registers = list(struct.unpack(">100H", struct.pack(">50f", *range(50))))
    return "decode 50 floats, with scaling, ranges and quality", f"{_best_us(lambda: decoder(registers), 2_000):.1f} µs"


def plan_1000_tags() -> tuple[str, str]:
    tags = [_tag(f"t{i}", "float32", at) for i, at in enumerate(random.Random(1).sample(range(0, 20_000, 2), 1_000))]
    return "plan 1 000 tags", f"{_best_us(lambda: plan_blocks(tags, Limits(), unit=1, poll_s=1.0), 5) / 1e3:.1f} ms"


def outbox(batches: int = 2_000, points: int = 50) -> list[tuple[str, str]]:
    """Group commits of 20 batches, then drained in pieces of 20 000 points as the forwarder does."""
    batch = PointBatch.of([Point(f"m.t{i}", i, float(i), Quality.GOOD) for i in range(points)])
    with tempfile.TemporaryDirectory() as folder:
        box = Outbox(Path(folder) / "outbox.sqlite", system_clock)
        started = time.perf_counter()
        for _ in range(batches // 20):
            box.append([batch] * 20)
        appended = time.perf_counter()
        while found := box.oldest(20_000):
            PointBatch.concat([item for _, item in found])
            box.done_up_to(found[-1][0])
        drained = time.perf_counter()
        box.close()
    total = batches * points
    return [
        ("outbox append, on disk", f"{total / (appended - started):,.0f} points/s"),
        ("outbox append and drain", f"{total / (drained - started):,.0f} points/s"),
    ]


class _Counting:
    """A historian that only counts."""

    def __init__(self) -> None:
        self.points = 0

    def write(self, batch: PointBatch) -> None:
        self.points += len(batch)


def end_to_end() -> list[tuple[str, str]]:
    """Devices in a process of their own; CPU of the gateway's process only."""
    context = get_context("spawn")
    here, there = context.Pipe()
    devices = context.Process(target=_serve, args=(there,), daemon=True)
    devices.start()
    try:
        ports: list[int] = here.recv()
        points, cpu_s, overruns = asyncio.run(_collect(ports))
    finally:
        here.send("stop")
        devices.join(5)
    return [
        (f"{_DEVICES} devices × {_REGISTERS} registers at 1 s: CPU", f"{cpu_s / _SECONDS * 100:.1f} % of a core"),
        (f"{_DEVICES} devices × {_REGISTERS} registers at 1 s: to the historian", f"{points / _SECONDS:,.0f} points/s"),
        (f"{_DEVICES} devices × {_REGISTERS} registers at 1 s: overruns", str(overruns)),
    ]


async def _collect(ports: list[int]) -> tuple[int, float, int]:
    historian: Any = _Counting()
    with tempfile.TemporaryDirectory() as folder:
        async with Gateway(_plant(ports), historian, Path(folder)) as gateway:
            await asyncio.sleep(1.5)
            points, cpu_s = historian.points, time.process_time()
            await asyncio.sleep(_SECONDS)
            points, cpu_s = historian.points - points, time.process_time() - cpu_s
            overruns = sum(source.overruns for source in gateway.sources())
    return points, cpu_s, overruns


def _plant(ports: list[int]) -> PlantConfig:
    tags = {f"r{i}": {"type": "uint16", "address": f"holding:{i}"} for i in range(_REGISTERS)}
    return PlantConfig.model_validate(
        {
            "plant": {"enterprise": "e", "site": "s", "name": "Bench"},
            "sources": {f"d{i}": {"type": "modbus-tcp", "host": "127.0.0.1", "port": p} for i, p in enumerate(ports)},
            "machines": {
                f"d{i}": {
                    "name": f"d{i}",
                    "area": "a",
                    "line": "l",
                    "tags": {name: {**fields, "source": f"d{i}"} for name, fields in tags.items()},
                }
                for i in range(len(ports))
            },
        }
    )


def _serve(pipe: Connection) -> None:
    asyncio.run(_serve_until_told(pipe))


async def _serve_until_told(pipe: Connection) -> None:
    servers = []
    for _ in range(_DEVICES):
        registers = SimData(0, count=_REGISTERS, values=7, datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(1, [registers]), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        servers.append(server)
    pipe.send([server.transport.sockets[0].getsockname()[1] for server in servers])
    await asyncio.to_thread(pipe.recv)
    for server in servers:
        await server.shutdown()


if __name__ == "__main__":
    for name, figure in run():
        print(f"{name}: {figure}")
