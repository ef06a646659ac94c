"""The embedded historian: one DuckDB file, owned by one process, nothing to install or start.

Writers take turns, readers never wait for them: each read runs on a connection of its own, on what was committed
when it began. A write is one transaction with its points, its rollups and the state of its series, and on disk
before `write` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Lock

import duckdb

from plant.clock import Clock, Window, system_clock
from plant.errors import HistorianError, UserInputError
from plant.historian import duckdb_file, duckdb_latest, duckdb_read, duckdb_write
from plant.historian.base import HistorianHealth, Series, Trend
from plant.historian.duckdb_latest import Latest
from plant.historian.mailbox import Mailbox, Mailboxes
from plant.points import Point, PointBatch


class DuckDbHistorian:
    """A `Historian` in one file. `clock` only bounds how far minutes are rolled up."""

    def __init__(
        self, path: Path, *, clock: Clock = system_clock, memory_limit_mb: int = 512, threads: int = 2
    ) -> None:
        self.path = path.expanduser().resolve()
        self._clock = clock
        self._limits = (memory_limit_mb, threads)
        self._mailboxes = Mailboxes()
        self._writing = Lock()
        self._connections = Condition()  # guards the four below; held for moments only
        self._readers: set[duckdb.DuckDBPyConnection] = set()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._closed = False
        self._open()

    def _open(self) -> None:
        self._problem = ""
        memory_limit_mb, threads = self._limits
        self._db = duckdb_file.open_file(self.path, memory_limit_mb=memory_limit_mb, threads=threads)
        try:
            with duckdb_file.plain_errors(self.path, "be read"):
                self._known = duckdb_latest.load(self._db)
        except BaseException:
            self._let_go()
            raise

    def write(self, batch: PointBatch) -> None:
        """Store all points or none. Any order, late ones too. Raises HistorianError when it cannot now."""
        with self._writing:
            self._refuse_closed()
            if not len(batch):
                return
            try:
                with duckdb_file.plain_errors(self.path, "store points"):
                    if self._problem:
                        self._recover()
                    new, self._known = duckdb_write.store(self._db, self._known, batch, self._clock())
            except BaseException as error:
                self._problem = str(error) or type(error).__name__
                raise
            self._mailboxes.put(new)

    def last(self, tags: Iterable[str]) -> dict[str, Point]:
        """The newest point of each tag, whatever its quality; tags without points are left out."""
        return {tag: series.last for tag, series in self._series(tags).items()}

    def last_good(self, tags: Iterable[str]) -> dict[str, Point]:
        """The newest point of each tag that is not BAD; tags without one are left out."""
        return {tag: series.good for tag, series in self._series(tags).items() if series.good is not None}

    def span(self, tags: Iterable[str]) -> dict[str, Window]:
        """From the first point to just after the last of each tag; tags without points are left out."""
        return {tag: Window(item.first_ns, item.last.time_ns + 1) for tag, item in self._series(tags).items()}

    def range(self, tag: str, window: Window, *, with_previous: bool = False) -> Series:
        """All points of a tag in the window; with_previous: also the newest one before it, as first row.

        `text` is None where no row of the answer is a text.
        """
        series = self._series([tag]).get(tag)
        if series is None:
            return duckdb_read.empty_series()
        with self._reading() as db:
            return duckdb_read.points(db, series, window, with_previous=with_previous)

    def aggregate(self, tags: Sequence[str], window: Window, buckets: int) -> dict[str, Trend]:
        """Each tag's numbers in so many equal buckets, without BAD points. The last bucket may be cut short.

        A bucket is ceil(window / buckets) ns long, and its figures are always those of the raw points. Fastest
        where the window starts on a full minute and a bucket is so many minutes: then rollups answer.
        """
        if buckets < 1:
            raise UserInputError(f"A trend cannot have {buckets} buckets.", next_step="Ask for one bucket or more.")
        found: dict[str, Trend] = {}
        watermark_ns = self._known.watermark_ns  # before the snapshot: an older one is still right
        series = self._series(tags)
        if series:
            with self._reading() as db:
                found = duckdb_read.trends(db, tuple(series.values()), window, buckets, watermark_ns)
        return {tag: found.get(tag) or duckdb_read.empty_trend(window, buckets) for tag in tags}

    def watch(self, tags: Iterable[str] | None = None) -> Mailbox:
        """Points written from now on, of these tags or of all; not again those that the store had exactly so."""
        return self._mailboxes.open(tags)

    def health(self) -> HistorianHealth:
        """Cheap self-report; never raises."""
        message = "The historian is closed." if self._closed else self._problem
        return HistorianHealth(not message, "duckdb", self._known.rows, duckdb_file.size_of(self.path), message)

    def close(self) -> None:
        """Finish what is being written and let go of the store. Safe to call twice."""
        with self._writing:
            with self._connections:
                if self._closed:
                    return
                self._closed = True
                self._end_readers()
            with suppress(duckdb.Error):  # on a full disk, say: the write-ahead log keeps everything
                self._db.execute("CHECKPOINT")
            self._let_go()

    def _series(self, tags: Iterable[str]) -> dict[str, Latest]:
        self._refuse_closed()
        known = self._known
        return {tag: known.latest[known.ids[tag]] for tag in tags if tag in known.ids}

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of the caller's own, inside one snapshot."""
        with self._connections:
            self._refuse_closed()
            db = self._idle.pop() if self._idle else self._db.cursor()
            self._readers.add(db)
        sound = False
        try:
            with duckdb_file.plain_errors(self.path, "be read"):
                db.execute("BEGIN")
                yield db
                db.execute("COMMIT")
            sound = True
        finally:
            with self._connections:
                self._readers.discard(db)
                if sound and not self._closed:
                    self._idle.append(db)
                else:
                    db.close()
                self._connections.notify_all()

    def _end_readers(self) -> None:
        for reader in self._readers:
            reader.interrupt()
        self._connections.wait_for(lambda: not self._readers)
        while self._idle:
            self._idle.pop().close()

    def _recover(self) -> None:
        """After a failed write nobody knows whether it reached the disk: read again what is there."""
        try:
            self._known = duckdb_latest.load(self._db)
            self._problem = ""
        except (duckdb.FatalException, duckdb.ConnectionException):  # DuckDB gave up, as on a full disk
            with self._connections:
                self._end_readers()
                self._let_go()
                self._open()

    def _let_go(self) -> None:
        self._db.close()
        duckdb_file.release_file(self.path)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise HistorianError(f"The historian {self.path} is closed.", next_step="Open it again.")
