"""An encoded value among noise is found again, whatever its type, order and scale."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gateway.blocks import width
from gateway.decode import decode_tag
from gateway.probe.expected import Expected
from gateway.probe.ranking import SCALES, Life, find_text, rank
from gateway.probe.readings import FOUR, ONE, TWO, Readings, new_tag
from plant.tags import ByteOrder, DataType, Table, Tag
from simulators.encode import words

FLOATS = (DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64)


def registers_of(tag: Tag, value: float) -> list[int]:
    return [word for word, _ in words(tag, value)]


def same(one: Tag, other: Tag) -> bool:
    """In one register the order of words says nothing."""
    swapped = (ByteOrder.BADC, ByteOrder.DCBA)
    orders = one.order is other.order or (width(one) == 1 and (one.order in swapped) == (other.order in swapped))
    return orders and (one.address, one.type, one.scale) == (other.address, other.type, other.scale)


@given(
    kind=st.sampled_from([*ONE, *TWO, *FOUR]),
    order=st.sampled_from(ByteOrder),
    scale=st.sampled_from(SCALES),
    raw=st.integers(10, 9_999),
    at=st.integers(0, 20),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
@example(kind=DataType.UINT64, order=ByteOrder.DCBA, scale=0.001, raw=9_999, at=0, seed=1)
def test_the_true_reading_is_first_or_all_before_it_fit_as_well(kind, order, scale, raw, at, seed):
    tag = new_tag(Table.HOLDING, at, kind, order=order, scale=scale)
    noise = random.Random(seed)
    registers = [noise.choice((0, noise.randrange(100), noise.randrange(0x10000))) for _ in range(26)]
    registers[at : at + width(tag)] = registers_of(tag, raw * scale)
    value, _ = decode_tag(tag, registers[at : at + width(tag)])
    assume(isinstance(value, float) and value > 0)
    expected = Expected.parse(f"{value:.6g}" if "e" not in f"{value:.6g}" else f"{value:.9f}")
    assert expected is not None
    assume(abs(value - expected.value) <= expected.tolerance)

    ranked = rank(Readings(Table.HOLDING, 0, len(registers)), [registers], expected)
    place = next(i for i, candidate in enumerate(ranked) if same(candidate.tag, tag))
    assert all(candidate.misfit == 0 for candidate in ranked[: place + 1])
    for candidate in ranked[: place + 1]:  # what it says is what the gateway will read
        start = candidate.tag.modbus_address[1]
        read, _ = decode_tag(candidate.tag, registers[start : start + width(candidate.tag)])
        assert read == pytest.approx(candidate.value, rel=1e-12)
        assert abs(read - expected.value) <= expected.tolerance * (1 + 1e-6) + 1e-12


@pytest.mark.parametrize("order", ByteOrder)
@pytest.mark.parametrize("kind", [DataType.FLOAT32, DataType.FLOAT64, DataType.UINT32])
def test_a_long_number_is_first_among_noise(kind, order):
    value = 70_123.0 if kind is DataType.UINT32 else 231.57
    tag = new_tag(Table.INPUT, 50, kind, order=order)
    for seed in range(3):
        noise = random.Random(seed)
        registers = [noise.randrange(0x10000) for _ in range(120)]
        registers[50 : 50 + width(tag)] = registers_of(tag, value)
        expected = Expected.parse("70123" if kind is DataType.UINT32 else "231.5700")
        assert expected is not None
        assert same(rank(Readings(Table.INPUT, 0, 120), [registers], expected)[0].tag, tag)


def test_a_small_number_is_proposed_in_its_simplest_form():
    """235 at 9 is also the uint32 at 8 and the uint64 at 6 when zeros stand before it."""
    registers = [0] * 9 + [235] + [0] * 6
    expected = Expected.parse("23.5")
    assert expected is not None
    best = rank(Readings(Table.HOLDING, 0, 16), [registers], expected)[0].tag
    assert (best.address, best.type, best.order, best.scale) == ("holding:9", DataType.UINT16, ByteOrder.ABCD, 0.1)


def test_a_value_that_went_on_is_still_found_and_its_distance_told():
    registers = registers_of(new_tag(Table.HOLDING, 0, DataType.FLOAT32), 23.8)
    expected = Expected.parse("23.5")
    assert expected is not None
    best = rank(Readings(Table.HOLDING, 0, 2), [registers], expected)[0]
    assert best.tag.type is DataType.FLOAT32
    assert best.misfit == pytest.approx(0.3 / 23.5, rel=1e-4)


def test_watching_tells_a_signal_from_bytes_that_fit_once():
    """A temperature that is a bit off by now stands beside the low word of a fast counter that fits exactly."""
    rng = np.random.default_rng(1)
    rows = [[237 + int(rng.integers(-2, 3)) if i else 237, (235 + 9_000 * i) % 65_536] for i in range(20)]
    expected = Expected.parse("23.5")
    assert expected is not None
    at_once = rank(Readings(Table.HOLDING, 0, 2), rows[:1], expected)[0]
    assert (at_once.tag.address, at_once.life) == ("holding:1", Life.NOT_WATCHED)
    watched = rank(Readings(Table.HOLDING, 0, 2), rows, expected)
    assert (watched[0].tag.address, watched[0].life) == ("holding:0", Life.LIVING)
    assert {one.life for one in watched if one.tag.address == "holding:1"} == {Life.JUMPING}


@given(st.floats(-1e6, 1e6).filter(lambda x: abs(x) >= 1e-3), st.integers(0, 6))
def test_the_tolerance_is_half_of_the_last_digit(value, digits):
    expected = Expected.parse(f"{value:.{digits}f}")
    assert expected is not None
    assert expected.tolerance == pytest.approx(0.5 * 10**-digits)
    assert math.isclose(expected.value, value, rel_tol=0, abs_tol=expected.tolerance * 1.001)


@pytest.mark.parametrize("order", [ByteOrder.ABCD, ByteOrder.BADC])
def test_a_text_is_found_in_both_orders(order):
    tag = new_tag(Table.HOLDING, 3, DataType.STRING, length=4, order=order)
    registers = [0, 1, 2, *registers_of_text(tag, "O1234"), 9]
    found = find_text(Table.HOLDING, 0, registers, "O1234")
    assert [(one.address, one.order) for one in found] == [("holding:3", order)]
    assert decode_tag(found[0], registers[3 : 3 + width(found[0])])[0] == "O1234"


def registers_of_text(tag: Tag, text: str) -> list[int]:
    return [word for word, _ in words(tag, text)]
