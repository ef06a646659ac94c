from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import codec
from gateway.outbox import Outbox
from plant.clock import DAY, SECOND, system_clock
from plant.errors import ResourceError
from plant.points import Point, PointBatch, Quality

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
POINTS = st.builds(
    Point,
    tag=st.sampled_from(["m.a", "m.b", "åäö.c"]),
    time_ns=st.integers(-(2**63), 2**63 - 1),
    value=st.none() | st.floats() | TEXTS,
    quality=st.sampled_from(list(Quality)),
)


def batch(start: int, count: int = 10) -> PointBatch:
    return PointBatch.of([Point("m.x", i, float(i), Quality.GOOD) for i in range(start, start + count)])


def values(found: list[tuple[int, PointBatch]]) -> list[float]:
    return [float(v) for _, b in found for v in b.value]


class Clock:
    now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


@given(st.lists(POINTS))
def test_every_bit_of_a_batch_comes_back(points: list[Point]) -> None:
    before = PointBatch.of(points)
    after = codec.decode(codec.encode(before))
    assert after.tags == before.tags
    assert after.text == before.text
    for column in ("tag", "time_ns", "value", "quality"):
        was, now = getattr(before, column), getattr(after, column)
        assert now.dtype == was.dtype
        assert now.tobytes() == was.tobytes()


def test_damaged_bytes_are_refused() -> None:
    blob = bytearray(codec.encode(batch(0)))
    blob[-1] ^= 1
    for bad in (bytes(blob), b"", b"\x07" + bytes(blob[1:]), codec.encode(batch(0))[:-3]):
        with pytest.raises(codec.CodecError):
            codec.decode(bad)


def test_in_order_and_only_what_was_deleted_is_gone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", system_clock)
    assert outbox.oldest(100) == []
    ids = outbox.append([batch(0), batch(10)]) + outbox.append([batch(20)])
    assert ids == sorted(set(ids))
    assert values(outbox.oldest(1000)) == list(range(30))
    assert values(outbox.oldest(20)) == list(range(20))
    assert values(outbox.oldest(1)) == list(range(10)), "at least one batch"
    outbox.done_up_to(ids[1])
    assert values(outbox.oldest(1000)) == list(range(20, 30))
    status = outbox.status()
    assert (status.batches, status.points, status.forwarded_points, status.dropped_points) == (1, 10, 20, 0)
    outbox.close()

    again = Outbox(tmp_path / "o.sqlite", system_clock)
    assert values(again.oldest(1000)) == list(range(20, 30))
    assert again.status().points == 10
    assert again.status().bytes == status.bytes
    assert again.append([batch(30)])[0] > ids[-1], "ids are never used again"
    again.close()


