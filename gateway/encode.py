"""A value into registers (pure): the inverse of decode.py, for the types that may be written."""

from __future__ import annotations

import struct

from plant.errors import UserInputError
from plant.tags import ByteOrder, DataType, Tag

_FORMATS = {
    DataType.INT16: ">h",
    DataType.UINT16: ">H",
    DataType.INT32: ">i",
    DataType.UINT32: ">I",
    DataType.INT64: ">q",
    DataType.UINT64: ">Q",
    DataType.FLOAT16: ">e",
    DataType.FLOAT32: ">f",
    DataType.FLOAT64: ">d",
}
_FLOATS = (DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64)


def encode_tag(tag: Tag, value: float) -> tuple[int, ...]:
    """The registers (or the one bit) that hold the value, given in the tag's unit.

    Raises UserInputError where the type cannot hold it. A whole number is rounded to the nearest step of the scale.

    >>> tag = Tag(machine="m", name="x", source="s", type="float32", order="CDAB", address="holding:0", scale=0.1)
    >>> [hex(register) for register in encode_tag(tag, 0.1)]
    ['0x0', '0x3f80']
    """
    raw = (value - tag.offset) / tag.scale
    if tag.type is DataType.BOOL:
        return (_bit(tag, raw),)
    try:
        data = struct.pack(_FORMATS[tag.type], raw if tag.type in _FLOATS else round(raw))
    except (struct.error, OverflowError, ValueError):
        raise UserInputError(
            f"{tag.id} cannot hold {value:g}: as {tag.type.value} that would be {raw:g}.",
            next_step="Choose a value that fits the tag's type and scale, and set low and high of write accordingly.",
        ) from None
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if tag.order in (ByteOrder.CDAB, ByteOrder.DCBA):
        words.reverse()
    if tag.order in (ByteOrder.BADC, ByteOrder.DCBA):
        words = [word[::-1] for word in words]
    return tuple(int.from_bytes(word, "big") for word in words)


def _bit(tag: Tag, raw: float) -> int:
    if raw not in (0.0, 1.0):
        raise UserInputError(f"{tag.id} is a coil and cannot hold {raw:g}.", next_step="Write 0 or 1.")
    return int(raw)
