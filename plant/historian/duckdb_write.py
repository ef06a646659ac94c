"""How a batch gets into the embedded historian: each point once, rollups and series state in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import compress

import duckdb
import numpy as np
from numpy.typing import NDArray

from plant.historian import duckdb_latest, rollup
from plant.historian.duckdb_latest import Known, Latest
from plant.historian.duckdb_rows import Column, Rows
from plant.points import Point, PointBatch, Quality

_NEVER = np.iinfo(np.int64).min

# `late` holds points at or before the newest of their series: only those can be in the store already.
_SAME_SAMPLES = """
SELECT late.place FROM late JOIN sample ON late.series = sample.series AND late.ts = sample.ts
WHERE sample.ts >= $first AND sample.ts <= $last AND late.q = sample.q AND late.v IS NOT DISTINCT FROM sample.v
"""
_SAME_EVENTS = """
SELECT late.place FROM late JOIN event ON late.series = event.series AND late.ts = event.ts
WHERE event.ts >= $first AND event.ts <= $last AND late.q = event.q AND late.text = event.text
"""
_DROP_SAMPLES = """
DELETE FROM sample USING late
WHERE sample.series = late.series AND sample.ts = late.ts AND sample.ts >= $first AND sample.ts <= $last
"""
_DROP_EVENTS = """
DELETE FROM event USING late
WHERE event.series = late.series AND event.ts = late.ts AND event.ts >= $first AND event.ts <= $last
"""


def store(db: duckdb.DuckDBPyConnection, known: Known, batch: PointBatch, now_ns: int) -> tuple[PointBatch, Known]:
    """One transaction. Gives what of the batch was new to the store, and what is known after the commit."""
    ids, new_tags = _ids(known, batch)
    rows = Rows.of(batch, ids)
    db.execute("BEGIN")
    try:
        rows, dropped = _without_known(db, known, rows)
        if len(rows):
            _insert(db, rows)
            known = _settle(db, known, rows, new_tags, now_ns)
        db.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            db.execute("ROLLBACK")
        raise
    new = batch if len(rows) == len(batch) else batch.take(np.sort(rows.at))
    return new, replace(known, rows=known.rows + len(rows) - dropped)


def _ids(known: Known, batch: PointBatch) -> tuple[NDArray[np.int32], dict[int, str]]:
    """The series of each of the batch's tags (-1 for a tag without points here), and the new ones among them."""
    used = np.zeros(len(batch.tags), dtype=np.bool_)
    used[batch.tag] = True
    ids = np.full(len(batch.tags), -1, dtype=np.int32)
    new_tags: dict[int, str] = {}
    for place in np.flatnonzero(used).tolist():
        tag = batch.tags[place]
        series = known.ids.get(tag)
        if series is None:
            series = len(known.ids) + len(new_tags)
            new_tags[series] = tag
        ids[place] = series
    return ids, new_tags


def _without_known(db: duckdb.DuckDBPyConnection, known: Known, rows: Rows) -> tuple[Rows, int]:
    """Without the rows that the store has exactly so; those that it has otherwise are deleted there (count)."""
    old_series = rows.series < len(known.newest_ns)
    late = np.zeros(len(rows), dtype=np.bool_)
    late[old_series] = rows.ts[old_series] <= known.newest_ns[rows.series[old_series]]
    if not late.any():
        return rows, 0
    same = _same(db, rows, late)
    changed = rows.where(late & ~same)
    return rows.where(~same), _drop(db, changed) if len(changed) else 0


