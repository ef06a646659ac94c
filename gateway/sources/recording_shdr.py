"""MTConnect adapter logs (SHDR): `time|item|value|item|value…`, conditions, messages, asset documents. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from gateway.sources.recording import BATCH_POINTS, Columns, Tally, parse_time
from plant.clock import DAY
from plant.points import PointBatch
from plant.tags import Tag

_STALE = DAY
_LEVELS = frozenset({"normal", "warning", "fault"})
_MULTILINE = re.compile(r"--multiline--\S*")
_BAR = re.compile(r"(?<!\\)\|")
_Line = tuple[int, list[tuple[str, str]]]


def read_shdr(lines: Iterable[str], tags: Sequence[Tag], tally: Tally) -> Iterator[PointBatch]:
    """Batches of an SHDR log.

    A time without offset is UTC, as MTConnect demands. A condition gives a text tag its level, with code and text
    where it has them: “Warning 1254: MOVE INH.(MAG.DOOR OPEN)”. Of several at the same time the last one stays.

    An agent starts its log with a dump of what it last knew, each item under the old time of its last change, and
    weeks may lie between. Nothing was recorded in those weeks, so the recording begins after the last jump forward
    of more than a day before which no item had come twice. Lines more than a day older are stale: counted, left out.
    A value from within the day before is kept under its own time: it holds until the next, as MTConnect means it.
    """
    wanted: dict[str, list[int]] = {}
    for row, tag in enumerate(tags):
        wanted.setdefault(tag.key or tag.name, []).append(row)
    columns = Columns(tags)
    for time_ns, readings in _without_stale(_lines(lines, wanted.keys(), tally), tally):
        tally.reach(time_ns)
        for item, text in readings:
            tally.seen.add(item)
            rows = wanted.get(item) or wanted.get(item.rpartition(":")[2]) or ()  # an item may be device:item
            for row in rows:
                columns.add(row, time_ns, text)
        if len(columns) >= BATCH_POINTS:
            yield columns.cut(tally)
    if len(columns):
        yield columns.cut(tally)


def _lines(lines: Iterable[str], keys: Collection[str], tally: Tally) -> Iterator[_Line]:
    """Time and readings of each line that can be read."""
    block: tuple[int, str] | None = None  # a text of several lines: where it began, and the mark that ends it
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        if block is not None:
            if line.strip() == block[1]:
                block = None
            if block is None or not _has_time(line):
                tally.ignored += 1
                continue
            tally.skip(block[0], "a text of several lines that never ends")
            block = None
        if not line.strip() or line.startswith(("*", "#")):
            tally.ignored += 1
            continue
        parsed = _line(line, keys)
        if isinstance(parsed, str):
            tally.skip(number, parsed)
            continue
        mark = _MULTILINE.search(line)
        if mark is not None:
            block = number, mark.group()
        if mark is not None or not parsed[1]:  # … or an asset in one line
            tally.ignored += 1
            continue
        tally.lines += 1
        yield parsed


def _has_time(line: str) -> bool:
    first, bar, _ = line.partition("|")
    return bool(bar) and parse_time(first, utc=True) is not None


def _line(line: str, keys: Collection[str]) -> _Line | str:
    """Time and readings of one line, or why there are none. An asset line has no readings."""
    parts = [part.replace("\\|", "|") for part in _BAR.split(line)]
    if len(parts) < 3:
        return "not time|item|value"
    time_ns = parse_time(parts[0].partition("@")[0], utc=True)  # after the @ stands a duration
    if time_ns is None:
        return f"“{parts[0][:40]}” is not a time"
    if parts[1].startswith("@"):
        return time_ns, []
    if _is_condition(parts, keys):
        return time_ns, [(parts[1].strip(), _condition(parts[2].strip(), parts[3].strip(), parts[6].strip()))]
    if len(parts) == 4 and parts[3].strip() and parts[3].strip() not in keys:  # a message: code, text
        code, text = parts[2].strip(), parts[3].strip()
        return time_ns, [(parts[1].strip(), text if not code or text.lower() == "unavailable" else f"{code}: {text}")]
    if len(parts) % 2 == 0:
        if parts[-1].strip():
            return "an item without a value"
        parts.pop()  # a bar at the end
    items = [item.strip() for item in parts[1::2]]
    if not all(items):
        return "an item without a name"
    if any(item.replace(".", "").isdecimal() for item in items[1:]):
        return "a number where an item is expected (a time series is not read)"
    return time_ns, [(item, value.strip()) for item, value in zip(items, parts[2::2], strict=True)]


def _is_condition(parts: Sequence[str], keys: Collection[str]) -> bool:
    """`time|item|level|code|severity|qualifier|text`: as long as three pairs, told apart by level and empty fields."""
    if len(parts) != 7:
        return False
    level = parts[2].strip().lower()
    if level == "unavailable":
        return not any(part.strip() for part in parts[3:6])
    return level in _LEVELS and parts[3].strip() not in keys


def _condition(level: str, code: str, text: str) -> str:
    return f"{level} {code}".strip() + (f": {text}" if text else "")


def _without_stale(lines: Iterator[_Line], tally: Tally) -> Iterator[_Line]:
    """The lines from where the recording begins (see read_shdr)."""
    head: list[_Line] = []
    met: set[str] = set()
    begin_ns: int | None = None
    for line in lines:
        if head and line[0] - head[-1][0] > _STALE:
            begin_ns = line[0]
        head.append(line)
        items = {item for item, _ in line[1]}
        if met & items:
            break
        met |= items
    for line in head:
        if begin_ns is not None and line[0] < begin_ns - _STALE:
            tally.stale += 1
        else:
            yield line
    yield from lines
