"""MQTT topic filters (pure): which tags a topic carries, and which filters to subscribe to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from paho.mqtt.client import topic_matches_sub

T = TypeVar("T")


def covers(wide: str, narrow: str) -> bool:
    """True when every topic that matches `narrow` matches `wide`.

    >>> covers("hall/#", "hall/+/load"), covers("hall/+", "hall/#"), covers("hall/+", "hall/cnc-1")
    (True, False, True)
    """
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    for i, level in enumerate(wide_levels):
        if level == "#":
            return not (i == 0 and narrow.startswith("$"))
        if i >= len(narrow_levels) or narrow_levels[i] == "#":
            return False
        if level != narrow_levels[i] and (level != "+" or (i == 0 and narrow.startswith("$"))):
            return False
    return len(wide_levels) == len(narrow_levels)


def fewest(filters: Iterable[str]) -> list[str]:
    """The filters without those that another covers: else a broker may deliver a message twice."""
    distinct = list(dict.fromkeys(filters))
    return [f for f in distinct if not any(covers(other, f) for other in distinct if other != f)]


class Router(Generic[T]):
    """Finds what belongs to a topic."""

    def __init__(self, routes: Sequence[tuple[str, T]]) -> None:
        self._routes = tuple(routes)
        self.find = lru_cache(maxsize=10_000)(self._find)

    def _find(self, topic: str) -> tuple[T, ...]:
        return tuple(item for pattern, item in self._routes if topic_matches_sub(pattern, topic))
