"""What the readers of recordings share: the tally, exact times, values of texts, columns that become batches."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from plant.clock import DAY, parse_iso
from plant.errors import UserInputError
from plant.points import PointBatch, Quality
from plant.tags import DataType, Tag

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


_FRACTION = re.compile(r"^(?P<whole>[^.,]*\d)[.,](?P<fraction>\d{1,9})\d*(?P<offset>Z|z|[+-]\d\d:?\d\d)?$")


def parse_time(text: str, *, utc: bool = False) -> int | None:
    """Nanoseconds of an ISO 8601 time, exact to nine digits; None when it is none. `utc`: without offset it is UTC.

    >>> parse_time("2018-05-09T13:20:39.123456789Z")
    1525872039123456789
    >>> parse_time("2018-05-09T13:20:39") is None, parse_time("2018-05-09T13:20:39", utc=True)
    (True, 1525872039000000000)
    """
    text = text.strip()
    fraction_ns = 0
    if found := _FRACTION.match(text):
        fraction_ns = int(found["fraction"].ljust(9, "0"))
        text = found["whole"] + (found["offset"] or "")
    for form in (text, text + "Z") if utc and len(text) >= len("2018-05-09T13:20") else (text,):
        try:
            time_ns = parse_iso(form) + fraction_ns
        except UserInputError:
            continue
        return time_ns if 0 <= time_ns <= _LATEST_NS else None
    return None


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ABSENT = frozenset({"unavailable", "nan", "null", "none", "n/a"})
_BOOLS = {"true": 1.0, "on": 1.0, "yes": 1.0, "false": 0.0, "off": 0.0, "no": 0.0}


class Reading(NamedTuple):
    """A value as the columns of a batch want it: NaN without a number, None without a text."""

    number: float
    text: str | None
    quality: Quality


def read_value(tag: Tag, text: str) -> Reading:
    """The value that a text gives a tag.

    UNAVAILABLE in any case is BAD_NOT_AVAILABLE; for a number also NaN and null. A number is scaled and checked
    against the tag's range; a text of the tag's enumeration is its number. Anything else is BAD_DECODE.
    """
    low = text.strip().lower()
    if low == "unavailable":
        return Reading(math.nan, None, Quality.BAD_NOT_AVAILABLE)
    if tag.type.is_text:
        return Reading(math.nan, text, Quality.GOOD)
    if low in _ABSENT:
        return Reading(math.nan, None, Quality.BAD_NOT_AVAILABLE)
    raw = _number(tag, text.strip(), low)
    if raw is None:
        return Reading(math.nan, None, Quality.BAD_DECODE)
    number = raw * tag.scale + tag.offset
    if not math.isfinite(number):
        return Reading(math.nan, None, Quality.BAD_DECODE)
    return Reading(number, None, _quality(tag, raw, number))


def _number(tag: Tag, text: str, low: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    for number, words in tag.enum.items():
        if words.lower() == low:
            return float(number)
    return _BOOLS.get(low) if tag.type is DataType.BOOL else None


def _quality(tag: Tag, raw: float, number: float) -> Quality:
    if (tag.low is not None and number < tag.low) or (tag.high is not None and number > tag.high):
        return Quality.UNCERTAIN_OUT_OF_RANGE
    return Quality.UNCERTAIN_PRECISION if abs(raw) > 2**53 else Quality.GOOD


class Columns:
    """Collects readings and cuts them into batches."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._names = tuple(tag.id for tag in tags)
        self._clear()

    def _clear(self) -> None:
        self._tag: list[int] = []
        self._time: list[int] = []
        self._readings: list[Reading] = []

    def __len__(self) -> int:
        return len(self._tag)

    def add(self, tag: int, time_ns: int, reading: Reading) -> None:
        self._tag.append(tag)
        self._time.append(time_ns)
        self._readings.append(reading)

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
