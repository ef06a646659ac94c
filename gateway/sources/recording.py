"""What the readers of recordings share: the tally, exact times, values of texts, columns that become batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gateway.payload import TagReader
from plant.clock import DAY, parse_iso
from plant.errors import DecodeError, UserInputError
from plant.points import PointBatch, Quality
from plant.tags import Tag

BATCH_POINTS = 50_000
_EXAMPLES = 5
_LATEST_NS = 2**63 - 1 - DAY


@dataclass(slots=True)
class Tally:
    """What a reader met. `lines` are lines or rows that were read, `first_ns` … `last_ns` the recorded time."""

    lines: int = 0
    points: int = 0
    stale: int = 0
    ignored: int = 0  # comments, adapter commands, asset documents
    skipped: int = 0
    examples: list[str] = field(default_factory=list)
    first_ns: int | None = None
    last_ns: int | None = None
    seen: set[str] = field(default_factory=set)  # data items or columns

    def skip(self, line: int, why: str) -> None:
        self.skipped += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"line {line}: {why}")

    def reach(self, time_ns: int) -> None:
        self.first_ns = time_ns if self.first_ns is None else min(self.first_ns, time_ns)
        self.last_ns = time_ns if self.last_ns is None else max(self.last_ns, time_ns)


def parse_time(text: str, *, utc: bool = False) -> int | None:
    """Nanoseconds of an ISO 8601 time, exact to nine digits; None when it is none. `utc`: without offset it is UTC.

    >>> parse_time("2018-05-09T13:20:39.123456789Z")
    1525872039123456789
    >>> parse_time("2018-05-09T13:20:39") is None, parse_time("2018-05-09T13:20:39", utc=True)
    (True, 1525872039000000000)
    """
    text = text.strip()
    for form in (text, text + "Z") if utc and len(text) >= len("2018-05-09T13:20") else (text,):
        try:
            time_ns = parse_iso(form)
        except UserInputError:
            continue
        return time_ns if 0 <= time_ns <= _LATEST_NS else None
    return None


class Reading(NamedTuple):
    """A value as the columns of a batch want it: NaN without a number, None without a text."""

    number: float
    text: str | None
    quality: Quality


_ABSENT = frozenset({"null", "none", "n/a", "unavailable"})


def read_value(reader: TagReader, text: str) -> Reading:
    """The value that a text gives a tag, by the rules of a payload that is the value itself.

    UNAVAILABLE in any case is BAD_NOT_AVAILABLE; for a number also NaN, null and nothing. A number is scaled and
    checked against the tag's range; a text of the tag's enumeration is its number. Anything else is BAD_DECODE.
    """
    plain = text.strip().lower()
    is_text = reader.tag.type.is_text
    if plain == "unavailable" or (not is_text and (not plain or plain in _ABSENT)):
        return Reading(math.nan, None, Quality.BAD_NOT_AVAILABLE)
    try:
        value, quality = reader.convert(text.strip() if not is_text else text)
    except DecodeError:
        return Reading(math.nan, None, Quality.BAD_DECODE)
    if isinstance(value, str):
        return Reading(math.nan, value, quality)
    return Reading(math.nan if value is None else value, None, quality)


class Columns:
    """Collects readings and cuts them into batches."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._names = tuple(tag.id for tag in tags)
        self._readers = [TagReader(tag) for tag in tags]
        self._clear()

    def _clear(self) -> None:
        self._tag: list[int] = []
        self._time: list[int] = []
        self._readings: list[Reading] = []

    def __len__(self) -> int:
        return len(self._tag)

    def add(self, tag: int, time_ns: int, text: str) -> None:
        """One reading; `tag` is an index into the tags."""
        self._tag.append(tag)
        self._time.append(time_ns)
        self._readings.append(read_value(self._readers[tag], text))

    def cut(self, tally: Tally) -> PointBatch:
        tally.points += len(self)
        texts = tuple(reading.text for reading in self._readings)
        batch = PointBatch(
            self._names,
            np.array(self._tag, dtype=np.int32),
            np.array(self._time, dtype=np.int64),
            np.array([reading.number for reading in self._readings], dtype=np.float64),
            np.array([reading.quality for reading in self._readings], dtype=np.uint8),
            texts if any(text is not None for text in texts) else None,
        )
        self._clear()
        return batch
