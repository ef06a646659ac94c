"""Registers into values (pure): one precompiled decoder per block, no loop over tags except for texts.

Byte orders, for a value whose bytes are A B C D … from the most significant on:

| order | 32 bit | 64 bit  | meaning                                              |
| ABCD  | ABCD   | ABCDEFGH | big-endian, the Modbus rule                         |
| CDAB  | CDAB   | GHEFCDAB | all words in reverse, each word big-endian          |
| BADC  | BADC   | BADCFEHG | words in order, the two bytes of each word swapped  |
| DCBA  | DCBA   | HGFEDCBA | little-endian                                       |

Of a 16-bit value BADC and DCBA swap the two bytes. A bit, or half a register, is counted in the register as it
came, whatever the order. In a string the words always
keep their order; BADC and DCBA swap the two characters of each register. A string is UTF-8, ends at the first
NUL and loses trailing spaces.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.blocks import Block, width
from plant.points import Quality, Value
from plant.tags import ByteOrder, DataType, Tag, factor

# What a group of tags is read as; bit 0 … 15 of a register is shifted out of a u2 afterwards.
_DTYPES = {
    DataType.BOOL: ">u2",
    DataType.INT8: ">i1",
    DataType.UINT8: ">u1",
    DataType.INT16: ">i2",
    DataType.UINT16: ">u2",
    DataType.INT32: ">i4",
    DataType.UINT32: ">u4",
    DataType.INT64: ">i8",
    DataType.UINT64: ">u8",
    DataType.FLOAT16: ">f2",
    DataType.FLOAT32: ">f4",
    DataType.FLOAT64: ">f8",
    DataType.BCD16: ">u2",
    DataType.BCD32: ">u4",
}
_EXACT = 2**53
_WIDE = (DataType.INT64, DataType.UINT64)
_FLOATS = (DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64)
_BCD = (DataType.BCD16, DataType.BCD32)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One row per tag of the block, in its order. Columns as in PointBatch."""

    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    text: tuple[str | None, ...] | None = None


class BlockDecoder:
    """Decodes the replies to one block."""

    def __init__(self, block: Block) -> None:
        self.block = block
        tags = block.tags
        self._bits = block.table.is_bits
        self._pack = struct.Struct(f">{block.count}H").pack
        offsets = [tag.modbus_address[1] - block.start for tag in tags]
        self._bit_offsets = np.array(offsets, dtype=np.intp)
        self._texts = [(i, _gather(tag, offsets[i])) for i, tag in enumerate(tags) if tag.type is DataType.STRING]
        self._groups = () if self._bits else _groups(tags, offsets)
        gathers = [_gather(tags[i], offsets[i]) for group in self._groups for i in group.rows]
        self._gather = np.array([byte for gather in gathers for byte in gather], dtype=np.intp)
        self._scaling = Scaling(tags)

    def __call__(self, registers: bytes | Sequence[int] | Sequence[bool]) -> Decoded:
        """Values of a reply: `count` registers (numbers, or bytes as on the wire), or `count` bits."""
        n = len(self.block.tags)
        value = np.full(n, np.nan)
        quality = np.full(n, Quality.GOOD, dtype=np.uint8)
        if self._bits:
            value[:] = np.asarray(registers, dtype=np.float64)[self._bit_offsets]
            self._scaling.apply(value, quality)
            return Decoded(value, quality)
        data = self.to_bytes(registers)
        packed = np.frombuffer(data, dtype=np.uint8)[self._gather]
        with np.errstate(all="ignore"):  # a signalling NaN is data here, not a fault of ours
            for group in self._groups:
                group.decode(packed, value, quality)
        text = self._decode_texts(data, quality) if self._texts else None
        self._scaling.apply(value, quality)
        return Decoded(value, quality, text)

    def to_bytes(self, registers: bytes | Sequence[int] | Sequence[bool]) -> bytes:
        """The registers as they came over the wire."""
        data = registers if isinstance(registers, bytes) else self._pack(*registers)
        if len(data) != 2 * self.block.count:
            raise ValueError(f"the block has {self.block.count} registers, not {len(data) / 2:g}")
        return data

    def raw(self, registers: bytes | Sequence[int] | Sequence[bool]) -> tuple[str, ...]:
        """Each tag's part of the reply as text: registers as hex, a coil as 0 or 1. For people, not fast."""
        start = self.block.start
        places = [(tag.modbus_address[1] - start, width(tag)) for tag in self.block.tags]
        if self._bits:
            return tuple(str(int(registers[at])) for at, _ in places)
        data = self.to_bytes(registers)
        return tuple(data[2 * at : 2 * (at + n)].hex(" ", 2) for at, n in places)

    def _decode_texts(self, data: bytes, quality: NDArray[np.uint8]) -> tuple[str | None, ...]:
        texts: list[str | None] = [None] * len(self.block.tags)
        for i, gather in self._texts:
            try:
                texts[i] = bytes(data[at] for at in gather).split(b"\0", 1)[0].decode("utf-8").rstrip(" ")
            except UnicodeDecodeError:
                quality[i] = Quality.BAD_DECODE
        return tuple(texts)


