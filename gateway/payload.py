"""MQTT messages into points (pure): JSON by JSONPath, or a payload that is the value itself.

- A payload that cannot be read gives a BAD_DECODE point at arrival for each tag of its topic.
- A key that is not there gives no point: devices send only what changed, and several kinds of message share one
  topic. The tag's status says so. JSON `null`, NaN and an empty payload give BAD_NOT_AVAILABLE.
- The time is the message's own where `time_path` leads to one: ISO 8601 with offset, or a number since 1970 in s, ms,
  µs or ns (told by its size). What is no time, lies before 2000 or more than 10 s ahead is not used: arrival time
  with UNCERTAIN_SOURCE_TIME. So is the arrival time of a message that was retained, or that waited at the broker
  while we were away, for its value is older than that.
- An array of samples (`each`) gives a point for each element; one without a usable time has no place and is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.jsonpath import JSONPath
from jsonpath_ng.parser import parse

from plant.clock import AHEAD_NS, SECOND, parse_iso
from plant.errors import DecodeError, UserInputError
from plant.points import Point, Quality, Value
from plant.tags import DataType, Tag, factor

_EARLIEST_NS = 946_684_800 * 1_000_000_000  # 2000-01-01: a device whose clock was never set counts from 1970
_EXACT = 2**53
_EXCERPT = 200
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Message:
    """What came from the broker. `arrived_ns` was taken on arrival."""

    topic: str
    payload: bytes
    arrived_ns: int
    retained: bool = False
    queued: bool = False
    """It may have waited in our session at the broker, so that it is older than its arrival."""

    @property
    def excerpt(self) -> str:
        """Its beginning, for people."""
        text = self.payload[:_EXCERPT].decode("utf-8", "replace")
        return text + " …" if len(self.payload) > _EXCERPT else text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message gave for one tag: points (several from an array), a problem in words, or both."""

    points: tuple[Point, ...]
    problem: str = ""

    def failed(self, tag: str, time_ns: int) -> Outcome:
        """The same problem, told by a BAD point at that time."""
        return Outcome((Point(tag, time_ns, None, Quality.BAD_DECODE),), self.problem)


