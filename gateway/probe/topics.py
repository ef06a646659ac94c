"""What was heard on a broker, topic by topic, and the tags that follow from it (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.payload import Message
from gateway.probe.payloads import Leaf, Shape, is_time, shape_of
from gateway.probe.snippet import a_name
from gateway.probe.units import unit_of
from plant.tags import DataType, Tag

_TYPES = {Shape.NUMBER: DataType.NUMBER, Shape.BOOL: DataType.BOOL, Shape.TEXT: DataType.TEXT}
_STATUS = ("_status", "lwt", "online", "will")


@dataclass(slots=True)
class Topic:
    """One topic. `leaves`: each path with the value seen last (a path that comes only now and then is there too)."""

    name: str
    count: int = 0
    retained: int = 0
    bytes: int = 0
    shapes: Counter[Shape] = field(default_factory=Counter)
    leaves: dict[str, Leaf] = field(default_factory=dict)
    last: Message | None = None

    @property
    def shape(self) -> Shape:
        return self.shapes.most_common(1)[0][0]


class Listened:
    """All that was heard so far."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}

    def hear(self, message: Message) -> None:
        topic = self.topics.setdefault(message.topic, Topic(message.topic))
        shape, leaves = shape_of(message.topic, message.payload)
        topic.count += 1
        topic.retained += message.retained
        topic.bytes += len(message.payload)
        topic.shapes[shape] += 1
        topic.leaves |= {leaf.path: leaf for leaf in leaves}
        topic.last = message


def propose(topics: Iterable[Topic], now_ns: int) -> tuple[tuple[Tag, ...], dict[str, str]]:
    """A tag for every value that was heard, and the area of each machine. Times become `time_path`, not tags."""
    readable = [t for t in topics if t.leaves and t.name.rpartition("/")[2].lower() not in _STATUS]
    machines = group([topic.name for topic in readable])
    tags: dict[str, Tag] = {}
    for topic in sorted(readable, key=lambda topic: topic.name):
        machine = machines[topic.name]
        times = [leaf for leaf in topic.leaves.values() if is_time(leaf, now_ns)]
        time_path = times[0].path or None if times else None
        for leaf in topic.leaves.values():
            if leaf not in times:
                tag = _tag(topic, leaf, machine, time_path, set(tags))
                tags[tag.id] = tag
    return tuple(tags.values()), {machines[topic.name]: _area(topic.name) for topic in readable}


def group(topics: Sequence[str]) -> dict[str, str]:
    """The machine of each topic: the level above the last one; of `umh/v1/…` the one before the contract.

    >>> group(["hall/press-1/state", "hall/press-1/shot", "temperature", "umh/v1/e/s/a/l/cnc-1/_raw/load"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'hall/press-1/state': 'press-1', 'hall/press-1/shot': 'press-1', 'temperature': 'temperature',
     'umh/v1/e/s/a/l/cnc-1/_raw/load': 'cnc-1'}
    """
    bases = {topic: _base(topic) for topic in topics}
    short = {base: a_name(base.rpartition("/")[2], "machine") for base in bases.values()}
    same = Counter(short.values())  # two halls may both have a press-1
    return {topic: short[base] if same[short[base]] == 1 else a_name(base, "machine") for topic, base in bases.items()}


def _base(topic: str) -> str:
    levels = topic.split("/")
    contract = next((i for i, level in enumerate(levels) if i and level.startswith("_")), None)
    if contract is not None:
        return "/".join(levels[:contract])
    return "/".join(levels[:-1]) or topic


def _area(topic: str) -> str:
    levels = topic.split("/")
    if topic.startswith("umh/v1/") and len(levels) > 5:
        return a_name(levels[4], "my-area")
    return a_name(levels[0], "my-area") if len(levels) > 2 else "my-area"


def _tag(topic: Topic, leaf: Leaf, machine: str, time_path: str | None, taken: set[str]) -> Tag:
    last_level = topic.name.rpartition("/")[2]
    inner = leaf.path.removeprefix("$")
    value_itself = not inner or inner in (".value", ".v")
    short = a_name(inner) if not value_itself else a_name(last_level)
    long = a_name(f"{last_level}_{a_name(inner)}")
    name = next(n for n in _names(short, long) if f"{machine}.{n}" not in taken)
    kind = _TYPES[leaf.kind]
    unit = unit_of(leaf.key if not value_itself else last_level) if kind is DataType.NUMBER else ""
    fields = {"topic": topic.name, "path": leaf.path or None, "time_path": time_path, "type": kind, "unit": unit}
    return Tag.model_validate({"machine": machine, "name": name, "source": "broker", **fields})


def _names(short: str, long: str) -> Iterator[str]:
    yield short
    yield long
    number = 2
    while True:
        yield f"{long[:58]}_{number}"
        number += 1


def rate_per_s(topic: Topic, seconds: float) -> float:
    """Messages per second that were sent while we listened; a retained message was sent before."""
    return (topic.count - topic.retained) / seconds
