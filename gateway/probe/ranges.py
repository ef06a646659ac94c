"""Which addresses a device has (pure): block reads, cut in half where they are refused.

Written as a generator that asks and is told, so that it knows no socket: `send` it how each request went.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Addresses `start` … `end - 1` of one table."""

    start: int
    end: int

    @property
    def count(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return str(self.start) if self.count == 1 else f"{self.start}…{self.end - 1}"


Asking = Generator[Span, bool, tuple[Span, ...]]
"""Yields what to read, is sent whether it was answered with data, returns the spans that were."""


def find_spans(whole: Span, limit: int) -> Asking:
    """The addresses that can be read, in runs as long as possible. At most `limit` addresses per request.

    The widest pieces come first: who stops early has seen the whole range coarsely rather than a part of it finely.
    Every address is covered: it was read, or refused when asked for alone.
    """
    answered: list[Span] = []
    waiting = deque(Span(at, min(at + limit, whole.end)) for at in range(whole.start, whole.end, limit))
    while waiting:
        span = waiting.popleft()
        if (yield span):
            answered.append(span)
        elif span.count > 1:
            middle = span.start + span.count // 2
            waiting += (Span(span.start, middle), Span(middle, span.end))
    return merge(answered)


def find_pairs(refused: Iterable[Span]) -> Asking:
    """Values of two registers in what was refused: some devices answer for a whole value only, never for half of it.

    `refused`: runs of addresses that were refused one by one. Halving looks at pairs that begin at some addresses
    only; this looks at all of them, and goes on in steps of two once it has found one.
    """
    answered: list[Span] = []
    for run in refused:
        at = run.start
        while at + 2 <= run.end:
            pair = Span(at, at + 2)
            found = yield pair
            if found:
                answered.append(pair)
            at += 2 if found else 1
    return merge(answered)


def longest_read(span: Span, limit: int) -> Generator[Span, bool, int]:
    """How many addresses of the span one request may ask for, at most `limit`. 0: not even one."""
    low, high = 0, min(span.count, limit)
    if (yield Span(span.start, span.start + high)):
        return high
    high -= 1
    while low < high:
        middle = (low + high + 1) // 2
        if (yield Span(span.start, span.start + middle)):
            low = middle
        else:
            high = middle - 1
    if low == 0 and span.count > 1 and (yield Span(span.start, span.start + 2)):
        return 2  # a device that answers for whole values of two registers refuses one
    return low


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted, with what touches joined.

    >>> [str(span) for span in merge([Span(4, 6), Span(0, 2), Span(2, 4), Span(9, 10)])]
    ['0…5', '9']
    """
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(span.end, merged[-1].end))
        else:
            merged.append(span)
    return tuple(merged)


def gaps(spans: Iterable[Span]) -> list[Span]:
    """What lies between the spans, smallest first."""
    ordered = merge(spans)
    between = [Span(one.end, other.start) for one, other in pairwise(ordered)]
    return sorted(between, key=lambda gap: gap.count)
