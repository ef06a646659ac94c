"""What several tests of the gateway share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from plant.config import PlantConfig
from plant.errors import HistorianError
from plant.points import Point, PointBatch
from plant.tags import Tag


def tag(name: str = "x", **fields: Any) -> Tag:
    return Tag(machine="m", name=name, source=fields.pop("source", "plc"), **fields)


def plant(sources: dict[str, Any], tags: dict[str, Any]) -> PlantConfig:
    """A plant with one machine `m`."""
    machine = {"name": "M", "area": "a", "line": "l", "tags": tags}
    return PlantConfig.model_validate(
        {
            "plant": {"enterprise": "ent", "site": "site", "name": "Test"},
            "sources": sources,
            "machines": {"m": machine},
        }
    )


class RecordingHistorian:
    """Keeps what was written; can be told to fail. Only `write` of the port: the gateway calls nothing else."""

    def __init__(self) -> None:
        self.batches: list[PointBatch] = []
        self.failing = False
        self.refused = 0

    def write(self, batch: PointBatch) -> None:
        if self.failing:
            self.refused += 1
            raise HistorianError("The store is away.")
        self.batches.append(batch)

    @property
    def points(self) -> list[Point]:
        return [point for batch in self.batches for point in batch]


class Recorder:
    """An `emit` that remembers, for tests of one source."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    async def __call__(self, batch: PointBatch) -> None:
        self.points += list(batch)

    def of(self, name: str) -> list[Point]:
        return [point for point in self.points if point.tag == f"m.{name}"]


async def eventually(condition: Callable[[], object], within_s: float = 8.0) -> None:
    """Waits for something that real sockets and processes bring about."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
