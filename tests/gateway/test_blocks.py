from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.blocks import Block, Limits, plan_blocks, width
from plant.errors import UserInputError
from plant.tags import Tag
from tests.gateway.support import tag

KINDS = [
    {"type": "uint16"},
    {"type": "float32"},
    {"type": "float64"},
    {"type": "bool", "bit": 3},
    {"type": "string", "length": 9},
]


@st.composite
def tag_lists(draw: st.DrawFn) -> list[Tag]:
    def one(i: int) -> Tag:
        poll_s = draw(st.sampled_from([None, 1.0, 5.0]))
        if draw(st.booleans()):
            table = draw(st.sampled_from(["holding", "input"]))
            fields = draw(st.sampled_from(KINDS))
        else:
            table, fields = draw(st.sampled_from(["coil", "discrete"])), {"type": "bool"}
        at = draw(st.integers(0, 300) | st.integers(0, 65_520))
        return tag(f"t{i}", address=f"{table}:{at}", poll_s=poll_s, **fields)

    return [one(i) for i in range(draw(st.integers(0, 40)))]


@given(tag_lists(), st.integers(9, 125), st.integers(1, 2000), st.integers(0, 124))
def test_every_tag_once_and_whole_within_the_limits(
    tags: list[Tag], max_registers: int, max_bits: int, max_gap: int
) -> None:
    limits = Limits(max_registers, max_bits, max_gap)
    blocks = plan_blocks(tags, limits, unit=7, poll_s=2.0)

    assert sorted(t.id for block in blocks for t in block.tags) == sorted(t.id for t in tags)
    for block in blocks:
        check_block(block, limits)


def check_block(block: Block, limits: Limits) -> None:
    end = block.start + block.count
    assert block.unit == 7
    assert 1 <= block.count <= (limits.max_bits if block.table.is_bits else limits.max_registers)
    used = set()
    for t in block.tags:
        table, at = t.modbus_address
        assert table is block.table
        assert (t.poll_s or 2.0) == block.poll_s
        assert block.start <= at
        assert at + width(t) <= end
        used |= set(range(at, at + width(t)))
    assert {block.start, end - 1} <= used, "nothing unused at the ends"
    places = sorted(used)
    assert all(b - a - 1 <= limits.max_gap for a, b in pairwise(places))


def registers(*addresses: int) -> list[Tag]:
    return [tag(f"t{at}", type="uint16", address=f"holding:{at}") for at in addresses]


@pytest.mark.parametrize(
    ("addresses", "gap", "expected"),
    [
        ((0, 1, 2), 0, [(0, 3)]),
        ((0, 9), 8, [(0, 10)]),
        ((0, 10), 8, [(0, 1), (10, 1)]),
        ((0, 1, 124, 125), 124, [(0, 125), (125, 1)]),
    ],
)
def test_gaps_are_read_across_up_to_the_limit(
    addresses: tuple[int, ...], gap: int, expected: list[tuple[int, int]]
) -> None:
    blocks = plan_blocks(registers(*addresses), Limits(max_gap=gap), unit=1, poll_s=1)
    assert [(b.start, b.count) for b in blocks] == expected


def test_a_value_is_not_split_at_the_limit() -> None:
    tags = [*registers(*range(124)), tag("wide", type="float32", address="holding:124")]
    assert [(b.start, b.count) for b in plan_blocks(tags, Limits(), unit=1, poll_s=1)] == [(0, 124), (124, 2)]


def test_intervals_and_tables_are_read_apart() -> None:
    tags = [
        tag("a", type="uint16", address="holding:0"),
        tag("b", type="uint16", address="holding:1", poll_s=10),
        tag("c", type="uint16", address="input:0"),
    ]
    blocks = plan_blocks(tags, Limits(), unit=1, poll_s=1)
    assert sorted((b.poll_s, b.table.value, len(b.tags)) for b in blocks) == [
        (1, "holding", 1), (1, "input", 1), (10, "holding", 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": "string", "length": 60, "address": "holding:0"}, "at most 50"),
        ({"type": "float32", "address": "holding:65535"}, "beyond the last one"),
    ],
)
def test_a_tag_that_no_request_can_hold_is_named(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UserInputError, match=rf"m\.x .*{said}") as caught:
        plan_blocks([tag(**fields)], Limits(max_registers=50), unit=1, poll_s=1)
    assert caught.value.next_step
