"""Published values: IEEE 754 examples (1.0 = 3F80 0000, π = 4048 F5C3 for 3.14), Modbus application notes (12345678 =
00BC 614E), two's complement and 8-4-2-1 BCD."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.blocks import Block
from gateway.decode import BlockDecoder, decode_tag
from plant.points import Quality
from plant.tags import ByteOrder, Table
from tests.gateway.support import tag

GOOD = Quality.GOOD


@pytest.mark.parametrize(
    ("kind", "registers", "value"),
    [
        ("uint16", [0xFFFF], 65535),
        ("int16", [0xFFFF], -1),
        ("int16", [0x8000], -32768),
        ("uint32", [0x00BC, 0x614E], 12345678),
        ("int32", [0xFFFF, 0xFFFE], -2),
        ("uint64", [0x0000, 0x0001, 0x0000, 0x0000], 2**32),
        ("int64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFF85], -123),
        ("float16", [0x3C00], 1.0),
        ("float16", [0xC000], -2.0),
        ("float16", [0x3555], 0.333251953125),
        ("float32", [0x3F80, 0x0000], 1.0),
        ("float32", [0x4048, 0xF5C3], struct.unpack(">f", bytes.fromhex("4048f5c3"))[0]),
        ("float32", [0x42F6, 0xE979], struct.unpack(">f", bytes.fromhex("42f6e979"))[0]),  # 123.456
        ("float64", [0x4009, 0x21FB, 0x5444, 0x2D18], math.pi),
        ("bcd16", [0x1234], 1234),
        ("bcd16", [0x9999], 9999),
        ("bcd32", [0x1234, 0x5678], 12345678),
    ],
)
def test_big_endian_values(kind: str, registers: list[int], value: float) -> None:
    assert decode_tag(tag(type=kind, address="holding:10"), registers) == (value, GOOD)


@pytest.mark.parametrize(
    ("order", "registers"),
    [
        ("ABCD", [0x4048, 0xF5C3]),
        ("CDAB", [0xF5C3, 0x4048]),
        ("BADC", [0x4840, 0xC3F5]),
        ("DCBA", [0xC3F5, 0x4840]),
    ],
)
def test_the_four_orders_of_32_bits(order: str, registers: list[int]) -> None:
    value, quality = decode_tag(tag(type="float32", order=order, address="holding:0"), registers)
    assert (round(float(value or 0), 6), quality) == (3.14, GOOD)
    assert decode_tag(tag(type="uint32", order=order, address="holding:0"), registers)[0] == 0x4048F5C3
    bcd = {"ABCD": [0x1234, 0x5678], "CDAB": [0x5678, 0x1234], "BADC": [0x3412, 0x7856], "DCBA": [0x7856, 0x3412]}
    assert decode_tag(tag(type="bcd32", order=order, address="holding:0"), bcd[order])[0] == 12345678


@pytest.mark.parametrize(
    ("order", "wire"),
    [
        ("ABCD", "400921fb54442d18"),
        ("CDAB", "2d18544421fb4009"),
        ("BADC", "0940fb214454182d"),
        ("DCBA", "182d4454fb210940"),
    ],
)
def test_the_four_orders_of_64_bits(order: str, wire: str) -> None:
    registers = list(struct.unpack(">4H", bytes.fromhex(wire)))
    assert decode_tag(tag(type="float64", order=order, address="holding:0"), registers) == (math.pi, GOOD)


@pytest.mark.parametrize(
    ("order", "expected"), [("ABCD", 0x0102), ("CDAB", 0x0102), ("BADC", 0x0201), ("DCBA", 0x0201)]
)
def test_the_bytes_of_one_register_swap_with_badc_and_dcba(order: str, expected: int) -> None:
    assert decode_tag(tag(type="uint16", order=order, address="holding:0"), [0x0102])[0] == expected
    assert decode_tag(tag(type="bool", bit=8, order=order, address="holding:0"), [0x0102])[0] == 1
    assert decode_tag(tag(type="uint8", byte="high", order=order, address="holding:0"), [0x0102])[0] == 1


def test_bits_and_halves() -> None:
    for bit in range(16):
        t = tag(type="bool", bit=bit, address="holding:0")
        assert decode_tag(t, [1 << bit]) == (1.0, GOOD)
        assert decode_tag(t, [0xFFFF ^ (1 << bit)]) == (0.0, GOOD)
    assert decode_tag(tag(type="uint8", byte="high", address="holding:0"), [0xFE01])[0] == 254
    assert decode_tag(tag(type="int8", byte="high", address="holding:0"), [0xFE01])[0] == -2
    assert decode_tag(tag(type="int8", byte="low", address="holding:0"), [0xFE01])[0] == 1


@pytest.mark.parametrize(
    ("order", "wire", "text"),
    [
        ("ABCD", b"PROG-42\0", "PROG-42"),
        ("CDAB", b"PROG-42\0", "PROG-42"),
        ("BADC", b"RPGO4-\x002", "PROG-42"),
        ("DCBA", b"RPGO4-\x002", "PROG-42"),
        ("ABCD", "åäö  ".encode(), "åäö"),
        ("ABCD", b"ab\0cdefg", "ab"),
        ("ABCD", b"\0" * 8, ""),
    ],
)
def test_strings(order: str, wire: bytes, text: str) -> None:
    t = tag(type="string", length=4, order=order, address="holding:0")
    assert decode_tag(t, list(struct.unpack(">4H", wire))) == (text, GOOD)


@pytest.mark.parametrize(
    ("fields", "registers", "expected"),
    [
        ({"type": "float32"}, [0x7FC0, 0x0000], (None, Quality.BAD_NOT_AVAILABLE)),  # NaN
        ({"type": "float32"}, [0x7F80, 0x0001], (None, Quality.BAD_NOT_AVAILABLE)),  # signalling NaN
        ({"type": "float32"}, [0x7F80, 0x0000], (None, Quality.BAD_NOT_AVAILABLE)),  # +Inf
        ({"type": "float64"}, [0xFFF0, 0, 0, 0], (None, Quality.BAD_NOT_AVAILABLE)),  # -Inf
        ({"type": "float16"}, [0x7E00], (None, Quality.BAD_NOT_AVAILABLE)),
        ({"type": "float16", "low": 0, "high": 1}, [0x7E00], (None, Quality.BAD_NOT_AVAILABLE)),
        ({"type": "bcd16"}, [0x12A4], (None, Quality.BAD_DECODE)),
        ({"type": "bcd16", "low": 0, "high": 1}, [0x12A4], (None, Quality.BAD_DECODE)),
        ({"type": "bcd32"}, [0x1234, 0x567F], (None, Quality.BAD_DECODE)),
        ({"type": "string", "length": 1}, [0xFFFE], (None, Quality.BAD_DECODE)),
        ({"type": "uint64"}, [0x0020, 0, 0, 0], (2.0**53, GOOD)),
        ({"type": "uint64"}, [0x0020, 0, 0, 1], (2.0**53, Quality.UNCERTAIN_PRECISION)),
        ({"type": "int64"}, [0xFFDF, 0xFFFF, 0xFFFF, 0xFFFF], (-(2.0**53), Quality.UNCERTAIN_PRECISION)),
        ({"type": "int64", "high": 5}, [0x0020, 0, 0, 1], (2.0**53, Quality.UNCERTAIN_OUT_OF_RANGE)),
        ({"type": "uint16", "low": 10, "high": 20}, [9], (9, Quality.UNCERTAIN_OUT_OF_RANGE)),
        ({"type": "uint16", "low": 10, "high": 20}, [10], (10, GOOD)),
        ({"type": "uint16", "low": 10, "high": 20}, [20], (20, GOOD)),
        ({"type": "uint16", "low": 10, "high": 20}, [21], (21, Quality.UNCERTAIN_OUT_OF_RANGE)),
        ({"type": "int16", "scale": 0.1, "offset": -5}, [250], (20.0, GOOD)),
        ({"type": "int16", "scale": 0.1, "low": 0, "high": 30}, [250], (25.0, GOOD)),  # the range is after scaling
        ({"type": "float64", "scale": 1e300}, [0x7FE0, 0, 0, 0], (None, Quality.BAD_NOT_AVAILABLE)),
    ],
)
def test_quality(fields: dict[str, object], registers: list[int], expected: tuple[float | None, Quality]) -> None:
    assert decode_tag(tag(address="holding:0", **fields), registers) == expected


def test_a_block_of_everything_keeps_the_order_of_its_tags() -> None:
    tags = (
        tag("a", type="float32", order="CDAB", address="holding:100"),
        tag("b", type="uint16", address="holding:103"),
        tag("c", type="string", length=2, address="holding:104"),
        tag("d", type="float32", address="holding:106"),
        tag("e", type="bool", bit=0, address="holding:103"),
        tag("f", type="bcd16", address="holding:102"),
    )
    registers = [0xF5C3, 0x4048, 0x00AA, 7, 0x4849, 0x0000, 0x3F80, 0]
    decoder = BlockDecoder(Block(1, Table.HOLDING, 100, 8, 1.0, tags))

    for reply in (registers, struct.pack(">8H", *registers)):
        decoded = decoder(reply)
        np.testing.assert_allclose(decoded.value, [3.14, 7, np.nan, 1, 1, np.nan], rtol=1e-6)
        assert list(decoded.quality) == [GOOD, GOOD, GOOD, GOOD, GOOD, Quality.BAD_DECODE]
        assert decoded.text == (None, None, "HI", None, None, None)
    assert decoder.raw(registers) == ("f5c3 4048", "0007", "4849 0000", "3f80 0000", "0007", "00aa")


def test_coils() -> None:
    tags = (tag("a", type="bool", address="coil:5"), tag("b", type="bool", address="coil:7"))
    decoder = BlockDecoder(Block(1, Table.COIL, 5, 3, 1.0, tags))
    decoded = decoder([True, True, False])
    assert list(decoded.value) == [1, 0]
    assert list(decoded.quality) == [GOOD, GOOD]
    assert decoder.raw([True, True, False]) == ("1", "0")


def test_a_reply_of_the_wrong_length_is_never_decoded() -> None:
    decoder = BlockDecoder(Block(1, Table.HOLDING, 0, 2, 1.0, (tag(type="float32", address="holding:0"),)))
    for reply in ([1], [1, 2, 3], b"\0\0\0"):
        with pytest.raises((ValueError, struct.error)):
            decoder(reply)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(list(ByteOrder)))
def test_float32_round_trip_in_every_order(number: float, order: ByteOrder) -> None:
    a, b, c, d = struct.pack(">f", number)
    bytes_of = {"A": a, "B": b, "C": c, "D": d}
    wire = bytes(bytes_of[letter] for letter in order.value)
    value, _ = decode_tag(tag(type="float32", order=order, address="holding:0"), list(struct.unpack(">2H", wire)))
    assert value == number


@given(st.binary(min_size=250, max_size=250))
def test_no_reply_raises_or_gives_a_number_with_a_bad_quality(wire: bytes) -> None:
    kinds = ["uint16", "int64", "float16", "float32", "float64", "bcd16", "bcd32", "uint64"]
    tags = tuple(tag(k, type=k, address=f"holding:{i * 10}", scale=3, low=-9e9, high=9e9) for i, k in enumerate(kinds))
    text = tag("text", type="string", length=20, address="holding:90")
    decoded = BlockDecoder(Block(1, Table.HOLDING, 0, 125, 1.0, (*tags, text)))(wire)
    bad = decoded.quality < Quality.UNCERTAIN
    assert np.all(np.isnan(decoded.value[bad]))
    assert np.all(np.isfinite(decoded.value[:-1][~bad[:-1]]))


@pytest.mark.parametrize("scale", [0.1, 0.01, 0.001, -0.1, 0.5])
def test_a_decimal_scale_gives_the_number_that_the_device_means(scale: float) -> None:
    divisor = round(1 / scale)
    for raw in range(1, 2_000, 7):
        assert decode_tag(tag(type="uint16", address="holding:0", scale=scale), [raw])[0] == raw / divisor
    assert decode_tag(tag(type="uint16", address="holding:0", scale=0.1), [287])[0] == 28.7
    assert decode_tag(tag(type="uint16", address="holding:0", scale=0.3), [10])[0] == 10 * 0.3
