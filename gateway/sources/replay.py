"""Recorded logs as points: imported under their own times, or played as if their machine were here now.

The readers (`recording_shdr.py`, `recording_csv.py`) are pure: lines in, batches out. Rules for both:
- A line that cannot be read is counted with its number and left out; it never stops the rest.
- A value that is not there (UNAVAILABLE, NaN, null, an empty cell) is BAD_NOT_AVAILABLE: a gap, not a zero.
- Just after the last time in the log every tag gets BAD_END_OF_RECORDING: the last value does not hold for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gateway.sources.base import Emit
from gateway.sources.recording import Tally
from gateway.sources.recording_csv import read_csv
from gateway.sources.recording_shdr import read_shdr
from plant.clock import SECOND, Clock, iso, system_clock
from plant.config import PlantConfig, ReplaySource
from plant.errors import RecordingError, UserInputError
from plant.points import PointBatch, Quality
from plant.tags import Tag

END_AFTER_NS = 1_000_000
"""The end mark stands 1 ms after the last line: also a store that keeps milliseconds holds both."""


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did; `missing` are the tags whose item or column the log does not have."""

    path: Path
    source: str
    points: int
    lines: int
    stale: int
    ignored: int
    skipped: int
    examples: tuple[str, ...]
    first_ns: int
    last_ns: int
    missing: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.points} points from {self.lines} lines, {iso(self.first_ns)} … {iso(self.last_ns)}"
        if self.stale:
            text += f"; {self.stale} stale lines before the recording left out"
        if self.skipped:
            text += f"; {self.skipped} lines skipped ({'; '.join(self.examples)})"
        if self.missing:
            text += f"; not in the log: {', '.join(self.missing)}"
        return text


Write = Callable[[PointBatch], None]
Progress = Callable[[int, int], None]
"""Called now and then with bytes read and bytes in all."""


def import_recording(
    path: Path, config: PlantConfig, write: Write, progress: Progress | None = None, *, source: str | None = None
) -> ImportSummary:
    """Write a recorded log under its own times, in batches of about 50 000 points.

    Importing it again leaves the same points, since the same tag and time overwrite. `source` names the replay
    source when the plant has several. Raises RecordingError when nothing could be read.
    """
    name, settings, tags = _source(config, source)
    tally = _read_file(path, settings, tags, write, progress)
    return _summary(path, name, tags, tally)


async def play(
    path: Path,
    config: PlantConfig,
    emit: Emit,
    speed: float = 1.0,
    clock: Clock = system_clock,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    *,
    source: str | None = None,
) -> ImportSummary:
    """Give a recorded log to `emit` as if its machine were here now; returns at the log's end.

    The recording's first line is now; what follows comes at its distance from it divided by `speed`, and carries
    the time at which it comes. Ends with the end mark also when it is cancelled.
    """
    if not 0 < speed <= 1e6:
        raise UserInputError(f"The log cannot be played {speed:g} times as fast.", next_step="Give a speed above 0.")
    name, settings, tags = _source(config, source)
    batches: list[PointBatch] = []
    tally = await asyncio.to_thread(_read_file, path, settings, tags, batches.append, None)
    summary = _summary(path, name, tags, tally)
    recorded = PointBatch.concat(batches)
    recorded = recorded.take(np.argsort(recorded.time_ns, kind="stable"))
    distance = np.rint((recorded.time_ns - summary.first_ns) / speed).astype(np.int64)
    live = replace(recorded, time_ns=clock() + distance)
    done = 0
    try:
        while done < len(live):
            due = int(np.searchsorted(live.time_ns, clock(), side="right"))
            if due > done:
                await emit(live.take(np.arange(done, due)))
                done = due
            else:
                await sleep(max((int(live.time_ns[done]) - clock()) / SECOND, 0.001))
    except asyncio.CancelledError:
        await emit(_end_of_recording(tags, clock()))
        raise
    return summary


