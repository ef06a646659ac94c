"""How fast and how small the embedded historian is: `python -m bench.historian`, about half a minute."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from plant.clock import DAY, MINUTE, SECOND, Window
from plant.historian.duckdb import DuckDbHistorian
from plant.points import PointBatch, Quality

TAGS = tuple(f"machine-{i // 10 + 1}.signal_{i % 10}" for i in range(40))
WEEK_TAGS = TAGS[:16]  # 10 M rows are a week of these
ROWS = 10_000_000
START = 1_780_000_020 * SECOND  # a full minute
LIVE_SECONDS = 1800


def run() -> list[tuple[str, str]]:
    """What was measured, each a name and a figure with its unit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.duckdb")
        return [*_bulk(path), *_open(path), *_read(path), *_live(Path(folder, "live.duckdb"))]


def _rows(tags: tuple[str, ...], first_second: int, seconds: int, rng: np.random.Generator) -> PointBatch:
    """Every tag once a second, read together: a slow wave with noise, two decimals, a read time that jitters."""
    second = np.repeat(np.arange(first_second, first_second + seconds), len(tags))
    tag = np.tile(np.arange(len(tags), dtype=np.int32), seconds)
    value = np.round(50 + 10 * np.sin(second / 500 + tag) + rng.normal(0, 1, len(tag)), 2)
    return PointBatch(
        tags=tags,
        tag=tag,
        time_ns=START + second * SECOND + np.repeat(rng.integers(0, 50_000_000, seconds), len(tags)),
        value=value,
        quality=np.full(len(tag), Quality.GOOD, dtype=np.uint8),
    )


def _bulk(path: Path) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(7)
    seconds, step = ROWS // len(WEEK_TAGS), 6250
    batches = [_rows(WEEK_TAGS, i * step, step, rng) for i in range(4)]
    spent = 0.0
    with closing(DuckDbHistorian(path, clock=lambda: START + 365 * DAY)) as historian:
        for i in range(seconds // step):
            old = batches[i % 4]
            shift = (i - i % 4) * step * SECOND
            batch = PointBatch(WEEK_TAGS, old.tag, old.time_ns + shift, old.value, old.quality)
            spent += _timed(partial(historian.write, batch))
        yield f"bulk write, {step * len(WEEK_TAGS):,} rows a batch", f"{ROWS / spent / 1e3:,.0f} k rows/s"
        replay = _timed(lambda: historian.write(batch))
        yield "the last batch once more (all known)", f"{len(batch) / replay / 1e3:,.0f} k rows/s"
        late = batch.take(np.arange(0, 2000))
        corrected = PointBatch(WEEK_TAGS, late.tag, late.time_ns, late.value + 1, late.quality)
        yield "2,000 known points once more", f"{1e3 * _timed(lambda: historian.write(late)):.1f} ms"
        small = [_rows(WEEK_TAGS, seconds + i * 125, 125, rng) for i in range(100)]
        spent = sum(_timed(partial(historian.write, batch)) for batch in small)
        yield "write, 2,000 rows a batch", f"{100 * 2000 / spent / 1e3:,.0f} k rows/s"
        yield "2,000 points corrected, with rollups", f"{1e3 * _timed(lambda: historian.write(corrected)):.1f} ms"
    yield "on disk, rollups included", f"{path.stat().st_size / ROWS:.1f} bytes/point"


def _open(path: Path) -> Iterator[tuple[str, str]]:
    def once() -> None:
        DuckDbHistorian(path).close()

    yield f"open and close, {ROWS / 1e6:.0f} M rows", f"{1e3 * _typical(once):.0f} ms"


def _read(path: Path) -> Iterator[tuple[str, str]]:
    with closing(DuckDbHistorian(path)) as historian:
        aligned = Window(START, START + 800 * 12 * MINUTE)
        week = Window(START + SECOND, START + SECOND + 7 * DAY)
        hour = Window(START + DAY, START + DAY + 60 * MINUTE)
        for name, question in (
            ("7 days to 800 buckets of 12 minutes", lambda: historian.aggregate(TAGS[:1], aligned, 800)),
            ("7 days to 800 buckets, any start", lambda: historian.aggregate(TAGS[:1], week, 800)),
            ("7 days to 800 buckets, any start, 10 tags", lambda: historian.aggregate(TAGS[:10], week, 800)),
            ("all points of one tag in an hour", lambda: historian.range(TAGS[3], hour)),
            ("last points of all tags", lambda: historian.last(WEEK_TAGS)),
        ):
            yield name, f"{1e3 * _typical(question):.2f} ms"


def _live(path: Path) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(8)
    everything = _rows(TAGS, 0, LIVE_SECONDS, rng)
    seconds = [everything.take(np.arange(i, i + len(TAGS))) for i in range(0, len(everything), len(TAGS))]
    now_ns = START
    with closing(DuckDbHistorian(path, clock=lambda: now_ns)) as historian:
        cpu = time.process_time()
        took = []
        for batch in seconds:
            now_ns = int(batch.time_ns[-1])
            took.append(_timed(partial(historian.write, batch)))
        cpu = time.process_time() - cpu
    name = f"{len(TAGS)} points once a second, {LIVE_SECONDS // 60} minutes of them"
    yield f"{name}: CPU", f"{100 * cpu / LIVE_SECONDS:.2f} % of a core"
    yield f"{name}: write, median and slowest", f"{1e3 * median(took):.1f} and {1e3 * max(took):.1f} ms"


def _timed(question: Callable[[], object]) -> float:
    start = time.perf_counter()
    question()
    return time.perf_counter() - start


def _typical(question: Callable[[], object]) -> float:
    return median(_timed(question) for _ in range(5))


if __name__ == "__main__":
    for what, figure in run():
        print(f"{what:60} {figure:>24}")
