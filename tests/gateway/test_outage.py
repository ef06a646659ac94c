"""An hour without the historian, compressed by a fake clock: nothing acknowledged is lost, doubled or disordered."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest

from gateway.forward import Forwarder
from gateway.outbox import Outbox
from gateway.worker import Worker
from plant.clock import HOUR, MINUTE, SECOND, Window, parse_iso
from plant.errors import HistorianError
from plant.historian.duckdb import DuckDbHistorian
from plant.points import PointBatch, Quality

START = parse_iso("2026-05-03T06:00:00Z")
TAGS = tuple(f"m.t{n}" for n in range(10))


class Flaky:
    """A real store that can be away. On its way down and up it also takes points without saying so."""

    def __init__(self, store: DuckDbHistorian) -> None:
        self.store = store
        self.away = False
        self.refused = 0
        self.takes_unsaid, self.chance = 0.3, random.Random(1)

    def write(self, batch: PointBatch) -> None:
        if self.away:
            self.refused += 1
            if self.chance.random() < self.takes_unsaid:
                self.store.write(batch)
            raise HistorianError("The store is away.")
        self.store.write(batch)


class Line:
    """Outbox and forwarder under a clock that the test moves."""

    def __init__(self, folder: Path, **bounds: int) -> None:
        self.now_ns = START
        self.folder, self.bounds = folder, bounds
        self.historian = Flaky(DuckDbHistorian(folder / "h.duckdb", clock=lambda: self.now_ns))
        self.workers = Worker("outbox"), Worker("historian")
        self.open()

    def open(self) -> None:
        self.outbox = Outbox(self.folder / "o.sqlite", lambda: self.now_ns, **self.bounds)

        async def take(batch: PointBatch) -> None:
            await self.workers[1].call(lambda: self.historian.write(batch))

        self.forwarder = Forwarder(self.outbox, self.workers[0], take)

    async def produce(self, minutes: int) -> None:
        """One point of every tag each second; committed every ten seconds, as under load."""
        n = len(TAGS)
        for _ in range(minutes * 6):
            batches = []
            for _ in range(10):
                self.now_ns += SECOND
                second = (self.now_ns - START) // SECOND
                columns = (
                    np.full(n, self.now_ns, np.int64),
                    np.full(n, float(second)),
                    np.full(n, Quality.GOOD, np.uint8),
                )
                batches.append(PointBatch(TAGS, np.arange(n, dtype=np.int32), *columns))
            await self.workers[0].call(lambda made=tuple(batches): self.outbox.append(made))
            self.forwarder.wake()

    def stored(self, tag: str) -> tuple[list[int], list[float]]:
        series = self.historian.store.range(tag, Window(START, START + 10 * HOUR))
        return series.time_ns.tolist(), series.value.tolist()

    def close(self) -> None:
        self.outbox.close()
        for worker in self.workers:
            worker.close()
        self.historian.store.close()


async def an_hour_away(line: Line) -> None:
    """Ten minutes of work, an hour's outage with a restart of the gateway in it, ten minutes of work."""
    sending = asyncio.create_task(line.forwarder.run())
    await line.produce(10)
    await line.forwarder.flush()
    line.historian.away = True
    await line.produce(30)
    sending.cancel()
    await asyncio.wait([sending])
    await line.workers[0].call(line.outbox.close)
    line.open()
    sending = asyncio.create_task(line.forwarder.run())
    await line.produce(30)
    assert line.historian.refused
    assert line.forwarder.failure == "The store is away."
    line.historian.away = False
    await line.produce(10)
    sending.cancel()
    await asyncio.wait([sending])
    await line.forwarder.flush()


async def test_an_hour_without_the_historian(tmp_path: Path) -> None:
    line = Line(tmp_path)
    await an_hour_away(line)
    seconds = range(1, 80 * 60 + 1)
    for tag in TAGS:
        times, values = line.stored(tag)
        assert times == [START + second * SECOND for second in seconds]
        assert values == list(map(float, seconds))
    status = line.outbox.status()
    assert (status.points, status.dropped_points) == (0, 0)
    line.close()


async def test_a_full_outbox_drops_the_oldest_counts_it_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = Line(tmp_path, max_age_ns=20 * MINUTE)
    line.historian.takes_unsaid = 0.0
    await an_hour_away(line)
    status = line.outbox.status()
    assert "the outbox is full: dropped the oldest" in caplog.text
    _, values = line.stored(TAGS[0])
    assert values == sorted(set(values)), "in order, once"
    assert values[-1] == 80 * 60
    newest = [value for value in values if value > 60 * 60]
    assert newest == list(map(float, range(60 * 60 + 1, 80 * 60 + 1))), "what was young enough is all there"
    assert status.dropped_points == (80 * 60 - len(values)) * len(TAGS) > 0, "all that is missing is counted"
    line.close()
