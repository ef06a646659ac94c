"""Messages that could not be read, set aside so that the others go on: the newest of each source, in SQLite.

Survives a restart. For people, not for replay: a payload is kept up to 4 kB, and a disk that does not take it costs
the copy, never the stream. Callable from any thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from plant.connections import Rejected

log = logging.getLogger(__name__)

KEEP_BYTES = 4_096
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL, time_ns INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    size INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_source ON rejected (source, id);
CREATE TABLE IF NOT EXISTS total (source TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""


class RejectedShelf:
    """Opened at the first message: most plants never need it."""

    def __init__(self, path: Path, keep: int = 200) -> None:
        self._path, self._keep = path, keep
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._totals: dict[str, int] = {}
        if path.exists():
            self._attempt(lambda db: self._totals.update(db.execute("SELECT source, count FROM total")))

    def add(self, source: str, messages: Sequence[Rejected]) -> None:
        """Counts all of them and keeps the newest."""
        self._totals[source] = self._totals.get(source, 0) + len(messages)

        def write(db: sqlite3.Connection) -> None:
            newest = messages[-self._keep :]
            rows = [(source, m.time_ns, _text(m.topic), m.payload, m.size, _text(m.reason)) for m in newest]
            columns = "source, time_ns, topic, payload, size, reason"
            db.executemany(f"INSERT INTO rejected ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 — constant
            db.execute(
                "DELETE FROM rejected WHERE source = ? AND id <= "
                "(SELECT id FROM rejected WHERE source = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (source, source, self._keep),
            )
            db.execute("INSERT OR REPLACE INTO total VALUES (?, ?)", (source, self._totals[source]))

        self._attempt(write)

    def count(self, source: str) -> int:
        """How many were ever set aside."""
        return self._totals.get(source, 0)

    def newest(self, source: str) -> tuple[Rejected, ...]:
        """What is kept, newest first."""
        found: list[Rejected] = []
        if self.count(source):
            query = "SELECT time_ns, topic, payload, size, reason FROM rejected WHERE source = ? ORDER BY id DESC"
            self._attempt(lambda db: found.extend(Rejected(*row) for row in db.execute(query, (source,))))
        return tuple(found)

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _attempt(self, use: Callable[[sqlite3.Connection], object]) -> None:
        with self._lock:
            try:
                if self._db is None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    self._db = sqlite3.connect(self._path, check_same_thread=False)
                    self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
                with self._db:
                    use(self._db)
            except (sqlite3.Error, OSError) as error:
                log.warning("messages that were set aside cannot be kept in %s: %s", self._path, error)


def rejected(time_ns: int, topic: str, payload: bytes, reason: str) -> Rejected:
    """A message as it is kept."""
    return Rejected(time_ns, topic, payload[:KEEP_BYTES], len(payload), reason)


def _text(text: str) -> str:
    """What SQLite can store: half a surrogate pair it cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
