"""What the Modbus probe found, as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from gateway.blocks import width
from gateway.probe.hints import one_based
from gateway.probe.modbus import Found, Presence, Unit
from gateway.probe.ranges import Span, merge
from gateway.probe.ranking import Candidate, Life
from gateway.probe.readings import FOUR, ONE, TWO, Readings
from plant.tags import ByteOrder, DataType

_SIGNED = {DataType.INT32: DataType.UINT32, DataType.INT64: DataType.UINT64}
_LIFE = {
    Life.NOT_WATCHED: "",
    Life.LIVING: "lives",
    Life.COUNTING: "counts up",
    Life.STEADY: "steady",
    Life.JUMPING: "jumps",
}
_Lookup = dict[tuple[int, DataType, ByteOrder], float]


def units_table(units: Sequence[Unit]) -> RichTable:
    """One row for all units that behaved alike."""
    table = _table("Unit", "", "")
    for presence, detail in dict.fromkeys((unit.presence, unit.detail) for unit in units):
        alike = [Span(one.number, one.number + 1) for one in units if (one.presence, one.detail) == (presence, detail)]
        style = {Presence.ANSWERS: "green", Presence.SILENT: "dim"}.get(presence, "yellow")
        because = detail if presence is not Presence.SILENT else ""
        table.add_row(", ".join(map(str, merge(alike))), Text(presence.value, style), because)
    return table


def found_table(found: Iterable[Found]) -> RichTable:
    """The addresses that exist, as they are on the wire and as lists of manufacturers number them."""
    table = _table("Unit", "Table", "Addresses (from 0)", "In a list that counts from 1", "Count")
    for one in found:
        note = "" if one.complete else " (not all looked at: the time was up)"
        if not one.spans:
            table.add_row(str(one.unit), one.table.value, Text((one.detail or "none") + note, "dim"), "", "")
        for span in one.spans:
            listed = f"{one_based(one.table, span.start)}…{one_based(one.table, span.end - 1)}"
            table.add_row(str(one.unit), one.table.value, str(span) + note, listed, str(span.count))
    return table


def candidates_table(candidates: Sequence[Candidate]) -> RichTable:
    """The candidates, best first; how they lived where they were watched."""
    watched = any(one.life is not Life.NOT_WATCHED for one in candidates)
    columns = ["#", "Address", "From 1", "Type", "Order", "Scale", ">Value", "Off by"]
    table = _table(*columns, *(["Watched"] if watched else []))
    for number, one in enumerate(candidates, 1):
        space, at = one.tag.modbus_address
        kind = f"{one.tag.type.value}{f' {one.tag.byte} byte' if one.tag.byte else ''}"
        order = one.tag.order.value if width(one.tag) > 1 or one.tag.order is not ByteOrder.ABCD else ""
        off = "" if one.misfit == 0 else f"{one.misfit:.1%}"
        row = [str(number), f"{space.value}:{at}", one_based(space, at), kind, order, f"{one.tag.scale:g}"]
        row += [f"{one.value:.8g}", off, *([_LIFE[one.life]] if watched else [])]
        table.add_row(*row, style="bold" if number == 1 else "")
    return table


def narrow_table(readings: Readings, registers: Sequence[int]) -> RichTable:
    """Each register by itself. `swapped`: its two bytes change places (orders BADC and DCBA)."""
    names = ("uint16", "int16", "float16", "bcd16")
    table = _table("Address", "Hex", *(f">{name}" for name in names), ">uint16 swapped", ">int16 swapped", "Text")
    values = _lookup(readings, readings(registers))
    for offset, register in enumerate(registers):
        at = readings.start + offset
        row = [_cell(values[at, kind, ByteOrder.ABCD]) for kind in (ONE[0], ONE[1], ONE[2], ONE[3])]
        row += [_cell(values[at, kind, ByteOrder.BADC]) for kind in (ONE[0], ONE[1])]
        text = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in register.to_bytes(2, "big"))
        table.add_row(f"{readings.table.value}:{at}", f"{register:04x}", *row, text)
    return table


def wide_table(readings: Readings, registers: Sequence[int], *, every: bool) -> tuple[RichTable, int]:
    """Two and four registers together in the four orders, and how many rows without a likely number were left out."""
    table = _table("Address", "Type", *(f">{order.value}" for order in ByteOrder))
    values, left_out = _lookup(readings, readings(registers)), 0
    for at in range(readings.start, readings.start + len(registers)):
        for kind in (*TWO, *FOUR):
            if (at, kind, ByteOrder.ABCD) not in values:
                continue
            row = [values[at, kind, order] for order in ByteOrder]
            twin = [values.get((at, _SIGNED.get(kind, kind), order), math.nan) for order in ByteOrder]
            if not every and (not any(map(likely, row)) or (kind in _SIGNED and row == twin)):
                left_out += 1
                continue
            table.add_row(f"{readings.table.value}:{at}", kind.value, *map(_cell, row))
    return table, left_out


def likely(value: float) -> bool:
    """Whether a number of a machine may look so: not zero, no NaN, neither huge nor tiny.

    >>> likely(23.5), likely(0.0), likely(1.2e-38), likely(float("nan"))
    (True, False, False, False)
    """
    return 1e-3 <= abs(value) < 1e7


def _lookup(readings: Readings, values: NDArray[np.float64]) -> _Lookup:
    return {
        (tag.modbus_address[1], tag.type, tag.order): float(value)
        for tag, value in zip(readings.tags, values, strict=True)
        if tag.byte is None
    }


def _cell(value: float) -> Text:
    if math.isnan(value):
        return Text("–", "dim")
    if value.is_integer() and abs(value) < 1e9:
        return Text(str(int(value)), "" if value else "dim")
    return Text(f"{value:.6g}" if likely(value) else f"{value:.1e}", "" if likely(value) else "dim")


def _table(*columns: str) -> RichTable:
    """A `>` before a heading sets the column right."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table
