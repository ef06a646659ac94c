"""The durable buffer between sources and what takes their points: SQLite (WAL, synchronous=FULL), a blob per batch.

What `append` has returned survives `kill -9` and loss of power. Bounded in bytes and age; when full, the oldest
batches go and are counted. Synchronous and for one thread at a time; `status()` may be called from any thread.

Several consumers (the historian, outputs) read it, each from a position of its own. A batch leaves when all have it:
one that is away for long holds up nobody, and what the bounds then drop is lost for that one only.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway import codec
from plant.clock import DAY, Clock
from plant.connections import Fault, OutboxStatus
from plant.errors import ResourceError
from plant.points import PointBatch

log = logging.getLogger(__name__)

HISTORIAN = "historian"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    committed_ns INTEGER NOT NULL,
    points INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    blob BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS consumer (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    dropped_points INTEGER NOT NULL
);
"""


class _Consumer:
    """One reader: it has every batch up to `position`. `batches`, `points` and `bytes` wait for it."""

    def __init__(self, name: str, position: int, dropped: int) -> None:
        self.name, self.position, self.dropped = name, position, dropped
        self.batches = self.points = self.bytes = self.forwarded = 0
        self.oldest_ns: int | None = None
        self.lent_up_to = 0  # newest batch that `oldest` gave out and that is not done yet
        self.dropped_lent = 0  # points dropped while given out: delivered all the same when done_up_to follows

    def waiting(self, batches: int, points: int, size: int) -> None:
        """So many more (or fewer) wait."""
        self.batches += batches
        self.points += points
        self.bytes += size


