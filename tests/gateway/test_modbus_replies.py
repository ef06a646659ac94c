"""What an RTU frame must be to be the answer, byte by byte as it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from gateway.blocks import Block
from gateway.sources.modbus.replies import Expected
from plant.tags import Table

TWO = Expected.of(Block(7, Table.HOLDING, 0, 2, 1.0, ()))


def rtu(*body: int) -> bytes:
    return bytes(body) + FramerRTU.compute_CRC(bytes(body)).to_bytes(2, "big")


RIGHT = rtu(7, 3, 4, 0, 1, 0, 2)


@pytest.mark.parametrize("frame", [RIGHT, rtu(7, 0x83, 2)])
def test_the_answer_is_right_at_every_length(frame: bytes) -> None:
    assert [TWO.rtu_mistake(frame[:n]) for n in range(1, len(frame) + 1)] == [""] * len(frame)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (rtu(8, 3, 4, 0, 1, 0, 2), "unit 8 answered instead of 7"),
        (rtu(7, 4, 4, 0, 1, 0, 2), "function 4 instead of 3"),
        (rtu(7, 3, 2, 0, 1), "2 data bytes instead of 4"),
        (RIGHT + b"\0", "1 bytes more"),
        (RIGHT + RIGHT, "9 bytes more"),
        (RIGHT[:-1] + b"\0", "checksum"),
        (rtu(7, 0x84, 2), "function 132"),
    ],
)
def test_what_is_not_the_answer(frame: bytes, said: str) -> None:
    assert said in TWO.rtu_mistake(frame)


@given(st.integers(0, len(RIGHT) - 1), st.integers(0, 7))
def test_any_bit_that_is_flipped_is_found(at: int, bit: int) -> None:
    frame = bytearray(RIGHT)
    frame[at] ^= 1 << bit
    mistakes = [TWO.rtu_mistake(bytes(frame[:n])) for n in range(1, len(frame) + 1)]

    assert any(mistakes)


def test_bits_are_counted_in_bytes() -> None:
    assert Expected.of(Block(7, Table.COIL, 0, 9, 1.0, ())) == Expected(7, 1, 2)
