"""Mailboxes of new points: what `Historian.watch` hands out, whatever the store behind it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock

import numpy as np

from plant.points import PointBatch

CAPACITY = 100_000
"""Points a mailbox holds (about 2.5 MB) before the oldest go."""


class Mailbox:
    """New points of some tags or of all, bounded; safe to fill and empty from different threads."""

    def __init__(
        self,
        tags: Iterable[str] | None = None,
        *,
        capacity: int = CAPACITY,
        on_close: Callable[[Mailbox], None] | None = None,
    ) -> None:
        self.missed = 0
        self._tags = None if tags is None else frozenset(tags)
        self._capacity = capacity
        self._on_close = on_close
        self._lock = Lock()
        self._batches: deque[PointBatch] = deque()
        self._held = 0
        self._closed = False

    def put(self, batch: PointBatch) -> None:
        """Add what of the batch is watched; beyond the capacity the oldest points go."""
        if self._tags is not None:
            batch = batch.take(np.array([tag in self._tags for tag in batch.tags], dtype=np.bool_)[batch.tag])
        if not len(batch):
            return
        with self._lock:
            if self._closed:
                return
            self._batches.append(batch)
            self._held += len(batch)
            self._drop(self._held - self._capacity)

    def take(self) -> PointBatch:
        """Everything new since the last call, in order of arrival; never waits."""
        with self._lock:
            batches, self._batches, self._held = self._batches, deque(), 0
        return PointBatch.concat(batches) if batches else PointBatch.empty()

    def close(self) -> None:
        """End the subscription; what was not taken is let go. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._batches.clear()
            self._held = 0
        if self._on_close is not None:
            self._on_close(self)

    def _drop(self, surplus: int) -> None:
        while surplus > 0:
            oldest = self._batches.popleft()
            gone = min(surplus, len(oldest))
            if gone < len(oldest):
                self._batches.appendleft(oldest.take(np.arange(gone, len(oldest))))
            self.missed += gone
            self._held -= gone
            surplus -= gone


class Mailboxes:
    """All open mailboxes of one historian."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: list[Mailbox] = []

    def open(self, tags: Iterable[str] | None = None) -> Mailbox:
        """A new mailbox; it leaves by itself when it is closed."""
        mailbox = Mailbox(tags, on_close=self._remove)
        with self._lock:
            self._open.append(mailbox)
        return mailbox

    def put(self, batch: PointBatch) -> None:
        """Hand a stored batch to everyone who watches."""
        with self._lock:
            mailboxes = tuple(self._open)
        for mailbox in mailboxes:
            mailbox.put(batch)

    def _remove(self, mailbox: Mailbox) -> None:
        with self._lock:
            self._open = [other for other in self._open if other is not mailbox]
