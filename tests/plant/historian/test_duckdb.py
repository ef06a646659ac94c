"""The embedded historian: the contract, and what only a file can get wrong."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pytest

from plant.clock import DAY, HOUR, MINUTE, SECOND, Window
from plant.errors import HistorianError, ResourceError
from plant.historian import rollup
from plant.historian.base import Historian
from plant.historian.duckdb import DuckDbHistorian
from plant.points import Point, PointBatch, Quality
from tests.plant.historian.contract import (
    BAD,
    GOOD,
    NOW,
    T0,
    HistorianContract,
    assert_trend,
    brute_force,
    everything,
    numbers,
    one,
)

REPOSITORY = Path(__file__).parents[3]
NEWEST = Window(T0, T0 + DAY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "historian.duckdb"


def opened(path: Path) -> DuckDbHistorian:
    return DuckDbHistorian(path, clock=lambda: NOW)


class TestDuckDbHistorian(HistorianContract):
    @pytest.fixture
    def historian(self, path: Path) -> Iterator[Historian]:
        with closing(opened(path)) as historian:
            yield historian


# The file


def copy_as_after_a_crash(path: Path, name: str) -> Path:
    """The file and its write-ahead log as they are now, beside the open ones."""
    copy = path.with_name(name)
    shutil.copy(path, copy)
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        shutil.copy(wal, copy.with_name(copy.name + ".wal"))
    return copy


@pytest.mark.parametrize("end", ["close", "crash"])
def test_reopening_keeps_everything(path: Path, end: str) -> None:
    tags = ["m.a", "m.b", "m.old", "m.demoted"]
    with closing(opened(path)) as historian:
        historian.write(numbers("m.old", 1.0, None))
        historian.write(numbers("m.a", *map(float, range(60)), step_ns=MINUTE))
        historian.write(numbers("m.b", "ON", None, start_ns=T0 + 59 * MINUTE))
        historian.write(numbers("m.a", -5.0, start_ns=T0 - DAY))
        historian.write(numbers("m.demoted", 1.0, 2.0, start_ns=T0 + 59 * MINUTE))
        historian.write(one("m.demoted", T0 + 59 * MINUTE + SECOND, None, BAD))
        expected = [historian.last(tags), historian.last_good(tags), historian.span(tags), historian.health().rows]
        trend = historian.aggregate(["m.a"], Window(T0, T0 + HOUR), 60)["m.a"]
        if end == "crash":
            path = copy_as_after_a_crash(path, "copy.duckdb")
    with closing(opened(path)) as historian:
        assert [
            historian.last(tags),
            historian.last_good(tags),
            historian.span(tags),
            historian.health().rows,
        ] == expected
        again = historian.aggregate(["m.a"], Window(T0, T0 + HOUR), 60)["m.a"]
        assert again.mean.tolist() == trend.mean.tolist()
        historian.write(numbers("m.a", *map(float, range(60)), step_ns=MINUTE))
        assert historian.health().rows == expected[3]


def test_every_reopening_knows_the_last_points(path: Path) -> None:
    rng = random.Random(5)
    stored: dict[tuple[str, int], Point] = {}
    for _ in range(25):
        with closing(opened(path)) as historian:
            for _ in range(4):
                tag, start = f"m.{rng.randrange(3)}", T0 + rng.randrange(60) * MINUTE
                batch = numbers(tag, *(rng.choice([None, 1.0, 2.0, "x"]) for _ in range(5)), start_ns=start)
                historian.write(batch)
                stored |= {(point.tag, point.time_ns): point for point in batch}
            copy = copy_as_after_a_crash(path, "copy.duckdb")
        copy.replace(path)
        wal = copy.with_name(copy.name + ".wal")
        if wal.exists():
            wal.replace(path.with_name(path.name + ".wal"))
        with closing(opened(path)) as historian:
            for tag in {tag for tag, _ in stored}:
                kept = sorted((p for p in stored.values() if p.tag == tag), key=lambda p: p.time_ns)
                good = [point for point in kept if point.quality != BAD]
                assert historian.last([tag])[tag] == kept[-1]
                assert historian.last_good([tag]).get(tag) == (good[-1] if good else None)
                assert historian.span([tag])[tag] == Window(kept[0].time_ns, kept[-1].time_ns + 1)


def test_what_was_last_before_the_watermark_survives_a_crash(path: Path) -> None:
    with closing(opened(path)) as historian:
        for minute in range(60):  # m.b ends at minute 5, m.a goes on; its last good point is still raw
            historian.write(numbers("m.a", float(minute), start_ns=T0 + minute * MINUTE))
            if minute < 6:
                historian.write(numbers("m.b", float(minute), start_ns=T0 + minute * MINUTE))
        assert rolled_up(historian) < T0 + 59 * MINUTE
        path = copy_as_after_a_crash(path, "copy.duckdb")
    with closing(opened(path)) as historian:
        assert historian.last(["m.a", "m.b"]) == {
            "m.a": Point("m.a", T0 + 59 * MINUTE, 59.0, GOOD),
            "m.b": Point("m.b", T0 + 5 * MINUTE, 5.0, GOOD),
        }


def test_a_good_point_corrected_to_bad_stays_so_after_a_crash(path: Path) -> None:
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", 1.0, *[None] * 9, 2.0, step_ns=6 * MINUTE))
        assert rolled_up(historian) < T0 + HOUR  # the last point is above the watermark, and saved
        historian.write(one("m.a", T0 + HOUR, None, BAD))
        path = copy_as_after_a_crash(path, "copy.duckdb")
    with closing(opened(path)) as historian:
        assert historian.last_good(["m.a"]) == {"m.a": Point("m.a", T0, 1.0, GOOD)}


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    opened(tmp_path / "new" / "folder" / "h.duckdb").close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be made") as error:
        opened(tmp_path / "file" / "h.duckdb")
    assert error.value.next_step


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="an administrator may write anywhere")
def test_a_folder_without_write_access(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HistorianError, match="may not be read and written") as error:
        opened(tmp_path / "h.duckdb")
    assert error.value.next_step


def test_a_path_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(HistorianError, match="is a folder"):
        opened(tmp_path)


@pytest.mark.parametrize("content", [b"not a database " * 1000, b"x", bytes(8192)])
def test_a_damaged_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(HistorianError, match="damaged or is not a historian") as error:
        opened(path)
    assert "Move the file" in error.value.next_step
    assert path.read_bytes() == content


def test_a_file_of_another_layout(path: Path) -> None:
    opened(path).close()
    with duckdb.connect(path) as db:
        db.execute("UPDATE meta SET version = 99")
    with pytest.raises(HistorianError, match="layout 99"):
        opened(path)


def test_the_same_file_twice_in_one_process(path: Path) -> None:
    with closing(opened(path)), pytest.raises(HistorianError, match="already open"):
        opened(path)
    opened(path).close()


def test_a_file_in_use_by_another_process(path: Path) -> None:
    program = f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with pytest.raises(HistorianError, match="in use by another process") as error:
                opened(path)
            assert "Stop the other process" in error.value.next_step
        finally:
            other.kill()


def test_after_close_everything_is_refused_and_health_says_so(path: Path) -> None:
    historian = opened(path)
    watch = historian.watch()
    historian.close()
    for question in (
        lambda: historian.write(numbers("m.a", 1.0)),
        lambda: historian.last(["m.a"]),
        lambda: historian.range("m.a", NEWEST),
        lambda: historian.aggregate(["m.a"], NEWEST, 3),
    ):
        with pytest.raises(HistorianError, match="closed"):
            question()
    assert not historian.health().ok
    assert "closed" in historian.health().message
    assert len(watch.take()) == 0


def test_close_waits_for_readers_and_lets_the_file_go(path: Path) -> None:
    historian = opened(path)
    n = 200_000
    times = T0 + np.arange(n) * SECOND
    historian.write(PointBatch(("m.a",), np.zeros(n, np.int32), times, np.ones(n), np.full(n, GOOD, np.uint8)))
    refused = []

    def read() -> None:
        try:
            while True:
                historian.range("m.a", Window(T0, NOW))
        except HistorianError as error:
            refused.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    time.sleep(0.1)
    historian.close()
    for reader in readers:
        reader.join(10)
    assert len(refused) == 3
    with duckdb.connect(path) as db:
        assert db.execute("SELECT count(*) FROM sample").fetchall() == [(n,)]


def test_neither_pandas_nor_pyarrow_is_needed(path: Path) -> None:
    program = f"""
