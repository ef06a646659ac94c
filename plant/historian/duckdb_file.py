"""The file of the embedded historian: opening it, its tables, and its errors in plain words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import duckdb

from plant.errors import HistorianError, ResourceError

VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (version INTEGER, watermark BIGINT);
INSERT INTO meta SELECT 1, 0 WHERE NOT EXISTS (FROM meta);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER, tag VARCHAR, first_ts BIGINT,
    last_ts BIGINT, last_v DOUBLE, last_text VARCHAR, last_q UTINYINT,
    good_ts BIGINT, good_v DOUBLE, good_text VARCHAR, good_q UTINYINT
);
CREATE TABLE IF NOT EXISTS sample (series INTEGER, ts BIGINT, v DOUBLE, q UTINYINT);
CREATE TABLE IF NOT EXISTS event (series INTEGER, ts BIGINT, text VARCHAR, q UTINYINT);
CREATE TABLE IF NOT EXISTS rollup_1m (
    series INTEGER, minute BIGINT, n BIGINT, lowest DOUBLE, highest DOUBLE, total DOUBLE
);
CREATE MACRO IF NOT EXISTS minute_of(ts) AS ts - ((ts % 60000000000) + 60000000000) % 60000000000;
"""
# No key and no index: they cost eight times the disk. The writer sees to it that (series, ts) is unique over
# `sample` and `event` together. Times are UTC ns; `series.last_*` are complete below the watermark only.

_here: set[Path] = set()
_here_lock = Lock()


def open_file(path: Path, *, memory_limit_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """The connection that owns the file, its tables made; give the path back with `release_file`."""
    _claim(path)
    try:
        return _connect(path, memory_limit_mb, threads)
    except BaseException:
        release_file(path)
        raise


def release_file(path: Path) -> None:
    """The path may be opened again."""
    with _here_lock:
        _here.discard(path)


def size_of(path: Path) -> int:
    """Bytes on disk of the file and of its write-ahead log."""
    total = 0
    for part in (path, wal_of(path)):
        try:
            total += part.stat().st_size
        except OSError:
            continue
    return total


def wal_of(path: Path) -> Path:
    """The write-ahead log beside the file."""
    return path.with_name(path.name + ".wal")


@contextmanager
def plain_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns whatever DuckDB raises into a HistorianError with a next step."""
    try:
        yield
    except duckdb.Error as error:
        raise explain(error, path, doing) from error


def explain(error: Exception, path: Path, doing: str) -> HistorianError:
    """One plain sentence and a next step for an error of DuckDB."""
    said = str(error)
    low = said.lower()
    if "no space left" in low or "disk full" in low:
        return HistorianError(
            f"The historian {path} could not {doing}: the disk is full.",
            next_step="Free space on that disk; writing goes on by itself.",
        )
    if "out of memory" in low:
        return HistorianError(
            f"The historian {path} could not {doing} within its memory limit.",
            next_step="Ask for a shorter time window, or raise the memory limit of the historian.",
        )
    first_line = said.splitlines()[0] if said else type(error).__name__
    return HistorianError(
        f"The historian {path} could not {doing}: {first_line}",
        next_step="Try again; if it stays so, restart the system and look at the disk.",
    )


def _claim(path: Path) -> None:
    # A second connect in this process would silently share the database, past our write lock.
    with _here_lock:
        if path in _here:
            raise HistorianError(
                f"The historian {path} is already open in this program.",
                next_step="Use the one that is open, or close it first.",
            )
        _here.add(path)


def _connect(path: Path, memory_limit_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"The folder {path.parent} for the historian cannot be made: {error.strerror}.",
            next_step="Choose a folder that this user may write to.",
        ) from error
    if path.is_dir():
        raise HistorianError(
            f"The historian {path} is a folder, not a file.", next_step="Give the path of a file in that folder."
        )
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_limit_mb}MB",
        "threads": threads,
        "wal_autocheckpoint": "8MB",  # what a start after a crash replays: 0.3 s
        "autoinstall_known_extensions": False,  # nothing is ever fetched from the network
        "autoload_known_extensions": False,
    }
    try:
        db = duckdb.connect(str(path), config=config)
    except (duckdb.Error, OSError, RuntimeError) as error:
        raise _explain_open(error, path) from error
    try:
        _prepare(db, path)
    except BaseException as error:
        db.close()
        if isinstance(error, duckdb.Error):
            raise _explain_open(error, path) from error
        raise
    return db


def _prepare(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    db.execute("BEGIN")
    db.execute(_SCHEMA)
    db.execute("COMMIT")
    row = db.execute("SELECT version FROM meta").fetchone()
    if row is None or row[0] != VERSION:
        raise HistorianError(
            f"The historian {path} has layout {row and row[0]}, this program knows layout {VERSION}.",
            next_step="Use the program version that wrote the file, or give another path.",
        )


def _explain_open(error: Exception, path: Path) -> HistorianError:
    low = str(error).lower()
    if "conflicting lock" in low or "set lock" in low:
        return HistorianError(
            f"The historian {path} is in use by another process.",
            next_step="Stop the other process (a second testbed run, or a database tool), then start again.",
        )
    if "permission denied" in low or not os.access(path.parent, os.W_OK):
        return HistorianError(
            f"The historian {path} may not be read and written by this user.",
            next_step=f"Give this user read and write access to {path.parent} and the files in it.",
        )
    if "no space left" in low:
        return explain(error, path, "be opened")
    return HistorianError(
        f"The historian {path} is damaged or is not a historian file: {str(error).splitlines()[0]}",
        next_step="Move the file and its .wal away (keep both), then restore a backup or start with an empty one.",
    )