def _same(db: duckdb.DuckDBPyConnection, rows: Rows, late: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the late rows the store has exactly so."""
    same = np.zeros(len(rows), dtype=np.bool_)
    is_text = rows.is_text
    for mask, sql in ((late & ~is_text, _SAME_SAMPLES), (late & is_text, _SAME_EVENTS)):
        place = np.flatnonzero(mask)
        if len(place):
            part = rows.pick(place)
            columns = part.events() if sql is _SAME_EVENTS else part.samples()
            with _registered(db, "late", {"place": place, **columns}):
                same[db.execute(sql, _bounds(part)).fetchnumpy()["place"]] = True
    return same


def _drop(db: duckdb.DuckDBPyConnection, rows: Rows) -> int:
    dropped = 0
    with _registered(db, "late", {"series": rows.series, "ts": rows.ts}):
        for sql in (_DROP_SAMPLES, _DROP_EVENTS):
            [(count,)] = db.execute(sql, _bounds(rows)).fetchall()
            dropped += count
    return dropped


def _insert(db: duckdb.DuckDBPyConnection, rows: Rows) -> None:
    is_text = rows.is_text
    if not is_text.all():
        with _registered(db, "new_rows", rows.where(~is_text).samples()):
            db.execute("INSERT INTO sample SELECT series, ts, v, q FROM new_rows")
    if is_text.any():
        with _registered(db, "new_rows", rows.where(is_text).events()):
            db.execute("INSERT INTO event SELECT series, ts, text, q FROM new_rows")


def _settle(db: duckdb.DuckDBPyConnection, known: Known, rows: Rows, new_tags: dict[int, str], now_ns: int) -> Known:
    """Bring rollups and series up to date with rows just inserted."""
    below = rows.ts < known.watermark_ns
    if below.any():
        rollup.redo(db, rows.series[below], rows.ts[below])
    touched, must_save = _touched(known, rows, new_tags)
    must_save |= set(_demote(db, rows, touched)) | set(rows.series[below].tolist())
    unsaved = known.unsaved | touched.keys()
    newest_ns = max(int(rows.ts.max()), int(known.newest_ns.max(initial=_NEVER)))
    watermark_ns = rollup.next_watermark(known.watermark_ns, newest_ns, now_ns)
    if watermark_ns > known.watermark_ns:
        rollup.advance(db, known.watermark_ns, watermark_ns)
        must_save = set(unsaved)
    if must_save:
        duckdb_latest.put(db, (touched.get(series) or known.latest[series] for series in sorted(must_save)))
    return known.after(touched, watermark_ns, unsaved - must_save, known.rows)


def _touched(known: Known, rows: Rows, new_tags: dict[int, str]) -> tuple[dict[int, Latest], set[int]]:
    """The series of these rows as they stand now; and those that are new or begin earlier."""
    touched: dict[int, Latest] = {}
    begins: set[int] = set()
    ends = rows.ends()
    in_turn = rows.series[ends].tolist()
    newest = rows.points(ends, [new_tags.get(series) or known.latest[series].tag for series in in_turn])
    goods = _newest_good(rows, newest, ends)
    for series, first_ns, point in zip(in_turn, rows.ts[rows.starts()].tolist(), newest, strict=True):
        old, good = known.latest.get(series), goods.get(series)
        if old is None:
            touched[series] = Latest(series, point.tag, first_ns, point, good)
            begins.add(series)
            continue
        if first_ns < old.first_ns:
            begins.add(series)
        last = point if point.time_ns >= old.last.time_ns else old.last
        if old.good is not None and (good is None or good.time_ns < old.good.time_ns):
            good = old.good
        touched[series] = Latest(series, old.tag, min(first_ns, old.first_ns), last, good)
    return touched, begins


def _newest_good(rows: Rows, newest: Sequence[Point], ends: NDArray[np.intp]) -> dict[int, Point]:
    """The newest good point of each series that has one among the rows; mostly that is its newest point."""
    is_good = rows.q[ends] >= Quality.UNCERTAIN
    goods = dict(zip(rows.series[ends[is_good]].tolist(), compress(newest, is_good.tolist()), strict=True))
    if not is_good.all():
        tags = dict(zip(rows.series[ends].tolist(), (point.tag for point in newest), strict=True))
        usable = rows.where((rows.q >= Quality.UNCERTAIN) & np.isin(rows.series, rows.series[ends[~is_good]]))
        series = usable.series[usable.ends()].tolist()
        goods |= zip(series, usable.points(usable.ends(), [tags[one] for one in series]), strict=True)
    return goods


def _demote(db: duckdb.DuckDBPyConnection, rows: Rows, touched: dict[int, Latest]) -> list[int]:
    """Where a correction made the last good point BAD, the one before it is looked up."""
    bad = rows.where(rows.q < Quality.UNCERTAIN)
    if not len(bad):
        return []
    good_ns = np.full(max(touched) + 1, _NEVER, dtype=np.int64)
    for series, now in touched.items():
        good_ns[series] = _NEVER if now.good is None else now.good.time_ns
    demoted: list[int] = np.unique(bad.series[bad.ts == good_ns[bad.series]]).tolist()
    for series in demoted:
        now = touched[series]
        touched[series] = replace(now, good=duckdb_latest.newest_good(db, series, now.tag))
    return demoted


@contextmanager
def _registered(db: duckdb.DuckDBPyConnection, name: str, columns: dict[str, Column]) -> Iterator[None]:
    """NumPy columns as a table of that name, without a copy."""
    db.register(name, columns)
    try:
        yield
    finally:
        db.unregister(name)


def _bounds(rows: Rows) -> dict[str, int]:
    return {"first": int(rows.ts.min()), "last": int(rows.ts.max())}