def _read_file(
    path: Path, settings: ReplaySource, tags: Sequence[Tag], write: Write, progress: Progress | None
) -> Tally:
    tally = Tally()
    with _open(path) as file:
        lines = _lines(file, path.stat().st_size, progress)
        for batch in _read(path, lines, settings, tags, tally):
            write(batch)
    return tally


def _read(
    path: Path, lines: Iterable[str], settings: ReplaySource, tags: Sequence[Tag], tally: Tally
) -> Iterator[PointBatch]:
    """All batches of a log and its end mark. Raises RecordingError when nothing could be read."""
    try:
        if settings.format == "csv":
            yield from read_csv(lines, tags, settings.time_column, tally)
        else:
            yield from read_shdr(lines, tags, tally)
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}", next_step=error.next_step) from None
    if tally.last_ns is None:
        raise RecordingError(
            f"{path} is no {settings.format} log: nothing in it could be read"
            + (f" ({'; '.join(tally.examples)})." if tally.examples else "."),
            next_step="Check the file, and format: under the source (shdr or csv).",
        )
    if not tally.points:
        raise RecordingError(
            f"{path} holds none of the plant's keys; it holds {', '.join(sorted(tally.seen))[:300]}.",
            next_step="Set the key of each tag to one of these.",
        )
    end = _end_of_recording(tags, tally.last_ns + END_AFTER_NS)
    tally.points += len(end)
    yield end


def _end_of_recording(tags: Sequence[Tag], time_ns: int) -> PointBatch:
    n = len(tags)
    return PointBatch(
        tuple(tag.id for tag in tags),
        np.arange(n, dtype=np.int32),
        np.full(n, time_ns, dtype=np.int64),
        np.full(n, np.nan),
        np.full(n, Quality.BAD_END_OF_RECORDING, dtype=np.uint8),
    )


def _summary(path: Path, source: str, tags: Sequence[Tag], tally: Tally) -> ImportSummary:
    assert tally.first_ns is not None, "_read refuses an empty log"
    assert tally.last_ns is not None
    seen = tally.seen | {item.rpartition(":")[2] for item in tally.seen}
    return ImportSummary(
        path=path,
        source=source,
        points=tally.points,
        lines=tally.lines,
        stale=tally.stale,
        ignored=tally.ignored,
        skipped=tally.skipped,
        examples=tuple(tally.examples),
        first_ns=tally.first_ns,
        last_ns=tally.last_ns,
        missing=tuple(f"{tag.id} ({tag.key})" for tag in tags if tag.key not in seen),
    )


def _source(config: PlantConfig, name: str | None) -> tuple[str, ReplaySource, tuple[Tag, ...]]:
    """The replay source with its tags."""
    found = {key: source for key, source in config.sources.items() if isinstance(source, ReplaySource)}
    if not found:
        raise UserInputError(
            "The plant has no source of type replay.", next_step="Add one, as in examples/mazak/plant.yaml."
        )
    if name is None and len(found) > 1:
        raise UserInputError(f"The plant has several recordings: {', '.join(found)}.", next_step="Name the source.")
    chosen = next(iter(found)) if name is None else name
    if chosen not in found:
        raise UserInputError(f"There is no replay source “{chosen}”.", next_step=f"Known: {', '.join(found)}.")
    tags = tuple(tag for tag in config.tags() if tag.source == chosen)
    if not tags:
        raise UserInputError(f"No tag names the source “{chosen}”.", next_step=f"Give tags source: {chosen} and a key.")
    return chosen, found[chosen], tags


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read: {error.strerror}.", next_step="Check the path and the right to read it."
        ) from None


def _lines(file: BinaryIO, size: int, progress: Progress | None) -> Iterator[str]:
    """Lines of text with their ends; UTF-8, and where that does not fit, Western European (as old controls write)."""
    done = 0
    for number, raw in enumerate(file):
        done += len(raw)
        if progress is not None and (number % 5_000 == 0 or done == size):
            progress(done, size)
        try:
            yield raw.decode("utf-8-sig" if number == 0 else "utf-8")
        except UnicodeDecodeError:
            yield raw.decode("latin-1")
