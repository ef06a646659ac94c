"""Outbox → historian: in order, in merged batches, deleted only after the historian has taken them."""

from __future__ import annotations

import asyncio
import logging

from gateway.outbox import Outbox
from gateway.schedule import Backoff
from gateway.worker import Worker
from plant.errors import ResourceError
from plant.historian.base import Historian
from plant.points import PointBatch

log = logging.getLogger(__name__)

_LIMIT_POINTS = 20_000
_LINGER_S = 0.1
"""Small batches gather for so long: the historian prefers few larger ones."""


class Forwarder:
    """Sends until cancelled. Sending twice does no harm: a point (tag and time) is stored once."""

    def __init__(self, outbox: Outbox, outbox_worker: Worker, historian: Historian, historian_worker: Worker) -> None:
        self._outbox, self._outbox_worker = outbox, outbox_worker
        self._historian, self._historian_worker = historian, historian_worker
        self._appended = asyncio.Event()
        self.failure = ""  # why the historian does not take points now

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
                    log.warning("points wait in the outbox: %s", error)
                self.failure = str(error)
                await asyncio.sleep(backoff.next())
                continue
            if self.failure:
                log.info("the historian takes points again")
            self.failure = ""
            backoff.reset()
            if not left:
                await self._appended.wait()
            if left < _LIMIT_POINTS:
                await asyncio.sleep(_LINGER_S)

    async def flush(self) -> None:
        """Sends everything that waits. Raises ResourceError when the historian does not take it."""
        while await self._send_some():
            pass

    async def _send_some(self) -> int:
        """How many points are left."""
        found = await self._outbox_worker.call(lambda: self._outbox.oldest(_LIMIT_POINTS))
        if not found:
            return 0
        merged = PointBatch.concat([batch for _, batch in found])
        await self._historian_worker.call(lambda: self._historian.write(merged))
        newest = found[-1][0]
        await self._outbox_worker.call(lambda: self._outbox.delete_up_to(newest))
        return self._outbox.status().points