def decode_tag(tag: Tag, registers: Sequence[int]) -> tuple[Value, Quality]:
    """One tag from its own registers (`registers[0]` is at its address). For tools and tests."""
    table, start = tag.modbus_address
    decoded = BlockDecoder(Block(1, table, start, len(registers), 1.0, (tag,)))(registers)
    if decoded.text is not None and decoded.text[0] is not None:
        return decoded.text[0], Quality.GOOD
    number = float(decoded.value[0])
    return None if np.isnan(number) else number, Quality(int(decoded.quality[0]))


class Scaling:
    """Scale, offset and valid range of many tags at once; a number that is not finite becomes not available."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        factors = [factor(tag.scale) for tag in tags]
        self._multiplier, self._divisor = np.array(factors, dtype=np.float64).reshape(-1, 2).T
        self._offset = np.array([tag.offset for tag in tags])
        self._low = np.array([-np.inf if tag.low is None else tag.low for tag in tags])
        self._high = np.array([np.inf if tag.high is None else tag.high for tag in tags])
        self._numeric = np.array([not tag.type.is_text for tag in tags], dtype=np.bool_)
        self._scaled = any(tag.scale != 1 or tag.offset != 0 for tag in tags)

    def apply(self, value: NDArray[np.float64], quality: NDArray[np.uint8]) -> None:
        """Changes both columns in place; a BAD row keeps its reason and loses its number."""
        with np.errstate(all="ignore"):
            if self._scaled:
                value *= self._multiplier
                value /= self._divisor
                value += self._offset
            usable = np.isfinite(value)
            bad = quality < Quality.UNCERTAIN
            quality[usable & ~bad & ((value < self._low) | (value > self._high))] = Quality.UNCERTAIN_OUT_OF_RANGE
        quality[~usable & ~bad & self._numeric] = Quality.BAD_NOT_AVAILABLE
        value[~usable | bad] = np.nan


@dataclass(frozen=True, slots=True)
class _Group:
    """Tags of one type: the bytes `start:end` of the gathered reply."""

    type: DataType
    rows: NDArray[np.intp]
    start: int
    end: int
    shifts: NDArray[np.uint16]

    def decode(self, packed: NDArray[np.uint8], value: NDArray[np.float64], quality: NDArray[np.uint8]) -> None:
        raw = packed[self.start : self.end].view(_DTYPES[self.type])
        if self.type is DataType.BOOL:
            raw = (raw >> self.shifts) & 1
        elif self.type in _WIDE:
            beyond = raw > _EXACT if self.type is DataType.UINT64 else (raw > _EXACT) | (raw < -_EXACT)
            quality[self.rows[beyond]] = Quality.UNCERTAIN_PRECISION
        elif self.type in _BCD:
            raw, valid = _from_bcd(raw, digits=4 if self.type is DataType.BCD16 else 8)
            quality[self.rows[~valid]] = Quality.BAD_DECODE
        value[self.rows] = raw


def _from_bcd(raw: NDArray[np.unsignedinteger], digits: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Numbers, and which of them had only digits 0 … 9."""
    nibbles = (raw.astype(np.int64)[:, None] >> np.arange(4 * (digits - 1), -1, -4)) & 0xF
    valid: NDArray[np.bool_] = np.all(nibbles <= 9, axis=1)
    return nibbles @ (10 ** np.arange(digits - 1, -1, -1)), valid


def _groups(tags: Sequence[Tag], offsets: Sequence[int]) -> tuple[_Group, ...]:
    groups: list[_Group] = []
    start = 0
    for kind in dict.fromkeys(tag.type for tag in tags if tag.type in _DTYPES):
        rows = [i for i, tag in enumerate(tags) if tag.type is kind]
        end = start + sum(len(_gather(tags[i], offsets[i])) for i in rows)
        shifts = np.array([tags[i].bit or 0 for i in rows], dtype=np.uint16)
        groups.append(_Group(kind, np.array(rows, dtype=np.intp), start, end, shifts))
        start = end
    return tuple(groups)


def _gather(tag: Tag, offset: int) -> list[int]:
    """Where in the block's bytes those of the tag stand, most significant (or first character) first."""
    if tag.type in (DataType.INT8, DataType.UINT8):
        return [2 * offset + (tag.byte == "low")]
    if tag.type is DataType.BOOL:
        return [2 * offset, 2 * offset + 1]
    count = width(tag)
    words = [[2 * (offset + i), 2 * (offset + i) + 1] for i in range(count)]
    if tag.order in (ByteOrder.CDAB, ByteOrder.DCBA) and tag.type is not DataType.STRING:
        words.reverse()
    if tag.order in (ByteOrder.BADC, ByteOrder.DCBA):
        words = [word[::-1] for word in words]
    return [byte for word in words for byte in word]
