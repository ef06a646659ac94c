"""A lasting failure is told once, then now and then: not at every poll (pure)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plant.clock import MINUTE
from plant.points import Quality

REMIND_NS = MINUTE
"""A failure that lasts is told again after this long."""


class Repeats:
    """Which of a block's points are news. Remembers the quality of each row's last point that went out."""

    def __init__(self, rows: int) -> None:
        self._quality = np.full(rows, -1, dtype=np.int16)
        self._sent_ns = np.zeros(rows, dtype=np.int64)

    def news(self, quality: NDArray[np.uint8], time_ns: int) -> NDArray[np.bool_]:
        """True for every value, for a failure that is new for its row and for one not told for a minute."""
        due = (time_ns - self._sent_ns) >= REMIND_NS
        news: NDArray[np.bool_] = (quality >= Quality.UNCERTAIN) | (quality != self._quality) | due
        self._quality[news] = quality[news]
        self._sent_ns[news] = time_ns
        return news
