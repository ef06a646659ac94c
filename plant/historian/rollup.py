"""One-minute rollups of the embedded historian, exact at every commit.

Every minute before the watermark has its row in `rollup_1m` (where it has a number that is not BAD); from the
watermark on, only raw points count. The watermark only grows, so an old one read from memory is still right.
"""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from plant.clock import MINUTE

GRACE_NS = MINUTE
"""The newest minutes stay raw, so that sources a little behind each other cost nothing."""

STEP_NS = 10 * MINUTE
"""The watermark moves when so much has closed: live data pays for it once in ten minutes."""

_ADVANCE = """
INSERT INTO rollup_1m
SELECT series, minute_of(ts) AS minute, count(*), min(v), max(v), sum(v) FROM sample
WHERE ts >= $start AND ts < $end AND q >= 64 AND v IS NOT NULL GROUP BY series, minute ORDER BY series, minute
"""
_FORGET = """
DELETE FROM rollup_1m USING touched
WHERE rollup_1m.series = touched.series AND rollup_1m.minute = touched.minute
  AND rollup_1m.minute >= $start AND rollup_1m.minute < $end
"""
_REDO = """
INSERT INTO rollup_1m
SELECT touched.series, touched.minute, count(*), min(v), max(v), sum(v)
FROM sample JOIN touched ON sample.series = touched.series AND minute_of(sample.ts) = touched.minute
WHERE sample.ts >= $start AND sample.ts < $end AND q >= 64 AND v IS NOT NULL
GROUP BY touched.series, touched.minute ORDER BY touched.series, touched.minute
"""


def next_watermark(watermark_ns: int, newest_ns: int, now_ns: int) -> int:
    """Where the watermark belongs after a write; unchanged while less than a step has closed.

    Never beyond the clock: one point from a wrong year must not make all that follows late.
    """
    closed = (min(newest_ns, now_ns) - GRACE_NS) // MINUTE * MINUTE
    return closed if closed >= watermark_ns + STEP_NS else watermark_ns


def advance(db: duckdb.DuckDBPyConnection, start_ns: int, end_ns: int) -> None:
    """Roll up `[start_ns, end_ns)` and move the watermark there, inside the caller's transaction."""
    db.execute(_ADVANCE, {"start": start_ns, "end": end_ns})
    db.execute("UPDATE meta SET watermark = ?", [end_ns])


def redo(db: duckdb.DuckDBPyConnection, series: NDArray[np.int32], time_ns: NDArray[np.int64]) -> None:
    """Recompute the minutes of these points, inside the caller's transaction.

    The points lie below the watermark and come sorted by series and time.
    """
    minute = time_ns // MINUTE * MINUTE
    starts = np.append(True, (series[1:] != series[:-1]) | (minute[1:] != minute[:-1]))
    bounds = {"start": int(minute.min()), "end": int(minute.max()) + MINUTE}
    db.register("touched", {"series": series[starts], "minute": minute[starts]})
    try:
        db.execute(_FORGET, bounds)
        db.execute(_REDO, bounds)
    finally:
        db.unregister("touched")