import sys
sys.modules["pandas"] = sys.modules["pyarrow"] = None
from pathlib import Path
from plant.clock import Window
from plant.historian.duckdb import DuckDbHistorian
from plant.points import Point, PointBatch, Quality
historian = DuckDbHistorian(Path({str(path)!r}))
for _ in range(2):
    historian.write(PointBatch.of([Point("a", 1, 1.0, Quality.GOOD), Point("a", 2, "x", Quality.GOOD)]))
assert len(historian.range("a", Window(0, 9))) == 2
assert historian.aggregate(["a"], Window(0, 9), 1)["a"].count[0] == 1
historian.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY, timeout=60)


# Transactions


def test_a_failed_write_leaves_nothing_and_the_next_one_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise duckdb.IOException("IO Error: No space left on device")

    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", 1.0))
        watch = historian.watch()
        batch = PointBatch.concat([numbers("m.a", 5.0), numbers("m.new", *map(float, range(60)), step_ns=MINUTE)])
        with monkeypatch.context() as patch:
            patch.setattr(rollup, "advance", fail)
            with pytest.raises(HistorianError, match="the disk is full") as error:
                historian.write(batch)
        assert "Free space" in error.value.next_step
        assert not historian.health().ok
        assert everything(historian, "m.new") == []
        assert [point.value for point in everything(historian, "m.a")] == [1.0]
        assert historian.last(["m.a", "m.new"]) == {"m.a": Point("m.a", T0, 1.0, GOOD)}
        assert len(watch.take()) == 0
        historian.write(batch)
        assert historian.health().ok
        assert len(everything(historian, "m.new")) == 60
        assert len(watch.take()) == 61


