"""Answers that may be a little old: many who ask at once cost one calculation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from plant.clock import Clock

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Keeps each answer for `lives_ns`. Thread-safe; those who ask meanwhile wait for the one calculation.

    >>> now = 0
    >>> memo = Memo(lambda: now, lives_ns=10)
    >>> memo.get("a", lambda: 1), memo.get("a", lambda: 2)
    (1, 1)
    >>> now = 10
    >>> memo.get("a", lambda: 3)
    3
    """

    def __init__(self, clock: Clock, lives_ns: int) -> None:
        self._clock, self._lives_ns = clock, lives_ns
        self._answers: dict[K, tuple[int, V]] = {}
        self._lock = threading.RLock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The kept answer, else a new one."""
        with self._lock:
            now = self._clock()
            kept = self._answers.get(key)
            if kept is None or not 0 <= now - kept[0] < self._lives_ns:
                kept = self._answers[key] = now, make()
            return kept[1]
