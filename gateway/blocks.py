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

    @property
    def ids(self) -> frozenset[str]:
        """Its tags' ids: two blocks with the same are the same request."""
        return frozenset(tag.id for tag in self.tags)


def width(tag: Tag) -> int:
    """Registers (bits in a bit table) that the tag takes."""
    return tag.length or 1 if tag.type is DataType.STRING else _REGISTERS.get(tag.type, 1)


Cell = tuple[Table, int]
"""One register or bit."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a device has taught about itself by refusing requests.

    bad   cells that cannot be read: no request reads across them (a tag's own cells it does read)
    cuts  no request holds both the cell and the one before it, unless one value takes both
    """

    bad: frozenset[Cell] = frozenset()
    cuts: frozenset[Cell] = frozenset()


def plan_blocks(
    tags: Iterable[Tag], limits: Limits, *, unit: int, poll_s: float, learned: Learned = Learned()
) -> tuple[Block, ...]:
    """The read requests for the tags of one unit; `poll_s` holds for tags without an interval of their own.

    Raises UserInputError for a tag that no single request can hold.
    """

    def group(tag: Tag) -> tuple[float, Table]:
        return tag.poll_s or poll_s, tag.modbus_address[0]

    ordered = sorted(tags, key=lambda tag: (*group(tag), tag.modbus_address[1]))
    blocks: list[Block] = []
    for (interval_s, table), members in groupby(ordered, key=group):
        limit = limits.max_bits if table.is_bits else limits.max_registers
        barriers = _Barriers(table, learned)
        for start, count, chunk in _cut(members, limit, limits.max_gap, barriers):
            blocks.append(Block(unit, table, start, count, interval_s, tuple(chunk)))
    return tuple(blocks)


@dataclass(frozen=True, slots=True)
class _Barriers:
    table: Table
    learned: Learned

    def between(self, end: int, first: int) -> bool:
        """Whether a request that ends before `end` must not go on to a value at `first` ≥ `end`."""
        cells = [(self.table, at) for at in range(end, first + 1)]
        return any(cell in self.learned.bad for cell in cells[:-1]) or any(c in self.learned.cuts for c in cells)


def _cut(tags: Iterable[Tag], limit: int, max_gap: int, barriers: _Barriers) -> Iterator[tuple[int, int, list[Tag]]]:
    """Start, count and tags of each request; the tags come sorted by address."""
    start, end, chunk = 0, -inf, list[Tag]()
    for tag in tags:
        first = tag.modbus_address[1]
        after = first + width(tag)
        _check_fits(tag, after, limit)
        too_far = max(after, end) - start > limit or first - end > max_gap
        if chunk and (too_far or barriers.between(int(end), first)):
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


def split_block(block: Block) -> tuple[Block, ...]:
    """The parts of a block that was refused: its tags exactly once, no value divided. Empty: it has no parts.

    First into pieces without unused cells between them (a device may refuse to read those), then into halves,
    and at last into single places where values overlap.
    """
    pieces = _pieces(block.tags)
    runs = [pieces[:1]]
    for piece in pieces[1:]:
        if piece[0].modbus_address[1] == _end(runs[-1][-1]):
            runs[-1].append(piece)
        else:
            runs.append([piece])
    if len(runs) == 1 and len(pieces) > 1:
        middle = len(pieces) // 2
        runs = [pieces[:middle], pieces[middle:]]
    elif len(runs) == 1:
        runs = [[list(place)] for _, place in groupby(sorted(block.tags, key=_place), key=_place)]
    if len(runs) == 1:
        return ()
    return tuple(_block_of(block, [tag for piece in run for tag in piece]) for run in runs)


def cells_of(block: Block) -> Iterator[Cell]:
    """Every cell that the block reads."""
    return ((block.table, at) for at in range(block.start, block.start + block.count))


def _place(tag: Tag) -> tuple[int, int]:
    return tag.modbus_address[1], width(tag)


def _end(tags: Iterable[Tag]) -> int:
    return max(sum(_place(tag)) for tag in tags)


def _pieces(tags: Iterable[Tag]) -> list[list[Tag]]:
    """Tags by address; those that share a cell stay together."""
    pieces: list[list[Tag]] = []
    for tag in sorted(tags, key=_place):
        if pieces and tag.modbus_address[1] < _end(pieces[-1]):
            pieces[-1].append(tag)
        else:
            pieces.append([tag])
    return pieces


def _block_of(block: Block, tags: list[Tag]) -> Block:
    start = min(tag.modbus_address[1] for tag in tags)
    return Block(block.unit, block.table, start, _end(tags) - start, block.poll_s, tuple(tags))
