"""What every historian must do. An adapter's test subclasses `HistorianContract` and gives a fixture `historian`:
an empty store, at whose clock it is 2100 (so that nothing is kept back as "too new").

Times are whole milliseconds, which every store keeps exactly.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plant.clock import DAY, HOUR, MINUTE, SECOND, Window
from plant.errors import UserInputError
from plant.historian.base import Historian, Series, Trend
from plant.points import Point, PointBatch, Quality, Value

NOW = 4_102_444_800 * SECOND  # 2100-01-01
T0 = 1_780_272_000 * SECOND  # 2026-06-01
MS = SECOND // 1000
GOOD, UNCERTAIN, BAD = Quality.GOOD, Quality.UNCERTAIN, Quality.BAD

days = itertools.count()


def numbers(tag: str, *values: Value, start_ns: int = T0, step_ns: int = SECOND) -> PointBatch:
    """Points at equal steps; None is a BAD point."""
    return PointBatch.of(
        Point(tag, start_ns + i * step_ns, value, BAD if value is None else GOOD) for i, value in enumerate(values)
    )


def one(tag: str, time_ns: int, value: Value, quality: Quality = GOOD) -> PointBatch:
    return PointBatch.of([Point(tag, time_ns, value, quality)])


def points(tag: str, series: Series) -> list[Point]:
    """A series as single points, for comparing."""
    batch = PointBatch(
        (tag,), np.zeros(len(series), np.int32), series.time_ns, series.value, series.quality, series.text
    )
    return list(batch)


def everything(historian: Historian, tag: str) -> list[Point]:
    return points(tag, historian.range(tag, Window(T0 - 400 * DAY, NOW)))


def brute_force(stored: Iterable[Point], window: Window, buckets: int) -> list[tuple[float, float, float, int]]:
    """Mean, minimum, maximum and count of each bucket, from the single points."""
    bucket_ns = -(-window.length_ns // buckets)
    found: list[list[float]] = [[] for _ in range(buckets)]
    for point in stored:
        inside = window.start_ns <= point.time_ns < window.end_ns
        if inside and point.quality >= UNCERTAIN and isinstance(point.value, float):
            found[(point.time_ns - window.start_ns) // bucket_ns].append(point.value)
    nan = float("nan")
    return [(float(np.mean(b)), min(b), max(b), len(b)) if b else (nan, nan, nan, 0) for b in found]


def assert_trend(trend: Trend, window: Window, buckets: int, expected: list[tuple[float, float, float, int]]) -> None:
    bucket_ns = -(-window.length_ns // buckets)
    assert trend.window == window
    assert trend.bucket_ns == bucket_ns
    assert trend.start_ns.tolist() == [window.start_ns + i * bucket_ns for i in range(buckets)]
    assert trend.count.tolist() == [row[3] for row in expected]
    np.testing.assert_allclose(trend.mean, [row[0] for row in expected], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(trend.minimum, [row[1] for row in expected])
    np.testing.assert_array_equal(trend.maximum, [row[2] for row in expected])


@dataclass(frozen=True)
class History:
    """Writes of one tag over some hours, in any order, with corrections; and a question about it."""

    writes: list[list[tuple[int, float | None, Quality]]]  # (ms since the start of the day, value, quality)
    window_ms: tuple[int, int]
    buckets: int


@st.composite
def histories(draw: st.DrawFn) -> History:
    hours = 3 * 3600 * 1000
    grid = draw(st.sampled_from([1, 500, 60_000]))  # coarse times: duplicates and full minutes
    time = st.integers(0, hours // grid - 1).map(lambda n: n * grid)
    value = st.one_of(st.none(), st.integers(-(10**6), 10**6).map(lambda n: n / 8))
    point = st.tuples(time, value, st.sampled_from([GOOD, GOOD, UNCERTAIN, BAD]))
    writes = draw(st.lists(st.lists(point, min_size=1, max_size=25), min_size=1, max_size=6))
    unit = draw(st.sampled_from([1, 60_000]))
    start = draw(st.integers(-hours // unit // 4, hours // unit)) * unit
    buckets = draw(st.integers(1, 40))
    if draw(st.booleans()):  # buckets of full minutes, the last perhaps cut short
        length = draw(st.integers(1, 6)) * 60_000 * buckets - draw(st.sampled_from([0, 0, 1]))
    else:
        length = draw(st.integers(1, hours))
    return History(writes, (start, start + length), buckets)


class HistorianContract:
    @pytest.fixture
    def historian(self) -> Iterator[Historian]:
        raise NotImplementedError("the adapter's test gives an empty store")

    # What goes in comes out

    def test_values_qualities_and_texts_come_back_as_written(self, historian: Historian) -> None:
        written = [
            Point("m.a", T0, 1.5, GOOD),
            Point("m.a", T0 + 1 * SECOND, -0.1, Quality.UNCERTAIN_OUT_OF_RANGE),
            Point("m.a", T0 + 2 * SECOND, None, Quality.BAD_TIMEOUT),
            Point("m.a", T0 + 3 * SECOND, 1e300, GOOD),
            Point("m.a", T0 + 3 * SECOND + MS, 0.0, GOOD),
        ]
        historian.write(PointBatch.of(written))
        series = historian.range("m.a", Window(T0, T0 + MINUTE))
        assert points("m.a", series) == written
        assert series.text is None
        assert [str(column.dtype) for column in (series.time_ns, series.value, series.quality)] == [
            "int64",
            "float64",
            "uint8",
        ]

    def test_numbers_texts_and_gaps_of_one_tag_come_in_one_time_order(self, historian: Historian) -> None:
        written = [
            Point("m.state", T0, "ACTIVE", GOOD),
            Point("m.state", T0 + SECOND, 3.0, GOOD),
            Point("m.state", T0 + 2 * SECOND, None, Quality.BAD_NOT_CONNECTED),
            Point("m.state", T0 + 3 * SECOND, "", UNCERTAIN),
            Point("m.state", T0 + 4 * SECOND, "väntar på “ämne”, 50 %\n", GOOD),
        ]
        historian.write(PointBatch.of(reversed(written)))
        assert everything(historian, "m.state") == written

    @pytest.mark.parametrize(
        "tag", ["m.with space", "m.a,b=c", 'm."quoted"', "m.it's", "m.åäöÅÄÖ", "m.50%", "m.a\\b", "m.temp°C", "日本"]
    )
    def test_any_name_is_a_name(self, historian: Historian, tag: str) -> None:
        historian.write(PointBatch.of([Point(tag, T0, 1.0, GOOD), Point(tag + "x", T0, 2.0, GOOD)]))
        assert everything(historian, tag) == [Point(tag, T0, 1.0, GOOD)]
        assert historian.last([tag])[tag].value == 1.0
        assert historian.aggregate([tag], Window(T0, T0 + MINUTE), 1)[tag].count.tolist() == [1]

    def test_unknown_tags_and_empty_stretches_give_empty_answers(self, historian: Historian) -> None:
        historian.write(PointBatch.empty())
        historian.write(numbers("m.a", 1.0))
        window = Window(T0 + HOUR, T0 + 2 * HOUR)
        for tag in ("m.a", "m.unknown"):
            assert len(historian.range(tag, window)) == 0
            assert_trend(historian.aggregate([tag], window, 3)[tag], window, 3, brute_force([], window, 3))
        assert historian.last(["m.unknown"]) == {}
        assert historian.last_good(["m.unknown"]) == {}
        assert historian.span(["m.unknown"]) == {}
        assert historian.aggregate([], window, 3) == {}

    def test_windows_are_half_open(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, 2.0, 3.0))
        window = Window(T0, T0 + 2 * SECOND)
        assert historian.range("m.a", window).value.tolist() == [1.0, 2.0]
        assert historian.aggregate(["m.a"], window, 1)["m.a"].count.tolist() == [2]

    # Order and duplicates

    def test_late_points_take_their_place(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 3.0, start_ns=T0 + 2 * HOUR))
        historian.write(numbers("m.a", 1.0, start_ns=T0 - DAY))
        historian.write(numbers("m.a", 2.0))
        assert [point.value for point in everything(historian, "m.a")] == [1.0, 2.0, 3.0]
        assert historian.last(["m.a"])["m.a"].value == 3.0

    def test_writing_twice_leaves_one(self, historian: Historian) -> None:
        batch = PointBatch.concat([numbers("m.a", 1.0, None, 3.0), numbers("m.b", "ON", "OFF")])
        for _ in range(3):
            historian.write(batch)
        assert len(everything(historian, "m.a")) == 3
        assert len(everything(historian, "m.b")) == 2
        assert historian.aggregate(["m.a"], Window(T0, T0 + MINUTE), 1)["m.a"].count.tolist() == [2]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((1.0, GOOD), (2.0, GOOD)),
            ((1.0, GOOD), (1.0, UNCERTAIN)),
            ((1.0, GOOD), (None, BAD)),
            ((None, BAD), (1.0, GOOD)),
            (("ON", GOOD), ("OFF", GOOD)),
            ((1.0, GOOD), ("ON", GOOD)),
            (("ON", GOOD), (1.0, GOOD)),
        ],
    )
    @pytest.mark.parametrize("batches", [1, 2])
    def test_the_later_write_wins(
        self, historian: Historian, first: tuple[Value, Quality], second: tuple[Value, Quality], batches: int
    ) -> None:
        writes = [one("m.a", T0, *first), one("m.a", T0, *second)]
        for batch in writes if batches == 2 else [PointBatch.concat(writes)]:
            historian.write(batch)
        now = Point("m.a", T0, *second)
        assert everything(historian, "m.a") == [now]
        assert historian.last(["m.a"]) == {"m.a": now}
        assert historian.last_good(["m.a"]) == ({} if now.quality < UNCERTAIN else {"m.a": now})
        count = int(isinstance(now.value, float) and now.quality >= UNCERTAIN)
        assert historian.aggregate(["m.a"], Window(T0, T0 + MINUTE), 1)["m.a"].count.tolist() == [count]

    def test_a_batch_may_mix_new_known_and_corrected_points(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, 2.0, 3.0))
        historian.write(numbers("m.a", 1.0, 20.0, 3.0, 4.0))
        assert [point.value for point in everything(historian, "m.a")] == [1.0, 20.0, 3.0, 4.0]

    # Last points and spans

    def test_last_is_the_newest_whatever_its_quality(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, 2.0, None))
        historian.write(numbers("m.b", None))
        assert historian.last(["m.a", "m.b", "m.c"]) == {
            "m.a": Point("m.a", T0 + 2 * SECOND, None, BAD),
            "m.b": Point("m.b", T0, None, BAD),
        }
        assert historian.last_good(["m.a", "m.b", "m.c"]) == {"m.a": Point("m.a", T0 + SECOND, 2.0, GOOD)}

    def test_a_late_point_does_not_become_the_last(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 2.0))
        historian.write(numbers("m.a", 1.0, start_ns=T0 - HOUR))
        assert historian.last(["m.a"])["m.a"].value == 2.0
        assert historian.last_good(["m.a"])["m.a"].value == 2.0

    def test_last_good_falls_back_when_it_is_corrected_to_bad(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, 2.0, None))
        historian.write(one("m.a", T0 + SECOND, None, BAD))
        assert historian.last_good(["m.a"]) == {"m.a": Point("m.a", T0, 1.0, GOOD)}
        historian.write(one("m.a", T0, None, BAD))
        assert historian.last_good(["m.a"]) == {}

    def test_span_runs_from_the_first_to_just_after_the_last(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, None))
        historian.write(one("m.a", T0 - DAY, 1.0))
        span = historian.span(["m.a", "m.b"])["m.a"]
        assert span.start_ns == T0 - DAY
        assert T0 + SECOND < span.end_ns <= T0 + SECOND + MS

    # With the point before the window

    def test_with_previous_gives_the_newest_point_before(self, historian: Historian) -> None:
        historian.write(numbers("m.state", "OFF", None, "ON", 4.0, step_ns=HOUR))
        for start, expected in ((T0, ["OFF"]), (T0 + 1, ["OFF"]), (T0 + HOUR + MS, [None]), (T0 + 9 * HOUR, [4.0])):
            series = historian.range("m.state", Window(start, start + MS), with_previous=True)
            assert [point.value for point in points("m.state", series)] == expected
        series = historian.range("m.state", Window(T0 + HOUR, T0 + 3 * HOUR), with_previous=True)
        assert [point.value for point in points("m.state", series)] == ["OFF", None, "ON"]

    def test_with_previous_is_empty_where_nothing_came_before(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0))
        assert len(historian.range("m.a", Window(T0 - HOUR, T0), with_previous=True)) == 0
        assert len(historian.range("m.none", Window(T0 - HOUR, T0), with_previous=True)) == 0

    # Trends

    def test_a_gap_is_a_gap(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, None, None, 4.0, step_ns=MINUTE))
        window = Window(T0, T0 + 4 * MINUTE)
        trend = historian.aggregate(["m.a"], window, 4)["m.a"]
        assert trend.count.tolist() == [1, 0, 0, 1]
        assert np.isnan(trend.mean).tolist() == [False, True, True, False]

    def test_buckets_are_rounded_up_and_the_last_is_cut_short(self, historian: Historian) -> None:
        historian.write(numbers("m.a", *map(float, range(10))))
        window = Window(T0, T0 + 10 * SECOND)
        trend = historian.aggregate(["m.a"], window, 3)["m.a"]
        assert_trend(trend, window, 3, brute_force(everything(historian, "m.a"), window, 3))
        assert historian.aggregate(["m.a"], Window(T0, T0 + 2), 5)["m.a"].count.tolist() == [1, 0, 0, 0, 0]

    def test_no_buckets_is_refused(self, historian: Historian) -> None:
        with pytest.raises(UserInputError):
            historian.aggregate(["m.a"], Window(T0, T0 + 1), 0)

    def test_several_tags_at_once(self, historian: Historian) -> None:
        historian.write(PointBatch.concat([numbers(f"m.{i}", float(i), float(i + 1), step_ns=HOUR) for i in range(5)]))
        window = Window(T0, T0 + 2 * HOUR)
        trends = historian.aggregate([f"m.{i}" for i in range(6)], window, 2)
        for i in range(6):
            expected = brute_force(everything(historian, f"m.{i}"), window, 2)
            assert_trend(trends[f"m.{i}"], window, 2, expected)

    def test_a_month(self, historian: Historian) -> None:
        n = 30 * 24 * 60
        rng = np.random.default_rng(3)
        times = T0 + np.arange(n) * MINUTE + rng.integers(0, 59_999, n) * MS
        batch = PointBatch(("m.a",), np.zeros(n, np.int32), times, rng.normal(size=n), np.full(n, GOOD, np.uint8))
        for part in np.array_split(rng.permutation(n), 7):
            historian.write(batch.take(part))
        series = historian.range("m.a", Window(T0, T0 + 30 * DAY))
        np.testing.assert_array_equal(series.time_ns, batch.time_ns)
        np.testing.assert_array_equal(series.value, batch.value)
        for window in (Window(T0, T0 + 30 * DAY), Window(T0 + 7 * SECOND, T0 + 29 * DAY)):
            trend = historian.aggregate(["m.a"], window, 800)["m.a"]
            assert_trend(trend, window, 800, brute_force(batch, window, 800))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @example(History([[(0, 1.0, GOOD), (7_200_000, 1.0, GOOD)], [(0, None, BAD)]], (0, 120_000), 2))
    @example(History([[(0, 1.0, GOOD), (7_200_000, 1.0, GOOD)], [(59_999, 2.0, GOOD)]], (0, 120_000), 2))
    @given(history=histories())
    def test_trends_equal_brute_force(self, historian: Historian, history: History) -> None:
        tag, start = f"m.{next(days)}", T0 + next(days) * DAY
        stored: dict[int, Point] = {}
        window = Window(start + history.window_ms[0] * MS, start + history.window_ms[1] * MS)
        for write in history.writes:
            batch = [
                Point(tag, start + ms * MS, value, quality if value is not None else BAD)
                for ms, value, quality in write
            ]
            historian.write(PointBatch.of(batch))
            stored |= {point.time_ns: point for point in batch}
            expected = brute_force(stored.values(), window, history.buckets)
            assert_trend(historian.aggregate([tag], window, history.buckets)[tag], window, history.buckets, expected)
        kept = sorted(stored.values(), key=lambda point: point.time_ns)
        assert points(tag, historian.range(tag, Window(start - DAY, start + DAY))) == kept
        assert historian.last([tag])[tag] == kept[-1]
        good = [point for point in kept if point.quality >= UNCERTAIN]
        assert historian.last_good([tag]).get(tag) == (good[-1] if good else None)

    # Watching

    def test_watch_gives_what_is_written_from_now_on(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0))
        watch, some = historian.watch(), historian.watch(["m.b"])
        assert len(watch.take()) == 0
        written = [
            Point("m.a", T0 + HOUR, 2.0, GOOD),
            Point("m.b", T0 + HOUR, "ON", GOOD),
            Point("m.a", T0 + 1, 3.0, GOOD),
        ]
        for point in written:
            historian.write(PointBatch.of([point]))
        assert list(watch.take()) == written
        assert list(some.take()) == [written[1]]
        assert len(watch.take()) == 0
        assert watch.missed == 0
        watch.close()
        historian.write(numbers("m.b", "OFF", start_ns=T0 + 2 * HOUR))
        assert len(watch.take()) == 0
        assert len(some.take()) == 1

    def test_nobody_taking_costs_the_oldest_points_and_is_counted(self, historian: Historian) -> None:
        watch = historian.watch(["m.a"])
        n = 70_000
        for start in range(0, 3 * n, n):
            times = T0 + np.arange(start, start + n) * SECOND
            historian.write(PointBatch(("m.a",), np.zeros(n, np.int32), times, np.ones(n), np.full(n, GOOD, np.uint8)))
        taken = watch.take()
        assert watch.missed > 0
        assert len(taken) + watch.missed == 3 * n
        assert taken.time_ns.tolist() == [T0 + i * SECOND for i in range(3 * n - len(taken), 3 * n)]

    # Threads, health, end

    def test_threads_read_and_write_at_once(self, historian: Historian) -> None:
        rounds, failures, done = 150, [], threading.Event()

        def guarded(work: object) -> None:
            try:
                work()  # type: ignore[operator]
            except BaseException as error:  # noqa: BLE001 - a thread's failure belongs to the test
                failures.append(error)

        def write(writer: int) -> None:
            for i in range(rounds):
                at = T0 + i * 20 * SECOND
                historian.write(PointBatch.of([Point(f"w{writer}.{k}", at, float(i), GOOD) for k in range(5)]))

        def read() -> None:
            window, seen = Window(T0, T0 + HOUR), 0
            while not done.is_set():
                trends = historian.aggregate(["w0.0", "w0.4"], window, 60)
                assert trends["w0.0"].count.tolist() == trends["w0.4"].count.tolist()  # all of a batch or nothing
                values = historian.range("w0.0", window).value.tolist()
                assert values == [float(i) for i in range(len(values))]
                assert len(values) >= seen
                seen = len(values)
                historian.last(["w0.0"])
                assert historian.health().ok

        readers = [threading.Thread(target=guarded, args=(read,)) for _ in range(3)]
        writers = [threading.Thread(target=guarded, args=(lambda w=w: write(w),)) for w in range(3)]
        for thread in readers + writers:
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        for thread in readers:
            thread.join()
        assert failures == []
        for writer in range(3):
            assert len(everything(historian, f"w{writer}.3")) == rounds

    def test_health_tells_rows_and_bytes(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0, None, 3.0))
        historian.write(numbers("m.a", 1.0, 2.0, "x"))
        health = historian.health()
        assert (health.ok, health.rows, health.message) == (True, 3, "")
        assert health.bytes > 0

    def test_close_twice(self, historian: Historian) -> None:
        historian.write(numbers("m.a", 1.0))
        historian.close()
        historian.close()