def test_the_oldest_go_when_it_is_full_and_the_count_survives(tmp_path: Path) -> None:
    size = len(codec.encode(batch(0)))
    outbox = Outbox(tmp_path / "o.sqlite", system_clock, max_bytes=3 * size + size // 2)
    for i in range(5):
        outbox.append([batch(10 * i)])
    assert values(outbox.oldest(1000)) == list(range(20, 50))
    assert outbox.status().dropped_points == 20
    assert outbox.status().bytes == sum(len(codec.encode(b)) for _, b in outbox.oldest(1000))
    outbox.close()
    again = Outbox(tmp_path / "o.sqlite", system_clock)
    assert again.status().dropped_points == 20
    again.close()


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    clock = Clock()
    outbox = Outbox(tmp_path / "o.sqlite", clock, max_age_ns=DAY)
    outbox.append([batch(0)])
    first = clock.now
    clock.now += DAY
    outbox.append([batch(10)])
    assert outbox.status().oldest_ns == first, "exactly a day is not too old"
    clock.now += 1
    outbox.append([batch(20)])
    assert values(outbox.oldest(1000)) == list(range(10, 30))
    assert outbox.status().dropped_points == 10
    assert outbox.status().oldest_ns == first + DAY
    outbox.close()


def test_points_dropped_while_they_were_being_forwarded_are_not_counted_as_lost(tmp_path: Path) -> None:
    size = len(codec.encode(batch(0)))
    outbox = Outbox(tmp_path / "o.sqlite", system_clock, max_bytes=2 * size + size // 2)
    outbox.append([batch(0), batch(10)])
    newest = outbox.oldest(20)[-1][0]  # now the historian is slow …
    outbox.append([batch(20)])  # … and the outbox full
    assert outbox.status().dropped_points == 10
    outbox.done_up_to(newest)
    assert outbox.status().dropped_points == 0
    assert outbox.status().forwarded_points == 20
    assert outbox.status().points == 10
    outbox.close()


def test_each_consumer_has_a_place_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path, system_clock, outputs=["uns"])
    ids = outbox.append([batch(0), batch(10), batch(20)])
    outbox.done_up_to(ids[1])
    assert values(outbox.oldest(1000)) == list(range(20, 30))
    assert values(outbox.oldest(1000, "uns")) == list(range(30)), "not before all have it"
    outbox.done_up_to(ids[0], "uns")
    assert (outbox.status().points, outbox.status("uns").points) == (10, 20)
    assert (outbox.status().forwarded_points, outbox.status("uns").forwarded_points) == (20, 10)
    outbox.close()

    again = Outbox(path, system_clock, outputs=["uns", "late"])
    assert values(again.oldest(1000)) == list(range(20, 30))
    assert values(again.oldest(1000, "uns")) == list(range(10, 30))
    assert again.oldest(1000, "late") == [], "an output that is new begins with what comes now"
    again.append([batch(30)])
    assert values(again.oldest(1000, "late")) == list(range(30, 40))
    assert again.status("late").points == 10
    again.close()

    last = Outbox(path, system_clock)
    assert values(last.oldest(1000)) == list(range(20, 40))
    last.done_up_to(ids[2])
    assert last.status().bytes == sum(len(codec.encode(b)) for _, b in last.oldest(1000))
    assert last._db.execute("SELECT count(*) FROM batch").fetchone() == (1,), "an output that was removed holds nothing"
    last.close()


def test_an_output_that_is_away_for_long_loses_only_its_own(tmp_path: Path) -> None:
    size = len(codec.encode(batch(0)))
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path, system_clock, outputs=["uns"], max_bytes=3 * size + size // 2)
    for i in range(10):
        [newest] = outbox.append([batch(10 * i)])
        assert values(outbox.oldest(1000)) == list(range(10 * i, 10 * i + 10))
        outbox.done_up_to(newest)
    assert (outbox.status().dropped_points, outbox.status().forwarded_points) == (0, 100)
    assert values(outbox.oldest(1000, "uns")) == list(range(70, 100))
    assert outbox.status("uns").dropped_points == 70
    outbox.close()
    again = Outbox(path, system_clock, outputs=["uns"])
    assert (again.status().dropped_points, again.status("uns").dropped_points) == (0, 70)
    assert again.status("uns").bytes == 3 * size
    again.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["historian", "uns"]), st.integers(1, 40)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_every_consumer_gets_every_point_once_in_order_or_it_is_counted(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        limit = 6 * len(codec.encode(batch(0)))

        def opened() -> Outbox:
            return Outbox(Path(folder) / "o.sqlite", system_clock, outputs=["uns"], max_bytes=limit)

        outbox, sent = opened(), 0
        taken: dict[str, list[float]] = {"historian": [], "uns": []}
        for step, count in [*steps, ("historian", 10**6), ("uns", 10**6)]:
            if step == "append":
                outbox.append([batch(sent + 10 * i) for i in range(count)])
                sent += 10 * count
            elif step == "reopen":
                outbox.close()
                outbox = opened()
            elif found := outbox.oldest(count, step):
                taken[step] += values(found)
                outbox.done_up_to(found[-1][0], step)
        for name, got in taken.items():
            assert got == sorted(set(got))
            assert len(got) + outbox.status(name).dropped_points == sent
            assert (outbox.status(name).points, outbox.status(name).bytes) == (0, 0)
        outbox.close()


def test_a_damaged_batch_does_not_hold_up_the_others(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", system_clock)
    outbox.append([batch(0), batch(10), batch(20)])
    outbox.close()
    with sqlite3.connect(tmp_path / "o.sqlite") as db:
        db.execute("UPDATE batch SET blob = x'0102' WHERE id = 1")
    db.close()
    outbox = Outbox(tmp_path / "o.sqlite", system_clock)
    assert values(outbox.oldest(1000)) == list(range(10, 30))
    assert outbox.status().dropped_points == 10
    assert outbox.status().points == 20
    outbox.close()


def test_a_second_gateway_on_the_same_folder_is_told_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", system_clock)
    with pytest.raises(ResourceError, match="locked") as caught:
        Outbox(tmp_path / "o.sqlite", system_clock, busy_s=0.1)
    assert "Another gateway" in caught.value.next_step
    outbox.close()


def test_a_folder_that_cannot_be_written_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be opened") as caught:
        Outbox(tmp_path / "file" / "o.sqlite", system_clock)
    assert caught.value.next_step


def test_a_full_disk_is_told_changes_nothing_and_heals(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", system_clock)
    outbox.append([batch(0)])
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own "database or disk is full"
    with pytest.raises(ResourceError, match="full") as caught:
        outbox.append([batch(10, count=5_000)])
    assert "room on the disk" in caught.value.next_step
    assert outbox.status().detail
    assert values(outbox.oldest(1000)) == list(range(10))
    assert outbox.status().points == 10
    outbox._db.execute("PRAGMA max_page_count=100000")
    outbox.append([batch(10)])
    assert values(outbox.oldest(1000)) == list(range(20))
    assert outbox.status().detail == ""
    outbox.close()


CHILD = """
import sys
from pathlib import Path
from gateway.outbox import Outbox
from plant.clock import system_clock
from plant.points import Point, PointBatch, Quality
outbox = Outbox(Path(sys.argv[1]), system_clock)
n = int(sys.argv[2])
while True:
    group = [PointBatch.of([Point("m.x", n + j, float(n + j), Quality.GOOD)]) for j in range(3)]
    outbox.append(group)
    n += 3
    print(n, flush=True)
"""


def test_kill_in_mid_append_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    acknowledged = 0
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(acknowledged)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(random.uniform(0.01, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        told = int(child.stdout.read().split("\n")[-2])
        child.stdout.close()
        outbox = Outbox(path, system_clock)
        stored = values(outbox.oldest(10**9))
        outbox.close()
        assert stored == list(map(float, range(len(stored)))), "in order, none missing, none twice"
        assert told <= len(stored) <= told + 3, "all that was told, and at most the transaction under way"
        assert len(stored) % 3 == 0, "a transaction is whole or not there"
        acknowledged = len(stored)
    assert acknowledged > 15


def test_values_are_bit_exact_after_the_disk(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", system_clock)
    odd = PointBatch.of(
        [
            Point("a", -1, 0.1 + 0.2, Quality.GOOD),
            Point("b", 2**62, "åäö", Quality.BAD_DECODE),
            Point("a", 3, None, Quality.BAD),
        ]
    )
    outbox.append([odd])
    [(_, found)] = outbox.oldest(10)
    np.testing.assert_array_equal(found.value, odd.value)
    assert list(found) == list(odd)
    outbox.close()


READERS = """
import sys
from pathlib import Path
from gateway.outbox import Outbox
from plant.clock import system_clock
from plant.points import Point, PointBatch, Quality
outbox = Outbox(Path(sys.argv[1]), system_clock, outputs=["uns"])
n = int(sys.argv[2])
while True:
    outbox.append([PointBatch.of([Point("m.x", n, float(n), Quality.GOOD)])])
    n += 1
    for name in ("historian", "uns"):
        if n % 3 == 0 or name == "historian":
            found = outbox.oldest(2, name)
            if found:
                print(name, *(int(v) for _, b in found for v in b.value), flush=True)
                outbox.done_up_to(found[-1][0], name)
    print("next", n, flush=True)
"""


def test_kill_with_two_consumers_leaves_each_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    seen: dict[str, list[int]] = {"historian": [], "uns": []}
    sent = 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", READERS, str(path), str(sent)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random.uniform(0.02, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        for line in (first + child.stdout.read()).split("\n")[:-1]:
            word, *told = line.split()
            if word in seen:
                seen[word] += map(int, told)
        child.stdout.close()
        outbox = Outbox(path, system_clock, outputs=["uns"])
        waiting = values(outbox.oldest(10**9, "uns"))
        sent = max(sent, *(int(v) + 1 for v in waiting), *(n + 1 for n in seen["historian"]))
        outbox.close()
    outbox = Outbox(path, system_clock, outputs=["uns"])
    for name, numbers in seen.items():
        numbers += map(int, values(outbox.oldest(10**9, name)))
        assert set(numbers) >= set(range(sent)), "something is missing"
        assert len(numbers) - len(set(numbers)) <= 2 * 4, "only what was under way at a kill comes twice"
    outbox.close()
