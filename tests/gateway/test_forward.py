from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.collector import Committer, SupervisedSource, supervise
from gateway.forward import Forwarder
from gateway.outbox import Outbox
from gateway.sources.base import Emit
from gateway.worker import Worker
from plant.clock import system_clock
from plant.connections import Fault, Link, SourceStatus
from plant.errors import ResourceError
from plant.points import Point, PointBatch, Quality
from tests.gateway.support import Recorder, RecordingHistorian, eventually


def batch(start: int, count: int = 1) -> PointBatch:
    return PointBatch.of([Point("m.x", i, float(i), Quality.GOOD) for i in range(start, start + count)])


class Way:
    """Outbox, forwarder and historian with their threads."""

    def __init__(self, folder: Path) -> None:
        self.historian = RecordingHistorian()
        self.outbox = Outbox(folder / "o.sqlite", system_clock)
        self.workers = Worker("outbox"), Worker("historian")
        self.forwarder = Forwarder(self.outbox, self.workers[0], self._write)

    async def _write(self, batch: PointBatch) -> None:
        await self.workers[1].call(lambda: self.historian.write(batch))

    def times(self) -> list[int]:
        return [point.time_ns for point in self.historian.points]


@pytest_asyncio.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    built = Way(tmp_path)
    task = asyncio.create_task(built.forwarder.run())
    yield built
    task.cancel()
    await asyncio.wait([task])
    await built.workers[0].call(built.outbox.close)
    for worker in built.workers:
        worker.close()


async def append(way: Way, *batches: PointBatch) -> None:
    await way.workers[0].call(lambda: way.outbox.append(batches))
    way.forwarder.wake()


async def test_in_order_merged_and_deleted_only_when_taken(way: Way) -> None:
    await append(way, *[batch(i) for i in range(50)])
    await eventually(lambda: way.outbox.status().forwarded_points == 50)
    assert way.times() == list(range(50))
    assert len(way.historian.batches) <= 2, "merged"
    assert way.outbox.status().batches == 0


async def test_a_historian_that_is_away_for_a_while_loses_and_doubles_nothing(way: Way) -> None:
    way.historian.failing = True
    for i in range(20):
        await append(way, batch(10 * i, 10))
    await eventually(lambda: way.historian.refused >= 3)
    assert way.outbox.status().points == 200
    assert way.forwarder.failure == "The store is away."
    way.historian.failing = False
    await eventually(lambda: way.outbox.status().points == 0)
    assert way.times() == list(range(200))
    assert way.outbox.status().forwarded_points == 200
    assert way.forwarder.failure == ""


async def test_a_large_backlog_goes_in_bounded_pieces(way: Way) -> None:
    way.historian.failing = True
    await append(way, *[batch(5_000 * i, 5_000) for i in range(13)])
    way.historian.failing = False
    await eventually(lambda: way.outbox.status().points == 0)
    assert way.times() == list(range(65_000))
    assert max(map(len, way.historian.batches)) <= 20_000


async def test_emit_returns_only_after_the_commit_and_commits_are_grouped() -> None:
    groups: list[int] = []
    gate = asyncio.Event()

    async def append_slowly(batches: Sequence[PointBatch]) -> None:
        await gate.wait()
        groups.append(len(batches))

    committer = Committer(append_slowly)
    run = asyncio.create_task(committer.run())
    emits = [asyncio.create_task(committer.emit(batch(i))) for i in range(20)]
    await asyncio.sleep(0.05)
    assert not any(emit.done() for emit in emits)
    gate.set()
    await asyncio.gather(*emits)
    await committer.drain()
    assert sum(groups) == 20
    assert len(groups) <= 2
    run.cancel()
    await asyncio.wait([run])


async def test_a_full_disk_holds_the_sources_up_until_there_is_room(caplog: pytest.LogCaptureFixture) -> None:
    full, stored = True, Recorder()

    async def append_when_there_is_room(batches: Sequence[PointBatch]) -> None:
        if full:
            raise ResourceError("The disk is full.", next_step="Make room.")
        for b in batches:
            await stored(b)

    committer = Committer(append_when_there_is_room)
    run = asyncio.create_task(committer.run())
    emits = [asyncio.create_task(committer.emit(batch(i))) for i in range(5)]
    await asyncio.sleep(0.3)
    assert not any(emit.done() for emit in emits)
    assert caplog.text.count("Make room.") == 1
    full = False
    await asyncio.gather(*emits)
    assert [p.time_ns for p in stored.points] == list(range(5))
    run.cancel()
    await asyncio.wait([run])


class Crashing:
    """A source with a fault of ours in it: crashes twice, then works."""

    name = "faulty"

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, emit: Emit) -> None:
        self.runs += 1
        if self.runs < 3:
            raise ZeroDivisionError("oops")
        await emit(batch(1))

    def status(self) -> SourceStatus:
        return SourceStatus("faulty", "test", "", Link.CONNECTED, 0)


async def test_a_fault_of_ours_is_logged_shown_and_outlived(caplog: pytest.LogCaptureFixture) -> None:
    source, emit = Crashing(), Recorder()
    supervised = SupervisedSource(source)
    task = asyncio.create_task(supervised.run(emit))
    await eventually(lambda: source.runs == 1)
    await asyncio.sleep(0)
    status = supervised.status()
    assert (status.fault, status.link, status.detail) == (Fault.INTERNAL, Link.DISCONNECTED, "ZeroDivisionError: oops")
    await task
    assert len(emit.points) == 1
    assert supervised.status().fault is Fault.NONE
    assert supervised.status().errors == {Fault.INTERNAL: 2}
    assert caplog.text.count("Traceback") == 2


async def test_supervision_ends_with_cancellation() -> None:
    task = asyncio.create_task(supervise("x", asyncio.Event().wait, lambda _: None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
