"""Values into registers, bits and payload numbers: the inverse of the gateway's decoding. Pure.

A device saturates where a value leaves its type's range; it never wraps. Of a value of one register BADC and DCBA swap
the bytes; a bit or half of a register stays where it is. Of a string only the bytes inside each register change places
(BADC, DCBA); its words stay in reading order.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plant.tags import ByteOrder, DataType, TagFields, factor

Word = tuple[int, int]
"""Bits of one register and the mask of those that belong to the tag: image & ~mask | bits."""

_INTEGERS: dict[DataType, tuple[int, int]] = {
    DataType.BOOL: (0, 1),
    DataType.INT8: (-(2**7), 2**7 - 1),
    DataType.UINT8: (0, 2**8 - 1),
    DataType.INT16: (-(2**15), 2**15 - 1),
    DataType.UINT16: (0, 2**16 - 1),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT64: (0, 2**64 - 1),
    DataType.BCD16: (0, 9_999),
    DataType.BCD32: (0, 99_999_999),
}
_STRUCT: dict[DataType, str] = {
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
_FLOATS: dict[DataType, type[np.floating]] = {
    DataType.FLOAT16: np.float16,
    DataType.FLOAT32: np.float32,
    DataType.FLOAT64: np.float64,
}


def words(tag: TagFields, value: float | str) -> tuple[Word, ...]:
    """What the tag's registers (or its bit) hold for a value in engineering units.

    >>> words(TagFields(source="s", type="int16", address="holding:0", scale=0.1), -12.34)
    ((65413, 65535),)
    >>> words(TagFields(source="s", type="bool", address="input:3", bit=4), True)
    ((16, 16),)
    """
    if tag.type is DataType.STRING:
        return tuple((word, 0xFFFF) for word in _string(tag, str(value)))
    if isinstance(value, str):
        raise TypeError(f"“{value}” is a text; {tag.type} needs a number")
    raw = _raw(tag, value)
    match tag.type:
        case DataType.BOOL:
            mask = 1 << (tag.bit or 0)
            return ((mask if raw else 0, mask),)
        case DataType.INT8 | DataType.UINT8:
            low = int(raw) & 0xFF
            return ((low << 8, 0xFF00),) if tag.byte == "high" else ((low, 0x00FF),)
        case DataType.BCD16 | DataType.BCD32:
            size = 2 if tag.type is DataType.BCD16 else 4
            data = int(str(int(raw)), 16).to_bytes(size, "big")
        case _:
            data = _pack(_STRUCT[tag.type], raw)
    return tuple((word, 0xFFFF) for word in _ordered(data, tag.order))


def payload_value(tag: TagFields, value: float | str) -> float | str | bool:
    """What stands in a JSON payload: whole numbers as they are, others with one decimal more than on screen."""
    if isinstance(value, str):
        return value
    if tag.type is DataType.NUMBER:
        plain = tag.scale == 1 and tag.offset == 0
        return value if isinstance(value, int) and plain else round(_unscaled(tag, value), tag.decimals + 1)
    raw = _raw(tag, value)
    return bool(raw) if tag.type is DataType.BOOL else raw


def quantise(tag: TagFields, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers as they come out of the gateway after the way through registers or payload (n,).

    >>> quantise(TagFields(source="s", type="int16", address="holding:0", scale=0.5), [1.3, 99_999]).tolist()
    [1.5, 16383.5]
    """
    column = np.asarray(values, dtype=np.float64)
    raw = (column - tag.offset) / tag.scale
    if tag.type in _INTEGERS:
        low, high = _INTEGERS[tag.type]
        raw = np.clip(np.rint(raw), low, high)
    elif tag.type in _FLOATS:
        with np.errstate(over="ignore"):
            raw = raw.astype(_FLOATS[tag.type]).astype(np.float64)
    else:
        raw = np.round(raw, tag.decimals + 1)
    multiplier, divisor = factor(tag.scale)
    return raw * multiplier / divisor + tag.offset


def quantise_text(tag: TagFields, text: str) -> str:
    """A text as it comes out of the gateway: cut to the registers that the string has."""
    if tag.type is not DataType.STRING or tag.length is None:
        return text
    return text.encode()[: 2 * tag.length].decode(errors="ignore").split("\0", 1)[0].rstrip(" ")


def _unscaled(tag: TagFields, value: float) -> float:
    return (value - tag.offset) / tag.scale


def _raw(tag: TagFields, value: float) -> int | float:
    if tag.type in _FLOATS:
        return _unscaled(tag, value)
    if tag.type not in _INTEGERS:
        raise TypeError(f"a value of type {tag.type} has no registers")
    low, high = _INTEGERS[tag.type]
    exact = isinstance(value, int) and tag.scale == 1 and tag.offset == 0
    return min(max(int(value) if exact else round(_unscaled(tag, value)), low), high)


def _pack(form: str, raw: int | float) -> bytes:
    try:
        return struct.pack(form, raw)
    except OverflowError:  # a float beyond the type's range
        return struct.pack(form, math.copysign(math.inf, raw))


def _string(tag: TagFields, text: str) -> tuple[int, ...]:
    size = 2 * (tag.length or 1)
    data = text.encode()[:size].decode(errors="ignore").encode().ljust(size, b"\0")
    swapped = tag.order in (ByteOrder.BADC, ByteOrder.DCBA)
    return struct.unpack(f"{'<' if swapped else '>'}{size // 2}H", data)


def _ordered(data: bytes, order: ByteOrder) -> tuple[int, ...]:
    """Registers of a big-endian value in the given order."""
    count = len(data) // 2
    swap_bytes = order in (ByteOrder.BADC, ByteOrder.DCBA)
    registers: tuple[int, ...] = struct.unpack(f"{'<' if swap_bytes else '>'}{count}H", data)
    return registers[::-1] if order in (ByteOrder.CDAB, ByteOrder.DCBA) else registers
