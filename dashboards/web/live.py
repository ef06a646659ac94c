"""What is new, once a second, for all open pages together: one watch, one thread hop, one calculation per view.

Pages that show the same (same key) share the result; each browser gets only what changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from dashboards.web.markup import Markup
from plant.historian.base import Watch
from plant.plant import Plant
from plant.points import PointBatch

_log = logging.getLogger(__name__)
_EVERY_S = 1.0
_LOAD_AGAIN = "location.reload()"


@dataclass(frozen=True, slots=True)
class News:
    """What a view has to say: HTML by live key, and data for the page's scripts (charts, ribbon)."""

    html: dict[str, Markup] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


class LiveView(Protocol):
    """What one page shows, told again every second. Views with the same key must tell the same."""

    @property
    def key(self) -> Hashable:
        """Page, machine, window and language."""

    def news(self, now_ns: int, batch: PointBatch) -> News:
        """In a worker thread: what is true now, given the points since the last call."""


Send = Callable[[str], object]
"""Gives a browser a piece of JavaScript to run."""


@dataclass(slots=True)
class _Topic:
    view: LiveView
    readers: dict[str, Send] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)  # readers that have not had the whole yet
    told: dict[str, Markup] = field(default_factory=dict)


class Broadcaster:
    """Tells every open page what is new. Runs while there are readers; an idle server does nothing."""

    def __init__(self, plant: Plant, every_s: float = _EVERY_S) -> None:
        self._plant = plant
        self._every_s = every_s
        self._topics: dict[Hashable, _Topic] = {}
        self._config = plant.config  # under which the views of the topics were made
        self._task: asyncio.Task[None] | None = None

    def join(self, reader: str, view: LiveView, send: Send) -> None:
        """From now on the reader hears of this view, and of no other."""
        self.leave(reader)
        if not self._topics:
            self._config = self._plant.config
        topic = self._topics.setdefault(view.key, _Topic(view))
        topic.readers[reader] = send
        topic.fresh.add(reader)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="pages: live values")

    def leave(self, reader: str) -> None:
        """The reader is gone, or looks at something that does not change."""
        for key, topic in list(self._topics.items()):
            topic.readers.pop(reader, None)
            topic.fresh.discard(reader)
            if not topic.readers:
                del self._topics[key]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        watch = self._plant.watch()
        try:
            while self._topics:
                try:
                    await self._tick(watch)
                except Exception:  # noqa: BLE001 — the supervisor: a page's fault must not silence the others for ever
                    _log.exception("live values: this second is lost")
                await asyncio.sleep(self._every_s)
        finally:
            watch.close()

    async def _tick(self, watch: Watch) -> None:
        if self._plant.config is not self._config:
            self._start_anew()
            return
        topics = list(self._topics.values())
        news = await asyncio.to_thread(self._gather, [topic.view for topic in topics], watch)
        now_ms = self._plant.clock() // 1_000_000
        for topic, told in zip(topics, news, strict=True):
            if told is None:
                continue
            changed = {key: html for key, html in told.html.items() if topic.told.get(key) != html}
            topic.told = told.html
            whole = _script(now_ms, told.html, told.data) if topic.fresh else ""
            some = _script(now_ms, changed, told.data)
            for reader, send in list(topic.readers.items()):
                send(whole if reader in topic.fresh else some)
            topic.fresh.clear()

    def _start_anew(self) -> None:
        """The plant was reloaded: what the pages show may not exist any more. Each browser asks for its page again."""
        for topic in self._topics.values():
            for send in topic.readers.values():
                send(_LOAD_AGAIN)
        self._topics.clear()

    def _gather(self, views: list[LiveView], watch: Watch) -> list[News | None]:
        """In a worker thread. One view's fault leaves the others alone."""
        batch, now_ns = watch.take(), self._plant.clock()
        found: list[News | None] = []
        for view in views:
            try:
                found.append(view.news(now_ns, batch))
            except Exception:  # noqa: BLE001 — see _run
                _log.exception("live values of %s", view.key)
                found.append(None)
        return found


def _script(now_ms: int, html: dict[str, Markup], data: dict[str, Any]) -> str:
    return f"testbed.hear({json.dumps({'now': now_ms, 'html': html, **data}, separators=(',', ':'))})"
