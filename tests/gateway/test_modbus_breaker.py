"""A dead unit's share of the bus, over an hour of simulated time."""

from __future__ import annotations

from random import Random

import pytest

from gateway.sources.modbus.breaker import Breaker


@pytest.mark.parametrize("cost_s", [0.1, 2.0])
def test_a_dead_unit_takes_little_of_the_bus_and_is_found_again(cost_s: float) -> None:
    breaker, now, taken, waits = Breaker(Random(1)), 100.0, 0.0, []
    while now < 3_700:
        wait_s = breaker.wait_s(now)
        waits.append(wait_s)
        now += wait_s or 1.0
        breaker.silent(now, now + cost_s, others_answered=now)
        taken += cost_s
        now += cost_s
    assert taken / 3_600 < 0.033
    assert max(waits) < 70
    assert len([w for w in waits if w == 0]) == 3, "three strikes, then single tries"
    breaker.answered()
    assert breaker.wait_s(now) == 0


def test_where_nobody_answers_it_is_the_line() -> None:
    breaker = Breaker(Random(1))
    for i in range(10):
        breaker.silent(100.0 + i, 100.5 + i, others_answered=99.0)
        assert breaker.wait_s(100.5 + i) == 0


def test_two_time_outs_are_forgiven() -> None:
    breaker = Breaker(Random(1))
    for _ in range(5):
        breaker.silent(1.0, 2.0, others_answered=1.5)
        breaker.silent(3.0, 4.0, others_answered=3.5)
        assert breaker.wait_s(4.0) == 0
        breaker.answered()