class TagReader:
    """Reads one tag from messages; its paths are compiled once."""

    def __init__(self, tag: Tag) -> None:
        self.tag = tag
        self._each_path = compile_path(tag.id, tag.each)
        self._value_path = compile_path(tag.id, tag.path)
        self._time_path = compile_path(tag.id, tag.time_path)
        self._quality_path = compile_path(tag.id, tag.quality_path)
        self._multiplier, self._divisor = factor(tag.scale)
        self._numbers = {text: number for number, text in tag.enum.items()}

    def read(self, message: Message, document: object) -> Outcome:
        """`document`: the payload as JSON, or the DecodeError that says why it is not."""
        if self._each_path is None:
            return self._read_one(message, document)
        if isinstance(document, DecodeError):
            return Outcome((), str(document)).failed(self.tag.id, message.arrived_ns)
        found = self._each_path.find(document)
        if not found:
            return Outcome((), f"the message has no {self.tag.each}")
        outcomes = [self._read_one(message, element.value) for element in found]
        problem = next((outcome.problem for outcome in outcomes if outcome.problem), "")
        return Outcome(tuple(point for outcome in outcomes for point in outcome.points), problem)

    def _read_one(self, message: Message, document: object) -> Outcome:
        try:
            raw = self._raw(message, document)
        except KeyError:
            return Outcome((), f"the message has no {self.tag.path}")
        except DecodeError as error:
            return Outcome((), str(error)).failed(self.tag.id, message.arrived_ns)
        time_ns, time_problem = self._time(message, document)
        if time_problem and self._each_path is not None:
            return Outcome((), f"a sample is left out: {time_problem}")  # many at the time of arrival would be one
        try:
            value, quality = self.judge(raw, self._own_quality(document))
        except DecodeError as error:
            return Outcome((), str(error)).failed(self.tag.id, time_ns)
        older = (message.retained or message.queued) and self._time_path is None
        uncertain_time = time_problem or older
        if uncertain_time and quality >= Quality.UNCERTAIN:
            quality = Quality.UNCERTAIN_SOURCE_TIME
        return Outcome((Point(self.tag.id, time_ns, value, quality),), time_problem)

    def _raw(self, message: Message, document: object) -> object:
        if not message.payload:
            return None
        if self._value_path is None:
            return document if self._each_path is not None else _plain(message.payload, document)
        if isinstance(document, DecodeError):
            raise document
        found = self._value_path.find(document)
        if not found:
            raise KeyError(self.tag.path)
        if len(found) > 1:
            raise DecodeError(f"{self.tag.path} leads to {len(found)} values")
        return found[0].value

    def _time(self, message: Message, document: object) -> tuple[int, str]:
        """The time of the value, and why it is not the message's own."""
        if self._time_path is None:
            return message.arrived_ns, ""
        found = [] if isinstance(document, DecodeError) else self._time_path.find(document)
        if len(found) != 1:
            return message.arrived_ns, f"the message has no {self.tag.time_path}"
        return use_time(found[0].value, message.arrived_ns)

    def _own_quality(self, document: object) -> Quality:
        """What the device says of the value; GOOD when it says nothing."""
        if self._quality_path is None or isinstance(document, DecodeError):
            return Quality.GOOD
        found = self._quality_path.find(document)
        return parse_quality(found[0].value) if len(found) == 1 else Quality.GOOD

    def judge(self, raw: object, own: Quality) -> tuple[Value, Quality]:
        """As `convert`, with what the device itself says of the value. Raises DecodeError."""
        if own < Quality.UNCERTAIN:
            return None, own
        value, quality = self.convert(raw)
        return value, min(quality, own)

    def convert(self, raw: object) -> tuple[Value, Quality]:
        """Value and quality of what the payload holds. Raises DecodeError."""
        if raw is None:
            return None, Quality.BAD_NOT_AVAILABLE
        if isinstance(raw, (dict, list)):
            raise DecodeError("the value is an object or a list, not a single value")
        if self.tag.type.is_text:
            return _storable(raw if isinstance(raw, str) else json.dumps(raw)), Quality.GOOD
        number = self._numbers.get(raw, raw) if isinstance(raw, str) else raw
        if isinstance(number, str):
            number = _number(number)
        if not isinstance(number, (bool, int, float)):
            raise DecodeError(f"“{str(raw)[:40]}” is not a number")
        return self._scale(number)

    def _scale(self, number: float) -> tuple[Value, Quality]:
        tag = self.tag
        if tag.type is DataType.BOOL and number not in (0, 1):
            raise DecodeError(f"{str(number)[:40]} is neither true nor false")
        try:
            value = float(number) * self._multiplier / self._divisor + tag.offset
        except OverflowError:
            raise DecodeError("the number is too large") from None
        if not math.isfinite(value):
            return None, Quality.BAD_NOT_AVAILABLE
        if (tag.low is not None and value < tag.low) or (tag.high is not None and value > tag.high):
            return value, Quality.UNCERTAIN_OUT_OF_RANGE
        if isinstance(number, int) and abs(number) > _EXACT:
            return value, Quality.UNCERTAIN_PRECISION
        return value, Quality.GOOD


def read_message(readers: Sequence[TagReader], message: Message) -> list[tuple[TagReader, Outcome]]:
    """What the message gives for each of its topic's tags. Never raises for what a device may send."""
    document = parse_json(message.payload)
    return [(reader, reader.read(message, document)) for reader in readers]


