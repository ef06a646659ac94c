"""Runs the sources, one supervised task each, and commits what they deliver to the outbox, many batches at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.schedule import Backoff
from gateway.sources.base import Emit, Source
from plant.connections import Fault, Link, SourceStatus
from plant.errors import ResourceError
from plant.points import PointBatch

log = logging.getLogger(__name__)

_MAX_WAITING = 1_000
"""Batches that wait for a commit. Sources that deliver more are held up, and with them their devices and brokers."""
_MAX_COMMIT_POINTS = 50_000
_STEADY_S = 60.0


async def supervise(name: str, run: Callable[[], Awaitable[None]], crashed: Callable[[str], None]) -> None:
    """Runs until it returns. An unexpected exception is logged, told (an empty text: running again) and outlived."""
    backoff = Backoff(first_s=0.5)
    while True:
        started = time.monotonic()
        try:
            crashed("")
            await run()
        except Exception as error:
            log.exception("%s stopped unexpectedly and will be started again", name)
            crashed(f"{type(error).__name__}: {error}")
        else:
            return
        if time.monotonic() - started > _STEADY_S:
            backoff.reset()
        await asyncio.sleep(backoff.next())


class SupervisedSource:
    """A source that outlives its own faults."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._crash, self._crashes = "", 0

    async def run(self, emit: Emit) -> None:
        await supervise(self.source.name, lambda: self.source.run(emit), self._crashed)

    def _crashed(self, detail: str) -> None:
        self._crash = detail
        self._crashes += bool(detail)

    def status(self) -> SourceStatus:
        status = self.source.status()
        if self._crashes:
            status = replace(status, errors={**status.errors, Fault.INTERNAL: self._crashes})
        if self._crash:
            status = replace(status, link=Link.DISCONNECTED, fault=Fault.INTERNAL, detail=self._crash)
        return status


class Committer:
    """Group commit: `emit` returns after its batch is on disk; whatever came meanwhile goes in one transaction."""

    def __init__(self, append: Callable[[Sequence[PointBatch]], Awaitable[object]]) -> None:
        self._append = append
        self._waiting: asyncio.Queue[tuple[PointBatch, asyncio.Future[None]]] = asyncio.Queue(_MAX_WAITING)

    async def emit(self, batch: PointBatch) -> None:
        done = asyncio.get_running_loop().create_future()
        await self._waiting.put((batch, done))
        await done

    async def run(self) -> None:
        while True:
            group = [await self._waiting.get()]
            points = len(group[0][0])
            while points < _MAX_COMMIT_POINTS and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
                points += len(group[-1][0])
            await self._commit(group)
            for _ in group:
                self._waiting.task_done()

    async def drain(self) -> None:
        """Returns when nothing waits any more."""
        await self._waiting.join()

    async def _commit(self, group: Sequence[tuple[PointBatch, asyncio.Future[None]]]) -> None:
        """Tries until the disk takes it: meanwhile the queue fills and the sources wait."""
        backoff = Backoff(cap_s=5.0)
        told = False
        while True:
            try:
                await self._append([batch for batch, _ in group])
            except ResourceError as error:
                if not told:
                    log.error("%s %s", error, error.next_step)
                told = True
                await asyncio.sleep(backoff.next())
            except Exception as error:  # noqa: BLE001 — goes to the supervisors of the sources that wait
                _settle(group, error)
                return
            else:
                _settle(group, None)
                return


def _settle(group: Sequence[tuple[PointBatch, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in group:
        if done.done():  # its source was cancelled meanwhile
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