class Outbox:
    """Appended in order, taken in order. One process at a time owns the file.

    An output that is new begins with what comes now; one that is no longer among `outputs` is forgotten.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        outputs: Sequence[str] = (),
        max_bytes: int = 1 << 30,
        max_age_ns: int = 30 * DAY,
        busy_s: float = 2.0,
    ) -> None:
        self._path, self._clock = path, clock
        self._max_bytes, self._max_age_ns = max_bytes, max_age_ns
        self._fault, self._detail = Fault.NONE, ""
        with self._told("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            with self._told("opened"):
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_SCHEMA)
                with self._transaction():
                    self._consumers = self._open_consumers([HISTORIAN, *outputs])
                self._bytes = int(self._db.execute("SELECT total(bytes) FROM batch").fetchone()[0])
                self._oldest_ns = self._read_oldest_ns(0)
        except ResourceError:
            self._db.close()
            raise

    def append(self, batches: Sequence[PointBatch]) -> list[int]:
        """Commits all batches in one transaction, then returns their ids."""
        now = self._clock()
        blobs = [codec.encode(batch) for batch in batches]
        added_points, added_bytes = sum(map(len, batches)), sum(map(len, blobs))
        with self._told("written"), self._transaction():
            ids = [
                int(
                    self._db.execute(
                        "INSERT INTO batch (committed_ns, points, bytes, blob) VALUES (?, ?, ?, ?)",
                        (now, len(batch), len(blob), blob),
                    ).lastrowid
                    or 0
                )
                for batch, blob in zip(batches, blobs, strict=True)
            ]
            dropped = self._drop(now, added_bytes, before=ids[0] if ids else 0)
            oldest_ns = self._read_oldest_ns(0)
        self._bytes += added_bytes - dropped.bytes
        self._oldest_ns = oldest_ns
        for consumer in self._consumers.values():
            consumer.waiting(len(ids), added_points, added_bytes)
            self._lose(consumer, dropped)
            consumer.oldest_ns = self._read_oldest_ns(consumer.position)
        return ids

    def oldest(self, limit_points: int, consumer: str = HISTORIAN) -> list[tuple[int, PointBatch]]:
        """The oldest batches that the consumer lacks, at least one when there is any, up to about so many points."""
        reader = self._consumers[consumer]
        found: list[tuple[int, PointBatch]] = []
        damaged: list[int] = []
        points = 0
        with self._told("read"):
            rows = self._db.execute("SELECT id, blob FROM batch WHERE id > ? ORDER BY id", (reader.position,))
            for batch_id, blob in rows:
                try:
                    batch = codec.decode(blob)
                except codec.CodecError as error:
                    log.error("outbox batch %d is damaged and left out: %s", batch_id, error)
                    damaged.append(batch_id)
                    continue
                if found and points + len(batch) > limit_points:
                    break
                found.append((batch_id, batch))
                points += len(batch)
                if points >= limit_points:
                    break
            rows.close()
        self._drop_damaged(damaged)
        reader.lent_up_to, reader.dropped_lent = (found[-1][0] if found else 0), 0
        return found

    def done_up_to(self, batch_id: int, consumer: str = HISTORIAN) -> None:
        """The consumer has this batch and all older ones. What all have is deleted."""
        reader = self._consumers[consumer]
        with self._told("written"), self._transaction():
            batches, points, size = self._sums(reader.position, batch_id)
            rescued = reader.dropped_lent if batch_id == reader.lent_up_to else 0
            others = [other.position for other in self._consumers.values() if other is not reader]
            everybody = min([batch_id, *others])
            gone = self._sums(0, everybody)[2]
            self._db.execute("DELETE FROM batch WHERE id <= ?", (everybody,))
            self._db.execute(
                "UPDATE consumer SET position = ?, dropped_points = ? WHERE name = ?",
                (batch_id, reader.dropped - rescued, consumer),
            )
            oldest_ns = self._read_oldest_ns(0)
            reader_oldest_ns = self._read_oldest_ns(batch_id)
        self._bytes, self._oldest_ns = self._bytes - gone, oldest_ns
        reader.waiting(-batches, -points, -size)
        reader.position, reader.oldest_ns = batch_id, reader_oldest_ns
        reader.dropped -= rescued
        reader.forwarded += points + rescued
        reader.lent_up_to, reader.dropped_lent = 0, 0

    def status(self, consumer: str = HISTORIAN) -> OutboxStatus:
        """What waits for that consumer."""
        reader = self._consumers[consumer]
        return OutboxStatus(
            batches=reader.batches,
            points=reader.points,
            bytes=reader.bytes,
            oldest_ns=reader.oldest_ns,
            dropped_points=reader.dropped,
            forwarded_points=reader.forwarded,
            fault=self._fault,
            detail=self._detail,
        )

    def close(self) -> None:
        self._db.close()

    def _open_consumers(self, names: Sequence[str]) -> dict[str, _Consumer]:
        """Inside a transaction: the consumers with where they are; those of other names are forgotten."""
        newest = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'").fetchone()
        for name in names:
            begins = 0 if name == HISTORIAN or newest is None else int(newest[0])
            self._db.execute("INSERT OR IGNORE INTO consumer VALUES (?, ?, 0)", (name, begins))
        for (name,) in self._db.execute("SELECT name FROM consumer").fetchall():
            if name not in names:
                self._db.execute("DELETE FROM consumer WHERE name = ?", (name,))
        consumers = {row[0]: _Consumer(*row) for row in self._db.execute("SELECT * FROM consumer")}
        everybody = min(consumer.position for consumer in consumers.values())
        self._db.execute("DELETE FROM batch WHERE id <= ?", (everybody,))
        for consumer in consumers.values():
            consumer.waiting(*self._sums(consumer.position, None))
            consumer.oldest_ns = self._read_oldest_ns(consumer.position)
        return consumers

    def _sums(self, after: int, up_to: int | None) -> tuple[int, int, int]:
        """Batches, points and bytes of the batches with after < id <= up_to (None: to the end)."""
        row = self._db.execute(
            "SELECT count(*), total(points), total(bytes) FROM batch WHERE id > ? AND (? IS NULL OR id <= ?)",
            (after, up_to, up_to),
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def _drop(self, now: int, added_bytes: int, before: int) -> _Dropped:
        """Inside a transaction: deletes the oldest batches until the bounds hold; never one of those just added."""
        over = self._bytes + added_bytes - self._max_bytes
        dropped = _Dropped()
        if over <= 0 and (self._oldest_ns is None or self._oldest_ns >= now - self._max_age_ns):
            return dropped
        rows = self._db.execute("SELECT id, committed_ns, points, bytes FROM batch WHERE id < ? ORDER BY id", (before,))
        for batch_id, committed_ns, points, size in rows:
            if dropped.bytes >= over and committed_ns >= now - self._max_age_ns:
                break
            dropped.add(batch_id, points, size)
        rows.close()
        self._delete(dropped)
        return dropped

    def _delete(self, dropped: _Dropped) -> None:
        """Inside a transaction: deletes these batches and counts them for each consumer that lacks them."""
        self._db.executemany("DELETE FROM batch WHERE id = ?", [(batch_id,) for batch_id, _, _ in dropped.found])
        for consumer in self._consumers.values():
            points = sum(points for batch_id, points, _ in dropped.found if batch_id > consumer.position)
            if points:
                self._db.execute(
                    "UPDATE consumer SET dropped_points = dropped_points + ? WHERE name = ?", (points, consumer.name)
                )

    def _lose(self, consumer: _Consumer, dropped: _Dropped) -> None:
        """After the transaction: what was dropped no longer waits for the consumer."""
        lacked = [item for item in dropped.found if item[0] > consumer.position]
        points = sum(points for _, points, _ in lacked)
        consumer.waiting(-len(lacked), -points, -sum(size for _, _, size in lacked))
        consumer.dropped += points
        consumer.dropped_lent += sum(points for batch_id, points, _ in lacked if batch_id <= consumer.lent_up_to)
        if points:
            log.warning("the outbox is full: dropped the oldest %d points that %s lacks", points, consumer.name)

    def _drop_damaged(self, ids: Iterable[int]) -> None:
        dropped = _Dropped()
        for batch_id in ids:
            row = self._db.execute("SELECT points, bytes FROM batch WHERE id = ?", (batch_id,)).fetchone()
            dropped.add(batch_id, *row)
        if not dropped.found:
            return
        with self._told("written"), self._transaction():
            self._delete(dropped)
        self._bytes -= dropped.bytes
        for consumer in self._consumers.values():
            self._lose(consumer, dropped)

    def _read_oldest_ns(self, after: int) -> int | None:
        row = self._db.execute("SELECT committed_ns FROM batch WHERE id > ? ORDER BY id LIMIT 1", (after,)).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """A fault of disk or file becomes one plain sentence, and shows in the status until it works again."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._fault, self._detail = Fault.INTERNAL, str(error)
            raise ResourceError(
                f"The outbox {self._path} cannot be {done}: {error}.", next_step=_advice(error)
            ) from error
        if done == "written":  # reading goes on when the disk is full: it proves nothing
            self._fault, self._detail = Fault.NONE, ""


class _Dropped:
    """Batches that a transaction drops: id, points, bytes."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int]] = []
        self.bytes = 0

    def add(self, batch_id: int, points: int, size: int) -> None:
        self.found.append((batch_id, points, size))
        self.bytes += size


def _advice(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "Another gateway uses the same data folder: stop it, or give this one a folder of its own."
    if "full" in text or "space" in text:
        return "Make room on the disk; the gateway goes on by itself."
    if "malformed" in text or "not a database" in text:
        return "The file is damaged: move it away and start again; what was waiting in it is lost."
    return "Make sure that the data folder exists and that this user may write to it."
