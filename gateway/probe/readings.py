"""Every way to read a window of registers (pure). All decoding is the gateway's own: `gateway.decode`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.blocks import Block
from gateway.decode import BlockDecoder
from plant.tags import ByteOrder, DataType, Table, Tag

MACHINE = "machine-1"
"""Stands in what the probe proposes until the engineer gives the machine its name."""

ONE = (DataType.UINT16, DataType.INT16, DataType.FLOAT16, DataType.BCD16)
TWO = (DataType.FLOAT32, DataType.UINT32, DataType.INT32, DataType.BCD32)
FOUR = (DataType.FLOAT64, DataType.UINT64, DataType.INT64)
HALVES = (DataType.UINT8, DataType.INT8)
SIZES = {1: ONE, 2: TWO, 4: FOUR}


class Readings:
    """The readings of one window: a tag for each, and the numbers that registers give for them."""

    def __init__(self, table: Table, start: int, count: int) -> None:
        self.table, self.start, self.count = table, start, count
        self.tags = tuple(_tags(table, start, count))
        self._decoder = BlockDecoder(Block(1, table, start, count, 1.0, self.tags))

    def __call__(self, registers: Sequence[int]) -> NDArray[np.float64]:
        """A number for each tag, NaN where the registers cannot be read that way. `registers`: (count,)."""
        return self._decoder(registers).value


def new_tag(table: Table, address: int, kind: DataType, **fields: Any) -> Tag:
    """A tag with the name that the probe gives it.

    >>> new_tag(Table.INPUT, 4, DataType.UINT16).id
    'machine-1.input-4'
    """
    name = f"{table.value}-{address}"
    return Tag(machine=MACHINE, name=name, source="device", address=f"{table.value}:{address}", type=kind, **fields)


def _tags(table: Table, start: int, count: int) -> Iterator[Tag]:
    for address in range(start, start + count):
        for kind in HALVES:
            for half in ("high", "low"):
                yield new_tag(table, address, kind, byte=half)
        for size, kinds in SIZES.items():
            if address + size <= start + count:
                # In one register the order of words says nothing: only whether its bytes are swapped.
                orders = (ByteOrder.ABCD, ByteOrder.BADC) if size == 1 else tuple(ByteOrder)
                for kind in kinds:
                    for order in orders:
                        yield new_tag(table, address, kind, order=order)