def test_a_database_that_gave_up_is_opened_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise duckdb.FatalException("FATAL Error: database has been invalidated")

    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", 1.0))
        historian.range("m.a", NEWEST)
        monkeypatch.setattr("plant.historian.duckdb_write.store", fail)
        with pytest.raises(HistorianError):
            historian.write(numbers("m.a", 1.0, 2.0))
        monkeypatch.undo()
        historian._db.close()
        historian.write(numbers("m.a", 1.0, 2.0))
        assert historian.health().ok
        assert len(everything(historian, "m.a")) == 2


def test_a_broken_character_does_not_block_the_rest(path: Path) -> None:
    with closing(opened(path)) as historian:
        historian.write(PointBatch.of([Point("m.a", T0, "half \ud83d", GOOD), Point("m.b", T0, 1.0, GOOD)]))
        assert everything(historian, "m.a") == [Point("m.a", T0, "half ?", GOOD)]
        assert historian.last(["m.a"])["m.a"].value == "half ?"
        assert len(everything(historian, "m.b")) == 1


def test_infinite_and_huge_numbers_do_no_harm(path: Path) -> None:
    inf = float("inf")
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", inf, -inf, 1e308, 1e308, step_ns=10 * MINUTE))
        historian.write(numbers("m.b", 1e308, 1e308))
        assert [point.value for point in everything(historian, "m.a")] == [inf, -inf, 1e308, 1e308]
        assert historian.aggregate(["m.b"], Window(T0, T0 + MINUTE), 1)["m.b"].maximum.tolist() == [1e308]


def test_watchers_do_not_see_again_what_the_store_has(path: Path) -> None:
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", 1.0, 2.0))
        watch = historian.watch()
        historian.write(numbers("m.a", 1.0, 2.0))
        historian.write(numbers("m.a", 1.0, 20.0, 3.0))
        assert [point.value for point in watch.take()] == [20.0, 3.0]


# Rollups


def rolled_up(historian: DuckDbHistorian) -> int:
    return historian._known.watermark_ns


def test_the_watermark_follows_the_data_in_steps(path: Path) -> None:
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", 1.0))
        seen = [rolled_up(historian)]
        for second in range(10, 3600, 10):
            historian.write(one("m.a", T0 + second * SECOND, 1.0))
            seen.append(rolled_up(historian))
        assert seen == sorted(seen)
        assert len(set(seen)) == 6
        assert T0 + 45 * MINUTE < seen[-1] < T0 + HOUR


def test_a_point_from_a_wrong_year_does_not_make_all_that_follows_late(path: Path) -> None:
    with closing(DuckDbHistorian(path, clock=lambda: T0 + 30 * MINUTE)) as historian:
        historian.write(one("m.a", T0 + 20_000 * DAY, 7.0))
        assert rolled_up(historian) <= T0 + 30 * MINUTE
        historian.write(numbers("m.a", 1.0, start_ns=T0 + 30 * MINUTE))
        assert historian.last(["m.a"])["m.a"].value == 7.0
    with closing(opened(path)) as historian:
        assert historian.last(["m.a"])["m.a"].value == 7.0


def test_rollups_are_read_and_hold_after_late_data(path: Path) -> None:
    window = Window(T0, T0 + HOUR)
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", *map(float, range(3600))))
        assert rolled_up(historian) == T0 + 58 * MINUTE
        historian.write(one("m.a", T0 + 30 * MINUTE + 1, 1e6))
        historian.write(one("m.a", T0 + 40 * MINUTE, None, BAD))
        historian.write(one("m.a", T0 + 41 * MINUTE, "text"))
        stored = everything(historian, "m.a")
        trend = historian.aggregate(["m.a"], window, 60)["m.a"]
        assert_trend(trend, window, 60, brute_force(stored, window, 60))
        assert trend.maximum[30] == 1e6
        assert trend.count[40] == trend.count[41] == 59
    with duckdb.connect(path) as db:  # one row a minute, the same as from the raw points
        wrong = """
            SELECT * FROM (SELECT minute, n, lowest, highest, total FROM rollup_1m)
            EXCEPT SELECT minute_of(ts), count(*), min(v), max(v), sum(v) FROM sample WHERE q >= 64 GROUP BY 1
        """
        assert db.execute(wrong).fetchall() == []
        assert db.execute("SELECT count(*), count(DISTINCT minute) FROM rollup_1m").fetchall() == [(58, 58)]