def parse_json(payload: bytes) -> object:
    """The document, or a DecodeError (returned: it is only an error for those who need JSON)."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(payload)  # Python's own publishers write NaN and Infinity, which JSON does not know
    except (ValueError, RecursionError) as error:
        return DecodeError(f"the payload is not JSON: {error}")


def use_time(raw: object, arrived_ns: int) -> tuple[int, str]:
    """The device's time where it can be one, else that of arrival and why."""
    time_ns = parse_time(raw)
    if time_ns is None or time_ns < _EARLIEST_NS:
        return arrived_ns, f"“{str(raw)[:40]}” is not used as a time"
    if time_ns > arrived_ns + AHEAD_NS:
        ahead_s = (time_ns - arrived_ns) / SECOND
        return arrived_ns, f"“{str(raw)[:40]}” is not used as a time: the device's clock is {ahead_s:,.0f} s ahead"
    return time_ns, ""


def parse_time(raw: object) -> int | None:
    """UTC nanoseconds of a number (s, ms, µs or ns since 1970, told by its size) or of ISO 8601 with offset.

    >>> parse_time(1714730700), parse_time("1714730700123"), parse_time("2024-05-03T12:05:00+02:00")
    (1714730700000000000, 1714730700123000000, 1714730700000000000)
    """
    if isinstance(raw, str):
        number = _number(raw)
        if number is None:
            try:
                return parse_iso(raw)
            except UserInputError:
                return None
        raw = number
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        return None
    size = abs(raw)
    per_unit = next(ns for below, ns in ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3), (math.inf, 1)) if size < below)
    if isinstance(raw, int):
        return raw * per_unit
    return round(raw * (per_unit / 1_000)) * 1_000  # a float holds no more than microseconds


def parse_quality(raw: object) -> Quality:
    """A device's own word on a value: good, uncertain or bad, true or false, an OPC quality byte or OPC UA status.

    >>> parse_quality("Good"), parse_quality(192) is Quality.GOOD, parse_quality(0x80AB0000).name
    (<Quality.GOOD: 192>, True, 'BAD_BY_SOURCE')
    >>> parse_quality("Uncertain_LastUsableValue").name, parse_quality("what?").name, parse_quality(0).name
    ('UNCERTAIN_BY_SOURCE', 'UNCERTAIN_BY_SOURCE', 'BAD_BY_SOURCE')
    """
    good, uncertain, bad = Quality.GOOD, Quality.UNCERTAIN_BY_SOURCE, Quality.BAD_BY_SOURCE
    if isinstance(raw, str):
        words = (("good", good), ("uncertain", uncertain), ("bad", bad))
        known = next((quality for word, quality in words if raw.strip().casefold().startswith(word)), None)
        if known is not None:
            return known
        raw = _number(raw)
    if isinstance(raw, bool):
        return good if raw else bad
    if not isinstance(raw, int) or raw < 0:
        return uncertain
    if raw <= 0xFF:  # OPC DA: the two high bits of a byte
        return (bad, uncertain, uncertain, good)[raw >> 6]
    return (good, uncertain, bad, bad)[raw >> 30 & 3]  # OPC UA: the two high bits of 32


def compile_path(owner: str, path: str | None) -> JSONPath | None:
    """The JSONPath, compiled; None stays None. Raises UserInputError, which names the owner."""
    if path is None:
        return None
    try:
        return parse(path)
    except JSONPathError as error:
        raise UserInputError(
            f"{owner}: “{path}” is not a JSONPath: {error}.", next_step="Write it as $.temperature or $.a.b[0]."
        ) from None


def _plain(payload: bytes, document: object) -> object:
    """A payload that is the value itself: JSON, or bare text such as 23.5, RUNNING or true."""
    if not isinstance(document, DecodeError):
        return document
    try:
        text = payload.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise DecodeError("the payload is not UTF-8 text") from None
    return text


def _storable(text: str) -> str:
    """Half a surrogate pair is legal in JSON's escapes, but is not a character and cannot be stored."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DecodeError("the text holds half a character") from None
    return text


def _number(text: str) -> float | None:
    """A number (an int stays one), true or false written as text; None for anything else."""
    plain = text.strip()
    if plain.lower() in _WORDS:
        return _WORDS[plain.lower()]
    if "_" in plain:
        return None
    for kind in (int, float):
        try:
            return kind(plain)
        except ValueError:
            continue
    return None
