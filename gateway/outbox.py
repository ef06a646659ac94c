"""The durable buffer between sources and historian: SQLite (WAL, synchronous=FULL), one blob per batch.

What `append` has returned survives `kill -9` and loss of power. Bounded in bytes and age; when full, the oldest
batches go and are counted. Synchronous and for one thread at a time; `status()` may be called from any thread.
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

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    committed_ns INTEGER NOT NULL,
    points INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    blob BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES ('dropped_points', 0);
"""


class Outbox:
    """Appended in order, taken in order. One process at a time owns the file."""

    def __init__(
        self, path: Path, clock: Clock, *, max_bytes: int = 1 << 30, max_age_ns: int = 30 * DAY, busy_s: float = 2.0
    ) -> None:
        self._path, self._clock = path, clock
        self._max_bytes, self._max_age_ns = max_bytes, max_age_ns
        self._forwarded = 0
        self._lent_up_to = 0  # newest batch that `oldest` gave out and that is not deleted yet
        self._dropped_lent = 0  # points dropped while given out: delivered all the same when delete_up_to follows
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
                row = self._db.execute("SELECT count(*), total(points), total(bytes) FROM batch").fetchone()
                self._batches, self._points, self._bytes = (int(item) for item in row)
                self._dropped = self._read_dropped()
                self._oldest_ns = self._read_oldest_ns()
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
            oldest_ns = self._read_oldest_ns()
        self._batches += len(ids) - dropped.batches
        self._points += added_points - dropped.points
        self._bytes += added_bytes - dropped.bytes
        self._oldest_ns = oldest_ns
        self._dropped += dropped.points
        self._dropped_lent += dropped.lent_points
        if dropped.points:
            log.warning("the outbox is full: dropped the oldest %d points", dropped.points)
        return ids

    def oldest(self, limit_points: int) -> list[tuple[int, PointBatch]]:
        """The oldest batches, at least one when there is any, up to about so many points."""
        found: list[tuple[int, PointBatch]] = []
        damaged: list[int] = []
        points = 0
        with self._told("read"):
            for batch_id, blob in self._db.execute("SELECT id, blob FROM batch ORDER BY id"):
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
        self._drop_damaged(damaged)
        self._lent_up_to, self._dropped_lent = (found[-1][0] if found else 0), 0
        return found

    def delete_up_to(self, batch_id: int) -> None:
        """The historian has this batch and all older ones."""
        with self._told("written"), self._transaction():
            row = self._db.execute(
                "SELECT count(*), total(points), total(bytes) FROM batch WHERE id <= ?", (batch_id,)
            ).fetchone()
            batches, points, size = (int(item) for item in row)
            self._db.execute("DELETE FROM batch WHERE id <= ?", (batch_id,))
            rescued = self._dropped_lent if batch_id == self._lent_up_to else 0
            self._count_dropped(-rescued)
            oldest_ns = self._read_oldest_ns()
        self._batches, self._points, self._bytes = self._batches - batches, self._points - points, self._bytes - size
        self._oldest_ns = oldest_ns
        self._dropped -= rescued
        self._forwarded += points + rescued
        self._lent_up_to, self._dropped_lent = 0, 0

    def status(self) -> OutboxStatus:
        return OutboxStatus(
            batches=self._batches,
            points=self._points,
            bytes=self._bytes,
            oldest_ns=self._oldest_ns,
            dropped_points=self._dropped,
            forwarded_points=self._forwarded,
            fault=self._fault,
            detail=self._detail,
        )

    def close(self) -> None:
        self._db.close()

    def _drop(self, now: int, added_bytes: int, before: int) -> _Dropped:
        """Inside a transaction: deletes the oldest batches until the bounds hold; never one of those just added."""
        over = self._bytes + added_bytes - self._max_bytes
        if over <= 0 and (self._oldest_ns is None or self._oldest_ns >= now - self._max_age_ns):
            return _Dropped()
        dropped, last = _Dropped(), 0
        rows = self._db.execute("SELECT id, committed_ns, points, bytes FROM batch WHERE id < ? ORDER BY id", (before,))
        for batch_id, committed_ns, points, size in rows:
            if dropped.bytes >= over and committed_ns >= now - self._max_age_ns:
                break
            dropped.add(points, size, lent=batch_id <= self._lent_up_to)
            last = batch_id
        rows.close()
        self._db.execute("DELETE FROM batch WHERE id <= ?", (last,))
        self._count_dropped(dropped.points)
        return dropped

    def _drop_damaged(self, ids: Iterable[int]) -> None:
        for batch_id in ids:
            with self._told("written"), self._transaction():
                points, size = self._db.execute("SELECT points, bytes FROM batch WHERE id = ?", (batch_id,)).fetchone()
                self._db.execute("DELETE FROM batch WHERE id = ?", (batch_id,))
                self._count_dropped(points)
            self._batches, self._points, self._bytes = self._batches - 1, self._points - points, self._bytes - size
            self._dropped += points

    def _count_dropped(self, points: int) -> None:
        if points:
            self._db.execute("UPDATE counter SET value = value + ? WHERE name = 'dropped_points'", (points,))

    def _read_dropped(self) -> int:
        row = self._db.execute("SELECT value FROM counter WHERE name = 'dropped_points'").fetchone()
        return int(row[0])

    def _read_oldest_ns(self) -> int | None:
        row = self._db.execute("SELECT committed_ns FROM batch ORDER BY id LIMIT 1").fetchone()
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
    """What a transaction dropped."""

    def __init__(self) -> None:
        self.batches = self.points = self.bytes = self.lent_points = 0

    def add(self, points: int, size: int, *, lent: bool) -> None:
        self.batches += 1
        self.points += points
        self.bytes += size
        self.lent_points += points if lent else 0


def _advice(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "Another gateway uses the same data folder: stop it, or give this one a folder of its own."
    if "full" in text or "space" in text:
        return "Make room on the disk; the gateway goes on by itself."
    if "malformed" in text or "not a database" in text:
        return "The file is damaged: move it away and start again; what was waiting in it is lost."
    return "Make sure that the data folder exists and that this user may write to it."