def test_a_rolled_up_minute_beyond_the_end_of_the_window_is_cut(path: Path) -> None:
    window = Window(T0, T0 + 20 * MINUTE - 10)  # 20 buckets of exactly a minute, the last 10 ns short
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", *map(float, range(3600))))
        historian.write(one("m.a", window.end_ns - 1, 7e9))
        historian.write(one("m.a", window.end_ns, 9e9))
        trend = historian.aggregate(["m.a"], window, 20)["m.a"]
        assert_trend(trend, window, 20, brute_force(everything(historian, "m.a"), window, 20))
        assert trend.maximum[19] == 7e9


def test_points_before_1970(path: Path) -> None:
    with closing(opened(path)) as historian:
        historian.write(numbers("m.a", 1.0, 2.0, 3.0, start_ns=-90 * SECOND, step_ns=MINUTE))
        window = Window(-2 * MINUTE, MINUTE)
        trend = historian.aggregate(["m.a"], window, 3)["m.a"]
        assert trend.mean.tolist() == [1.0, 2.0, 3.0]


# kill -9

WRITER = """
import sys
from pathlib import Path
from plant.clock import SECOND
from plant.historian.duckdb import DuckDbHistorian
from plant.points import Point, PointBatch, Quality
path, first = Path(sys.argv[1]), int(sys.argv[2])
historian = DuckDbHistorian(path, clock=lambda: 2**62)
for n in range(first, first + 100_000):
    # 20 points 7 s apart: a new minute every third batch; every fifth batch corrects an old point as well
    points = [Point(f"m.{i % 4}", (n * 140 + i // 4 * 28) * SECOND, float(n), Quality.GOOD) for i in range(20)]
    if n % 5 == 0:
        points.append(Point("m.0", n // 2 * 140 * SECOND, -float(n), Quality.GOOD))
    if n % 7 == 0:
        points.append(Point("m.text", n * 140 * SECOND, str(n), Quality.GOOD))
    historian.write(PointBatch.of(points))
    print(n, flush=True)
"""


def expected_after(batches: int) -> dict[tuple[str, int], float | str]:
    stored: dict[tuple[str, int], float | str] = {}
    for n in range(batches):
        stored |= {(f"m.{i % 4}", (n * 140 + i // 4 * 28) * SECOND): float(n) for i in range(20)}
        if n % 5 == 0:
            stored["m.0", n // 2 * 140 * SECOND] = -float(n)
        if n % 7 == 0:
            stored["m.text", n * 140 * SECOND] = str(n)
    return stored


@pytest.mark.system
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    rng, first = random.Random(11), 0
    tags = [f"m.{i}" for i in range(4)] + ["m.text"]
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(first)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        ) as writer:
            assert writer.stdout is not None
            acknowledged = int(writer.stdout.readline())
            time.sleep(rng.uniform(0.05, 0.8))
            writer.kill()
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split("\n")[:-1])])
        with closing(DuckDbHistorian(path, clock=lambda: 2**62)) as historian:
            first = acknowledged + 1
            got = {(p.tag, p.time_ns): p.value for tag in tags for p in everything_since_1970(historian, tag)}
            if got == expected_after(first + 1):  # one more was committed, but not yet acknowledged
                first += 1
            assert got == expected_after(first)
            assert historian.health().rows == len(got)
            window = Window(0, (first * 140 // 60 + 1) * MINUTE)
            buckets = window.length_ns // MINUTE
            for tag in tags:
                stored = [Point(t, at, value, GOOD) for (t, at), value in got.items() if t == tag]
                trend = historian.aggregate([tag], window, buckets)[tag]
                assert_trend(trend, window, buckets, brute_force(stored, window, buckets))


def everything_since_1970(historian: Historian, tag: str) -> list[Point]:
    series = historian.range(tag, Window(0, NOW))
    batch = PointBatch(
        (tag,), np.zeros(len(series), np.int32), series.time_ns, series.value, series.quality, series.text
    )
    assert (batch.quality == Quality.GOOD).all()
    return list(batch)
