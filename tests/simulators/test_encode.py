"""Encoding against an independent decoder, written here the slow and obvious way."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.tags import ByteOrder, DataType, TagFields
from simulators.encode import payload_value, quantise, quantise_text, words

FORMATS = {
    DataType.INT16: "h",
    DataType.UINT16: "H",
    DataType.INT32: "i",
    DataType.UINT32: "I",
    DataType.INT64: "q",
    DataType.UINT64: "Q",
    DataType.FLOAT16: "e",
    DataType.FLOAT32: "f",
    DataType.FLOAT64: "d",
}
ORDERS = st.sampled_from(ByteOrder)


def tag(kind: DataType | str, **more: object) -> TagFields:
    return TagFields.model_validate({"source": "s", "type": kind, "address": "holding:0", **more})


def decode(kind: DataType, order: ByteOrder, registers: list[int]) -> float:
    """Put the bytes back into A, B, C, D … and unpack."""
    data = [byte for register in registers for byte in divmod(register, 256)]
    pairs = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in (ByteOrder.CDAB, ByteOrder.DCBA):
        pairs.reverse()
    if order in (ByteOrder.BADC, ByteOrder.DCBA):
        pairs = [pair[::-1] for pair in pairs]
    number: float = struct.unpack(">" + FORMATS[kind], bytes(b for pair in pairs for b in pair))[0]
    return number


def whole(spec: TagFields, value: float | str) -> list[int]:
    found = words(spec, value)
    assert all(mask == 0xFFFF for _, mask in found)
    return [bits for bits, _ in found]


@pytest.mark.parametrize("kind", [k for k in FORMATS if "int" in k])
@given(order=ORDERS, data=st.data())
def test_integers_come_back(kind: DataType, order: ByteOrder, data: st.DataObject) -> None:
    bits = 8 * struct.calcsize(FORMATS[kind])
    low = 0 if kind.startswith("u") else -(2 ** (bits - 1))
    value = data.draw(st.integers(low, low + 2**bits - 1))
    assert decode(kind, order, whole(tag(kind, order=order), value)) == value


@pytest.mark.parametrize(("kind", "width"), [(DataType.FLOAT16, 16), (DataType.FLOAT32, 32), (DataType.FLOAT64, 64)])
@given(order=ORDERS, data=st.data())
def test_floats_come_back(kind: DataType, width: int, order: ByteOrder, data: st.DataObject) -> None:
    value = data.draw(st.floats(width=width, allow_nan=True))  # type: ignore[call-overload]
    found = decode(kind, order, whole(tag(kind, order=order), value))
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(st.floats(-3000, 3000), st.sampled_from([0.01, 0.1, 0.5, -0.1]), st.floats(-50, 50))
def test_scaling_rounds_to_the_nearest_step(value: float, scale: float, offset: float) -> None:
    spec = tag("int32", scale=scale, offset=offset)
    found = decode(DataType.INT32, ByteOrder.ABCD, whole(spec, value)) / round(1 / scale) + offset
    assert abs(found - value) <= abs(scale) * 0.5000001
    assert quantise(spec, [value])[0] == found


@pytest.mark.parametrize("kind", FORMATS)
@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_history_rounds_as_the_protocol_does(kind: DataType, value: float) -> None:
    spec = tag(kind, scale=0.1, order="DCBA")
    found = decode(kind, ByteOrder.DCBA, whole(spec, value)) / 10
    assert quantise(spec, [value])[0] == found


@given(st.integers(0, 15), st.sampled_from([0, 1]))
def test_a_bit_touches_only_itself(bit: int, value: int) -> None:
    ((bits, mask),) = words(tag("bool", bit=bit), value)
    assert mask == 1 << bit
    assert bits == (mask if value else 0)


@pytest.mark.parametrize(("half", "bits", "mask"), [("high", 0xFB00, 0xFF00), ("low", 0x00FB, 0x00FF)])
def test_half_registers(half: str, bits: int, mask: int) -> None:
    assert words(tag("int8", byte=half), -5) == ((bits, mask),)


@given(st.integers(0, 99_999_999))
def test_bcd(value: int) -> None:
    high, low = whole(tag("bcd32"), value)
    assert f"{high:04x}{low:04x}" == f"{value:08d}"
    assert whole(tag("bcd16"), value % 10_000) == [int(f"{value % 10_000:04d}", 16)]


def test_word_orders_by_hand() -> None:
    orders = {order: whole(tag("uint32", order=order), 0x0A0B0C0D) for order in ByteOrder}
    assert orders == {
        ByteOrder.ABCD: [0x0A0B, 0x0C0D],
        ByteOrder.CDAB: [0x0C0D, 0x0A0B],
        ByteOrder.BADC: [0x0B0A, 0x0D0C],
        ByteOrder.DCBA: [0x0D0C, 0x0B0A],
    }


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [("uint16", -3, 0), ("uint16", 70_000, 65_535), ("int16", 1e9, 32_767), ("bcd16", 12_345, 0x9999)],
)
def test_a_device_saturates(kind: str, value: float, raw: int) -> None:
    assert whole(tag(kind), value) == [raw]


def test_a_float_too_large_becomes_infinite() -> None:
    assert decode(DataType.FLOAT16, ByteOrder.ABCD, whole(tag("float16"), -1e9)) == -math.inf
    assert quantise(tag("float16"), [1e9])[0] == math.inf


def test_strings_are_padded_cut_and_swapped() -> None:
    assert whole(tag("string", length=3), "ABC") == [0x4142, 0x4300, 0]
    assert whole(tag("string", length=1), "ABC") == [0x4142]
    assert whole(tag("string", length=2, order="DCBA"), "ABC") == [0x4241, 0x0043]
    assert whole(tag("string", length=1), "aå") == [0x6100], "half a letter is no letter"
    assert quantise_text(tag("string", length=1), "aå") == "a"


def test_payloads() -> None:
    plain = TagFields(source="s", topic="t", decimals=2)
    assert payload_value(plain, 1.23456) == 1.235
    assert payload_value(plain, 7) == 7
    assert payload_value(TagFields(source="s", topic="t", type=DataType.BOOL), 1) is True
    assert payload_value(TagFields(source="s", topic="t", type=DataType.TEXT), "on") == "on"
    assert payload_value(TagFields(source="s", topic="t", scale=0.5), 4.0) == 8.0
    column = [1.23456, 7, -0.005]
    assert quantise(plain, column).tolist() == [payload_value(plain, v) for v in np.array(column).tolist()]
