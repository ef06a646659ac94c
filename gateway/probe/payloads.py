"""What kind of payload a topic carries, and where in it the values and the time stand (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.payload import parse_json, parse_time
from plant.clock import DAY
from plant.errors import DecodeError

_EARLIEST_NS = 946_684_800 * 1_000_000_000  # as the gateway: before 2000 no clock was set
_TIME_NAME = re.compile(
    r"^(.*[_-])?(timestamp|time|datetime|date_time|ts|t|epoch|sourcetime|source_time)([_-](ms|us|ns|s|utc))?$"
)
_PLAIN_STEP = re.compile(r"(?!(parent|where|wherenot)$)[A-Za-z_][A-Za-z0-9_]*$")  # but for the words of JSONPath itself
_MAX_ITEMS = 16
_MAX_LEAVES = 200
_SPARKPLUG = "spBv1.0/"


class Shape(StrEnum):
    """A payload as a whole."""

    NUMBER = "number"
    BOOL = "bool"
    TEXT = "text"
    OBJECT = "JSON object"
    ARRAY = "JSON array"
    EMPTY = "empty"
    SPARKPLUG = "Sparkplug B"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value in a payload. `path` is JSONPath as plant.yaml takes it; empty: the payload itself."""

    path: str
    key: str
    kind: Shape
    value: object


def shape_of(topic: str, payload: bytes) -> tuple[Shape, tuple[Leaf, ...]]:
    """The payload's kind and its values.

    >>> shape_of("a", b'{"t": {"melt": 231.5}}')[1][0].path, shape_of("a", b"RUN")[0].value
    ('$.t.melt', 'text')
    """
    if topic.startswith(_SPARKPLUG) and not topic.startswith(_SPARKPLUG + "STATE/"):
        return Shape.SPARKPLUG, ()
    if not payload:
        return Shape.EMPTY, ()
    document = parse_json(payload)
    if isinstance(document, DecodeError):
        try:
            document = payload.decode("utf-8")
        except UnicodeDecodeError:
            return Shape.BINARY, ()
        if not document.isprintable():
            return Shape.BINARY, ()
    if isinstance(document, (dict, list)):
        leaves = []
        for leaf in _leaves(document, "$", ""):
            leaves.append(leaf)
            if len(leaves) == _MAX_LEAVES:
                break
        return Shape.OBJECT if isinstance(document, dict) else Shape.ARRAY, tuple(leaves)
    leaf = Leaf("", topic.rpartition("/")[2], _kind(document), document)
    return leaf.kind, (leaf,)


def is_time(leaf: Leaf, now_ns: int) -> bool:
    """Whether a value is the time of its message: its name says so and its size is that of a time.

    >>> [is_time(Leaf("$.ts", "ts", Shape.NUMBER, x), 1_714_730_800 * 10**9) for x in (1714730700123, 17.5)]
    [True, False]
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", leaf.key).lower()
    if not _TIME_NAME.match(name):
        return False
    time_ns = parse_time(leaf.value)
    return time_ns is not None and _EARLIEST_NS <= time_ns <= now_ns + DAY


def _leaves(node: object, path: str, key: str) -> Iterator[Leaf]:
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from _leaves(inner, path + _step(str(name)), str(name))
    elif isinstance(node, list):
        for index, inner in enumerate(node[:_MAX_ITEMS]):
            yield from _leaves(inner, f"{path}[{index}]", f"{key}_{index}" if key else str(index))
    elif node is not None:
        yield Leaf(path, key, _kind(node), node)


def _step(name: str) -> str:
    if _PLAIN_STEP.fullmatch(name):
        return f".{name}"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


def _kind(value: object) -> Shape:
    if isinstance(value, bool):
        return Shape.BOOL
    if isinstance(value, (int, float)):
        return Shape.NUMBER
    return Shape.TEXT
