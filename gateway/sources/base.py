"""The port of a source, on one screen. A new one is also added to `build_source` in gateway/gateway.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from plant.connections import SourceStatus
from plant.points import PointBatch

Emit = Callable[[PointBatch], Awaitable[None]]
"""Hands over points. Returns once they are on disk: only then may a source acknowledge what it received."""


class Source(Protocol):
    """One place that signals come from. It heals itself: a dead device is a state, not an exception.

    Every point carries the time of its read (or the device's own) and its quality. A failure gives one BAD
    point per tag when it begins, never an old value under a new time.
    """

    name: str

    async def run(self, emit: Emit) -> None:
        """Delivers points until cancelled; then the connection is closed. May be run again."""

    def status(self) -> SourceStatus:
        """How it goes, for people. Cheap; never waits."""
