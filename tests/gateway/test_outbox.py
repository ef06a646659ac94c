from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
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
