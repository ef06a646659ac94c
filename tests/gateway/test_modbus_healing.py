"""Devices that refuse part of what is asked: the rest keeps its cadence, the bad part comes back by itself."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.constants import ExcCodes

from gateway.blocks import Block, Limits, split_block
from gateway.sources.modbus.healing import Healing, Refusal
from plant.connections import Fault, Link
from plant.points import Quality
from plant.tags import Tag
from tests.gateway.devices import running_device
from tests.gateway.support import eventually, tag
from tests.gateway.test_blocks import check_block, tag_lists
from tests.gateway.test_modbus import polling

SIXTY = tuple(tag(f"r{i}", type="uint16", address=f"holding:{i}") for i in range(60))


async def test_one_bad_address_in_a_block_of_sixty() -> None:
    async with running_device() as device:
        await device.set(0, *range(60))
        device.exception, device.exception_at = ExcCodes.ILLEGAL_ADDRESS, 37
        async with polling(device.port, *SIXTY, poll_s=0.1) as (source, emit):
            await eventually(lambda: len(emit.of("r0")) >= 12)
            status = source.status()
    for i in (i for i in range(60) if i != 37):
        points = emit.of(f"r{i}")
        assert {(p.value, p.quality) for p in points} == {(float(i), Quality.GOOD)}
        times = [p.time_ns / 1e9 for p in points]
        assert max(b - a for a, b in pairwise(times)) < 0.18, "no cycle is missed"
        assert len(points) >= 11
    assert [p.quality for p in emit.of("r37")] == [Quality.BAD_MODBUS_ILLEGAL_ADDRESS]
    assert (status.link, status.overruns) == (Link.FAILING, 0)
    bad = [t for t in status.tags if t.fault is not Fault.NONE]
    assert [t.tag for t in bad] == ["m.r37"]
    assert "exception 2 at holding:37" in bad[0].detail


async def test_a_bad_address_comes_back_by_itself() -> None:
    async with running_device() as device:
        await device.set(0, *range(60))
        device.exception, device.exception_at = ExcCodes.ILLEGAL_ADDRESS, 37
        async with polling(device.port, *SIXTY) as (source, emit):
            await eventually(lambda: emit.of("r37"))
            device.exception = None
            await eventually(lambda: emit.of("r37")[-1].value == 37)
            await eventually(lambda: source.status().link is Link.CONNECTED)
            before = device.requests
            reads = len(emit.of("r0"))
            await eventually(lambda: len(emit.of("r0")) >= reads + 5)
            assert device.requests - before <= 7, "one block again"


async def test_a_device_that_refuses_unused_registers_is_read_without_gaps() -> None:
    tags = [tag(f"g{i}", type="uint16", address=f"holding:{3 * i}") for i in range(10)]
    async with running_device() as device:
        used = {t.modbus_address[1] for t in tags}
        device.exception = ExcCodes.ILLEGAL_ADDRESS
        device.refuses = lambda cells: not set(cells) <= used
        async with polling(device.port, *tags, poll_s=0.1) as (source, emit):
            await eventually(lambda: all(len(emit.of(f"g{i}")) >= 5 for i in range(10)))
            assert source.status().link is Link.CONNECTED
    assert {p.quality for p in emit.points} == {Quality.GOOD}


def block(*tags: Tag) -> Block:
    (one,) = Healing(tags, Limits(), unit=1, poll_s=1.0).blocks
    return one


def test_a_block_is_divided_at_gaps_then_in_halves_and_never_inside_a_value() -> None:
    words = [tag("a", type="uint16", address="holding:0"), tag("f", type="float64", address="holding:1")]
    far = tag("z", type="uint16", address="holding:8")
    bit = tag("b", type="bool", bit=3, address="holding:2")
    assert [(p.start, p.count) for p in split_block(block(*words, far))] == [(0, 5), (8, 1)]
    assert [(p.start, p.count) for p in split_block(block(*words))] == [(0, 1), (1, 4)]
    assert [(p.start, p.count) for p in split_block(block(words[1], bit))] == [(1, 4), (2, 1)], "overlapping values"
    assert split_block(block(words[0])) == ()


class Device:
    """Refuses what touches a bad cell, what is longer than its limit, and, if it is picky, unused cells."""

    def __init__(self, bad: set[int], limit: int = 125, used: set[int] | None = None) -> None:
        self.bad, self.limit, self.used = bad, limit, used
        self.requests = 0

    def answers(self, one: Block) -> bool:
        cells = set(range(one.start, one.start + one.count))
        self.requests += 1
        return not cells & self.bad and one.count <= self.limit and (self.used is None or cells <= self.used)


def cycle(healing: Healing, device: Device, now: float) -> set[str]:
    """One turn of every block; gives the tags that were read."""
    read: set[str] = set()
    todo = [b for b in healing.blocks if healing.retry_at(b) <= now]
    while todo:
        one = todo.pop(0)
        if device.answers(one):
            read |= one.ids
            healing.answered(one, now)
        elif healing.refused(one, now) is Refusal.DIVIDED:
            todo = [b for b in healing.blocks if healing.is_waiting(b)] + [b for b in todo if not healing.is_waiting(b)]
    healing.due(now)
    return read


@settings(deadline=None, max_examples=60)
@given(tag_lists(), st.sets(st.integers(0, 300), max_size=6), st.booleans(), st.integers(9, 125))
def test_every_readable_tag_is_read_in_every_cycle_and_planned_once(
    tags: list[Tag],
    bad: set[int],
    picky: bool,  # noqa: FBT001
    limit: int,
) -> None:
    limits = Limits()
    healing = Healing(tags, limits, unit=7, poll_s=2.0, random=Random(1))
    cells = {t.id: set(range(b.start, b.start + b.count)) for t in tags for b in [block(t)]}
    device = Device(bad, limit, set().union(*cells.values()) if picky else None)
    readable = {t.id for t in tags if not cells[t.id] & bad}
    for now in range(6):
        read = cycle(healing, device, float(now))
        assert sorted(t.id for b in healing.blocks for t in b.tags) == sorted(t.id for t in tags)
        for one in healing.blocks:
            check_block(one, limits)
        assert read == readable
    before = device.requests
    cycle(healing, device, 7.0)
    assert device.requests - before <= 2 * len(tags) + 1
    device.bad = set()
    assert set().union(*(cycle(healing, device, now) for now in (200.0, 1_000.0))) == {t.id for t in tags}


def test_quarantine_is_tried_ever_more_rarely() -> None:
    healing = Healing(SIXTY, Limits(), unit=1, poll_s=1.0, random=Random(1))
    device = Device({37})
    tries = []
    for now in range(3_000):
        before = device.requests
        cycle(healing, device, float(now))
        if device.requests - before == 3:
            tries.append(now)
    waits = [b - a for a, b in pairwise(tries)]
    assert tries[0] == 1
    assert waits[0] == 1, "confirmed at once"
    assert 40 <= waits[1] <= 81
    assert 300 <= waits[-1] <= 601


def test_a_device_that_refuses_everything_is_not_taken_apart_at_every_turn() -> None:
    healing = Healing(SIXTY, Limits(), unit=1, poll_s=1.0, random=Random(1))
    device = Device(set(range(60)))
    cycle(healing, device, 0.0)
    before = device.requests
    for now in range(1, 20):
        cycle(healing, device, float(now))
    assert device.requests - before == 19
    device.bad = set()
    assert len(cycle(healing, device, 20.0)) == 60


@pytest.mark.parametrize("limit", [20, 59])
def test_a_device_with_a_lower_limit_than_we_were_told(limit: int) -> None:
    healing = Healing(SIXTY, Limits(), unit=1, poll_s=1.0, random=Random(1))
    device = Device(set(), limit)
    assert len(cycle(healing, device, 0.0)) == 60
    before = device.requests
    assert len(cycle(healing, device, 1.0)) == 60
    assert device.requests - before <= 4
