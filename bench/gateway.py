"""Figures of the gateway on this machine: `python -m bench.gateway` (about 70 s)."""

from __future__ import annotations

import asyncio
import random
import struct
import tempfile
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.devices import REGISTERS, devices_until_told
from gateway.blocks import Block, Limits, plan_blocks
from gateway.decode import BlockDecoder
from gateway.gateway import Gateway
from gateway.outbox import Outbox
from plant.clock import system_clock
from plant.config import PlantConfig
from plant.historian.duckdb import DuckDbHistorian
from plant.points import Point, PointBatch, Quality
from plant.tags import Table, Tag

_DEVICES, _SECONDS = 20, 15.0


def run() -> list[tuple[str, str]]:
    """Name and figure of each measurement."""
    return [decode_50_floats(), decode_125_words(), plan_1000_tags(), *outbox(), *end_to_end()]


def _tag(name: str, kind: str, address: int) -> Tag:
    return Tag(machine="m", name=name, source="plc", type=kind, address=f"holding:{address}")


def _best_us(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


def decode_50_floats() -> tuple[str, str]:
    tags = tuple(_tag(f"t{i}", "float32", 2 * i) for i in range(50))
    decoder = BlockDecoder(Block(1, Table.HOLDING, 0, 100, 1.0, tags))
    registers = list(struct.unpack(">100H", struct.pack(">50f", *range(50))))
    return "decode 50 floats, with scaling, ranges and quality", f"{_best_us(lambda: decoder(registers), 2_000):.1f} µs"


def decode_125_words() -> tuple[str, str]:
    tags = tuple(_tag(f"t{i}", "uint16", i) for i in range(125))
    decoder = BlockDecoder(Block(1, Table.HOLDING, 0, 125, 1.0, tags))
    registers = list(range(125))
    return "decode 125 words, with scaling, ranges and quality", f"{_best_us(lambda: decoder(registers), 2_000):.1f} µs"


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


def end_to_end() -> list[tuple[str, str]]:
    """Devices in one process, gateway with outbox and embedded historian in another: its CPU and memory only."""
    context = get_context("spawn")
    here, there = context.Pipe()
    devices = context.Process(target=devices_until_told, args=(there, _DEVICES), daemon=True)
    devices.start()
    try:
        ports: list[int] = here.recv()
        rows = _at_one_second(_measured(ports, 1.0, _SECONDS))
        return [*rows, _highest(ports)]
    finally:
        here.send("stop")
        devices.join(5)


def _measured(ports: list[int], poll_s: float, seconds: float) -> Seen:
    """In a process of its own, so that memory is that of the gateway."""
    context = get_context("spawn")
    here, there = context.Pipe()
    gateway = context.Process(target=_collect_and_tell, args=(there, ports, poll_s, seconds), daemon=True)
    gateway.start()
    seen: Seen = here.recv()
    gateway.join(10)
    return seen


def _at_one_second(seen: Seen) -> list[tuple[str, str]]:
    setup = f"{_DEVICES} devices × {REGISTERS} registers at 1 s"
    return [
        (f"{setup}: to the historian", f"{seen.points_per_s:,.0f} tags/s"),
        (f"{setup}: CPU, all threads", f"{seen.cpu * 100:.0f} % of a core"),
        (f"{setup}: memory with outbox and historian", f"{seen.rss_mb:.0f} MB"),
        (f"{setup}: overruns", str(seen.overruns)),
        ("device's answer → stored and readable", _spread(seen.answer_ms)),
        ("register change → stored, with the wait for the next poll (1 s)", _spread(seen.change_ms)),
    ]


def _spread(times_ms: list[float]) -> str:
    p50, p99 = np.percentile(times_ms, [50, 99])
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def _highest(ports: list[int]) -> tuple[str, str]:
    """The shortest of some poll intervals at which no poll is late and the outbox does not grow."""
    best: Seen | None = None
    for poll_s in (0.5, 0.25, 0.2, 0.15, 0.1, 0.05):
        seen = _measured(ports, poll_s, 5.0)
        if not seen.is_sustained:
            break
        best = seen
    what = "highest sustained rate tried, no late poll, outbox not growing"
    if best is None:
        return what, "below two polls a second"
    return what, f"{best.points_per_s:,.0f} tags/s at {best.cpu * 100:.0f} % of a core, {best.rss_mb:.0f} MB"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run showed."""

    points_per_s: float
    cpu: float  # of one core
    rss_mb: float
    overruns: int
    waiting: int  # points in the outbox at the end
    answer_ms: list[float]
    change_ms: list[float]

    @property
    def is_sustained(self) -> bool:
        return self.overruns == 0 and self.waiting < self.points_per_s


class _Timed:
    """The real historian; notes when the time stamps that the devices send have become readable."""

    def __init__(self, store: DuckDbHistorian) -> None:
        self._store = store
        self.points = 0
        self.answer_ms: list[float] = []
        self.change_ms: list[float] = []
        self._changed: dict[str, float] = {}

    def write(self, batch: PointBatch) -> None:
        self._store.write(batch)
        now_ns = system_clock()
        self.points += len(batch)
        stamps = [row for row, tag in enumerate(batch.tags) if tag.endswith(("answered", "changed"))]
        for row in np.flatnonzero(np.isin(batch.tag, stamps)).tolist():
            tag, stamp = batch.tags[batch.tag[row]], float(batch.value[row])
            if tag.endswith("answered"):
                self.answer_ms.append((now_ns - stamp) / 1e6)
            elif self._changed.get(tag, stamp) != stamp:
                self.change_ms.append((now_ns - stamp) / 1e6)
            if tag.endswith("changed"):
                self._changed[tag] = stamp

    def forget(self) -> None:
        self.points, self.answer_ms, self.change_ms = 0, [], []


def _collect_and_tell(pipe: Connection, ports: list[int], poll_s: float, seconds: float) -> None:
    pipe.send(asyncio.run(_collect(ports, poll_s, seconds)))


async def _collect(ports: list[int], poll_s: float, seconds: float) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDbHistorian(Path(folder) / "historian.duckdb", memory_limit_mb=256)
        timed = _Timed(store)
        historian: Any = timed
        async with Gateway(_plant(ports, poll_s), historian, Path(folder)) as gateway:
            await asyncio.sleep(2.0)
            late = sum(source.overruns for source in gateway.sources())
            timed.forget()
            cpu_s, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            cpu_s, took_s = time.process_time() - cpu_s, time.perf_counter() - began
            seen = Seen(
                timed.points / took_s,
                cpu_s / took_s,
                psutil.Process().memory_info().rss / 1e6,
                sum(source.overruns for source in gateway.sources()) - late,
                gateway.outbox().points,
                timed.answer_ms,
                timed.change_ms,
            )
        store.close()
    return seen


def _plant(ports: list[int], poll_s: float) -> PlantConfig:
    tags: dict[str, dict[str, Any]] = {
        "answered": {"type": "uint64", "address": "holding:0"},
        "changed": {"type": "uint64", "address": "holding:4"},
    }
    tags |= {f"r{i}": {"type": "uint16", "address": f"holding:{8 + i}"} for i in range(REGISTERS)}
    source = {"type": "modbus-tcp", "host": "127.0.0.1", "poll_s": poll_s}
    return PlantConfig.model_validate(
        {
            "plant": {"enterprise": "e", "site": "s", "name": "Bench"},
            "sources": {f"d{i}": {**source, "port": port} for i, port in enumerate(ports)},
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


if __name__ == "__main__":
    for name, figure in run():
        print(f"{name}: {figure}")
