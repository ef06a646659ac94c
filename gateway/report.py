"""Report by exception (pure): which of the values just read are news enough to become points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.repeats import REMIND_NS
from plant.clock import SECOND
from plant.points import Quality
from plant.tags import Tag


class Reporter:
    """Remembers of every tag what last went out. Rows are indices into the tags it was made for.

    A value goes out when its tag has no `report`; else when it differs from the last one sent by at least the
    deadband (by anything where there is none), when its quality or text changed, or when the heartbeat is due.
    A failure (BAD) goes out when it begins or changes, and then once a minute.
    """

    def __init__(self, tags: Sequence[Tag]) -> None:
        n = len(tags)
        self._always = np.array([tag.report is None for tag in tags], dtype=np.bool_)
        self._deadband = np.array([deadband(tag) for tag in tags])
        heartbeats = [int(tag.report.heartbeat_s * SECOND) if tag.report else 0 for tag in tags]
        self._heartbeat_ns = np.array(heartbeats, dtype=np.int64)
        self._quality = np.full(n, -1, dtype=np.int16)
        self._sent_ns = np.zeros(n, dtype=np.int64)
        self._value = np.full(n, np.nan)
        self._text: list[str | None] = [None] * n

    def news(
        self,
        rows: NDArray[np.intp],
        time_ns: int,
        value: NDArray[np.float64],
        quality: NDArray[np.uint8],
        text: Sequence[str | None] | None = None,
    ) -> NDArray[np.bool_]:
        """For each row whether it goes out; what does is remembered as sent."""
        usable = quality >= Quality.UNCERTAIN
        changed = quality != self._quality[rows]
        with np.errstate(invalid="ignore"):
            change = np.abs(value - self._value[rows])
            changed |= usable & (change > 0) & (change >= self._deadband[rows])
        if text is not None:
            changed |= np.array([new != self._text[row] for new, row in zip(text, rows, strict=True)], dtype=np.bool_)
        wait_ns = np.where(usable, self._heartbeat_ns[rows], REMIND_NS)
        news: NDArray[np.bool_] = changed | (usable & self._always[rows])
        news |= time_ns - self._sent_ns[rows] >= wait_ns
        self._remember(rows, news, time_ns, value, quality, text)
        return news

    def _remember(
        self,
        rows: NDArray[np.intp],
        news: NDArray[np.bool_],
        time_ns: int,
        value: NDArray[np.float64],
        quality: NDArray[np.uint8],
        text: Sequence[str | None] | None,
    ) -> None:
        sent = rows[news]
        self._sent_ns[sent] = time_ns
        self._quality[sent] = quality[news]
        self._value[sent] = value[news]
        if text is not None:
            for i in np.flatnonzero(news).tolist():
                self._text[rows[i]] = text[i]


def deadband(tag: Tag) -> float:
    """The least change that is reported, in the tag's unit; a percentage is one of the valid range (OPC UA part 8)."""
    if tag.report is None:
        return 0.0
    if tag.report.deadband_percent is not None and tag.low is not None and tag.high is not None:
        return tag.report.deadband_percent / 100 * (tag.high - tag.low)
    return tag.report.deadband or 0.0
