"""Tags into read requests (pure): as few as the limits allow, each tag covered once, no value ever split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import inf

from plant.errors import UserInputError
from plant.tags import DataType, Table, Tag

_REGISTERS = {
    DataType.INT32: 2,
    DataType.UINT32: 2,
    DataType.FLOAT32: 2,
    DataType.BCD32: 2,
    DataType.INT64: 4,
    DataType.UINT64: 4,
    DataType.FLOAT64: 4,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for. `max_gap`: unused registers (or bits) that are read across."""

    max_registers: int = 125
    max_bits: int = 2000
    max_gap: int = 8


@dataclass(frozen=True, slots=True)
class Block:
    """One read request: `count` registers or bits of one table from `start`, every `poll_s` seconds."""

    unit: int
    table: Table
    start: int
    count: int
    poll_s: float
    tags: tuple[Tag, ...]


def width(tag: Tag) -> int:
    """Registers (bits in a bit table) that the tag takes."""
    return tag.length or 1 if tag.type is DataType.STRING else _REGISTERS.get(tag.type, 1)


def plan_blocks(tags: Iterable[Tag], limits: Limits, *, unit: int, poll_s: float) -> tuple[Block, ...]:
    """The read requests for the tags of one unit; `poll_s` holds for tags without an interval of their own.

    Raises UserInputError for a tag that no single request can hold.
    """

    def group(tag: Tag) -> tuple[float, Table]:
        return tag.poll_s or poll_s, tag.modbus_address[0]

    ordered = sorted(tags, key=lambda tag: (*group(tag), tag.modbus_address[1]))
    blocks: list[Block] = []
    for (interval_s, table), members in groupby(ordered, key=group):
        limit = limits.max_bits if table.is_bits else limits.max_registers
        for start, count, chunk in _cut(members, limit, limits.max_gap):
            blocks.append(Block(unit, table, start, count, interval_s, tuple(chunk)))
    return tuple(blocks)


def _cut(tags: Iterable[Tag], limit: int, max_gap: int) -> Iterator[tuple[int, int, list[Tag]]]:
    """Start, count and tags of each request; the tags come sorted by address."""
    start, end, chunk = 0, -inf, list[Tag]()
    for tag in tags:
        first = tag.modbus_address[1]
        after = first + width(tag)
        _check_fits(tag, after, limit)
        if chunk and (max(after, end) - start > limit or first - end > max_gap):
            yield start, int(end) - start, chunk
            chunk = []
        if not chunk:
            start, end = first, -inf
        chunk.append(tag)
        end = max(end, after)
    if chunk:
        yield start, int(end) - start, chunk


def _check_fits(tag: Tag, after: int, limit: int) -> None:
    if width(tag) > limit:
        raise UserInputError(
            f"{tag.id} takes {width(tag)} registers, but its source reads at most {limit} in one request.",
            next_step="Give the source a higher max_registers, or the tag a shorter length.",
        )
    if after > 0x10000:
        raise UserInputError(
            f"{tag.id} ends at address {after - 1}, beyond the last one, 65535.",
            next_step="Correct its address or its type.",
        )
