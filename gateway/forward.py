"""Outbox → historian and outputs: in order, in merged batches, done with only after they were taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.outbox import HISTORIAN, Outbox
from gateway.schedule import Backoff
from gateway.worker import Worker
from plant.errors import ResourceError
from plant.points import PointBatch

log = logging.getLogger(__name__)

Take = Callable[[PointBatch], Awaitable[object]]
"""Takes a batch: returns when it is safe there, raises ResourceError when it cannot be now."""

_LIMIT_POINTS = 20_000
_LINGER_S = 0.1
"""Small batches gather for so long: the historian prefers few larger ones."""


class Forwarder:
    """Sends until cancelled what one consumer of the outbox lacks. After a crash it sends some of it again."""

    def __init__(
        self,
        outbox: Outbox,
        outbox_worker: Worker,
        take: Take,
        consumer: str = HISTORIAN,
        *,
        limit_points: int = _LIMIT_POINTS,
    ) -> None:
        self._outbox, self._outbox_worker = outbox, outbox_worker
        self._take, self._consumer, self._limit = take, consumer, limit_points
        self._appended = asyncio.Event()
        self.failure = ""  # why it does not take points now

    def wake(self) -> None:
        """Something was appended."""
        self._appended.set()

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            self._appended.clear()
            try:
                left = await self._send_some()
            except ResourceError as error:
                if not self.failure:
                    log.warning("points for the %s wait in the outbox: %s", self._consumer, error)
                self.failure = str(error)
                await asyncio.sleep(backoff.next())
                continue
            if self.failure:
                log.info("the %s takes points again", self._consumer)
            self.failure = ""
            backoff.reset()
            if not left:
                await self._appended.wait()
            if left < self._limit:
                await asyncio.sleep(_LINGER_S)

    async def flush(self) -> None:
        """Sends everything that waits. Raises ResourceError when it is not taken."""
        while await self._send_some():
            pass

    async def _send_some(self) -> int:
        """How many points are left."""
        consumer, limit = self._consumer, self._limit
        found = await self._outbox_worker.call(lambda: self._outbox.oldest(limit, consumer))
        if not found:
            return 0
        await self._take(PointBatch.concat([batch for _, batch in found]))
        newest = found[-1][0]
        await self._outbox_worker.call(lambda: self._outbox.done_up_to(newest, consumer))
        return self._outbox.status(consumer).points
