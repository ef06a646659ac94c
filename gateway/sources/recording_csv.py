"""CSV logs with a header row. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

from gateway.sources.recording import BATCH_POINTS, Columns, Tally, parse_time
from plant.errors import RecordingError
from plant.points import PointBatch
from plant.tags import Tag


def read_csv(lines: Iterable[str], tags: Sequence[Tag], time_column: str, tally: Tally) -> Iterator[PointBatch]:
    """Batches of a CSV log with a header row: one column of times (with offset), the others named by `tag.key`.

    The separator is comma, semicolon or tab, whichever the header uses; with semicolon or tab numbers may have a
    decimal comma. An empty cell is a value that is not there. Raises RecordingError without the time column.
    """
    rest = iter(lines)
    head = next(rest, "").rstrip("\r\n")
    separator = max(";\t,", key=lambda mark: (time_column in _cells(head, mark), head.count(mark)))
    names = _cells(head, separator)
    if time_column not in names:
        raise RecordingError(
            f"The header has no column “{time_column}”; it has: {', '.join(names)[:200] or 'nothing'}.",
            next_step="Set time_column of the source to the name of the column that holds the time.",
        )
    tally.seen.update(names)
    at = names.index(time_column)
    chosen = [(names.index(tag.key), row) for row, tag in enumerate(tags) if tag.key in names]
    columns = Columns(tags)
    reader = csv.reader(rest, delimiter=separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            tally.skip(reader.line_num + 1, f"{error}")
            continue
        line = reader.line_num + 1  # the header is line 1
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            tally.skip(line, f"{len(cells)} cells, the header has {len(names)}")
            continue
        time_ns = parse_time(cells[at])
        if time_ns is None:
            tally.skip(line, f"“{cells[at][:40]}” is not a time with offset, such as 2026-05-03T14:05:00+02:00")
            continue
        tally.lines += 1
        tally.reach(time_ns)
        for column, row in chosen:
            text = cells[column].strip()
            if separator != "," and not tags[row].type.is_text:
                text = text.replace(",", ".")
            columns.add(row, time_ns, text or "UNAVAILABLE")
        if len(columns) >= BATCH_POINTS:
            yield columns.cut(tally)
    if len(columns):
        yield columns.cut(tally)


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # binary data, or one endless line
        return []
