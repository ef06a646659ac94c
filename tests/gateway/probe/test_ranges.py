"""Finding addresses: every readable one is found, none is invented, in a bounded number of requests."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import pairwise
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from gateway.probe.ranges import Span, find_pairs, find_spans, gaps, longest_read

T = TypeVar("T")


def follow(asking: Generator[Span, bool, T], answers: Callable[[Span], bool]) -> tuple[T, list[Span]]:
    """The result, and what was asked."""
    asked: list[Span] = []
    try:
        span = next(asking)
        while True:
            asked.append(span)
            span = asking.send(answers(span))
    except StopIteration as done:
        return done.value, asked


@given(st.sets(st.integers(0, 299)), st.integers(1, 125), st.integers(1, 125))
def test_a_device_that_refuses_gaps_and_long_blocks(there, limit, most):
    """It answers when every address exists and the block is not longer than it can do."""
    spans, asked = follow(
        find_spans(Span(0, 300), limit),
        lambda span: span.count <= most and there.issuperset(range(span.start, span.end)),
    )
    assert {at for span in spans for at in range(span.start, span.end)} == there
    assert all(one.end < other.start for one, other in pairwise(spans))
    assert len(asked) <= 2 * 300
    assert max(span.count for span in asked) <= limit


@given(st.integers(0, 40), st.integers(1, 10))
def test_a_device_that_answers_for_whole_values_only(first, pairs):
    """Values of two registers at any address: half of one, or one and a half, is refused."""
    last = first + 2 * pairs

    def answers(span: Span) -> bool:
        inside = first <= span.start and span.end <= last
        return inside and (span.start - first) % 2 == 0 and span.count == 2

    spans, _ = follow(find_pairs([Span(0, 60)]), answers)
    assert spans == (Span(first, last),)


@given(st.integers(1, 200), st.integers(0, 200))
def test_the_longest_read_is_found_exactly(count, most):
    longest, asked = follow(longest_read(Span(5, 5 + count), 125), lambda span: span.count <= most)
    assert longest == min(count, most, 125)
    assert len(asked) <= 10


def test_one_that_answers_for_pairs_only_is_asked_for_pairs():
    assert follow(longest_read(Span(7, 13), 125), lambda span: span.count == 2)[0] == 2


def test_gaps_come_smallest_first():
    assert gaps([Span(0, 5), Span(20, 30), Span(7, 9)]) == [Span(5, 7), Span(9, 20)]
