"""The nodes and devices of one Sparkplug B group: births, aliases, sequence, deaths (pure).

An alias is only worth what the last birth says. When a message is missing (a gap in the sequence numbers) that birth
may be the missing one: nothing of the node is read any more, and it is asked to tell everything again (rebirth).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError as ProtobufError

from gateway.payload import Message, Outcome, TagReader, use_time
from gateway.sparkplug.sparkplug_b_pb2 import Payload
from gateway.sparkplug.values import quality_of, value_of
from plant.errors import DecodeError
from plant.points import Point, Quality
from plant.tags import Tag

NAMESPACE = "spBv1.0"
_BIRTHS, _DEATHS, _DATA = ("NBIRTH", "DBIRTH"), ("NDEATH", "DDEATH"), ("NDATA", "DDATA")


@dataclass(slots=True)
class Readings:
    """What one message gave: outcomes by tag, tags of which nothing is known any more, and a node to ask again."""

    outcomes: list[tuple[TagReader, Outcome]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    why_lost: str = ""
    rebirth: str | None = None


@dataclass(slots=True)
class _Born:
    """What a birth has told of a node or a device: name and type by alias, type by name."""

    names: dict[int, str] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    """One node. `born` holds the node itself under "" and its devices under their names."""

    born: dict[str, _Born] = field(default_factory=dict)
    seq: int | None = None
    birth: int | None = None  # bdSeq: which connection of the node this is


class Group:
    """Reads the messages of the group's nodes. Tags name their metric as Node:Metric or Node/Device:Metric."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._readers: dict[tuple[str, str], dict[str, list[TagReader]]] = {}
        for tag in tags:
            if tag.metric is not None:
                owner, _, metric = tag.metric.partition(":")
                node, _, device = owner.partition("/")
                self._readers.setdefault((node, device), {}).setdefault(metric, []).append(TagReader(tag))
        self._nodes: dict[str, _Node] = {}

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes of which tags are wanted."""
        return tuple(dict.fromkeys(node for node, _ in self._readers))

    def forget(self) -> None:
        """The connection was away: nothing that was told before is sure."""
        self._nodes.clear()

    def read(self, message: Message) -> Readings | None:
        """None for what is no message of a wanted node. Raises DecodeError for what is not Sparkplug B."""
        levels = message.topic.split("/")
        if len(levels) not in (4, 5) or levels[3] not in self.node_names:
            return None
        kind, name, device = levels[2], levels[3], levels[4] if len(levels) == 5 else ""
        if kind not in (*_BIRTHS, *_DEATHS, *_DATA) or (kind[0] == "D") != bool(device):
            return None
        try:
            payload = Payload.FromString(message.payload)
        except ProtobufError as error:
            raise DecodeError(f"the payload is not Sparkplug B: {error}") from None
        node = self._nodes.setdefault(name, _Node())
        if kind == "NDEATH":
            return self._node_dies(name, node, payload)
        if kind == "NBIRTH":
            node.born.clear()
            node.seq, node.birth = payload.seq, _birth_number(payload)
        elif not self._in_sequence(node, payload):
            return Readings(rebirth=name)
        if kind == "DDEATH":
            node.born.pop(device, None)
            return self._lose([(name, device)], f"device {name}/{device} has died")
        if kind in _BIRTHS:
            node.born[device] = _born(payload)
        if device not in node.born:
            return Readings(rebirth=name)
        return self._values((name, device), node.born[device], payload, message, whole=kind in _BIRTHS)

    def _in_sequence(self, node: _Node, payload: Payload) -> bool:
        """False from a gap on, until the node is born again: `seq` stays None."""
        expected = None if node.seq is None else (node.seq + 1) % 256
        node.seq = payload.seq if payload.seq == expected else None
        return node.seq is not None

    def _node_dies(self, name: str, node: _Node, payload: Payload) -> Readings:
        number = _birth_number(payload)
        if node.birth is not None and number is not None and number != node.birth:
            return Readings()  # the last will of an earlier connection came late
        del self._nodes[name]
        return self._lose([owner for owner in self._readers if owner[0] == name], f"node {name} has died")

    def _lose(self, owners: Sequence[tuple[str, str]], why: str) -> Readings:
        lost = [
            reader.tag.id for owner in owners for readers in self._readers.get(owner, {}).values() for reader in readers
        ]
        return Readings(lost=lost, why_lost=why)

    def _values(
        self, owner: tuple[str, str], born: _Born, payload: Payload, message: Message, *, whole: bool
    ) -> Readings:
        wanted = self._readers.get(owner, {})
        found = Readings()
        seen = set()
        for metric in payload.metrics:
            name = metric.name or born.names.get(metric.alias)
            if name is None or name not in born.types:
                found.rebirth = owner[0]
                continue
            seen.add(name)
            for reader in wanted.get(name, ()):
                found.outcomes.append((reader, _outcome(reader, metric, born.types[name], payload, message)))
        if whole:
            found.outcomes += _missing(wanted, seen)
        return found


def _born(payload: Payload) -> _Born:
    born = _Born()
    for metric in payload.metrics:
        born.types[metric.name] = metric.datatype
        if metric.HasField("alias"):
            born.names[metric.alias] = metric.name
    return born


def _birth_number(payload: Payload) -> int | None:
    return next((m.long_value or m.int_value for m in payload.metrics if m.name == "bdSeq"), None)


def _missing(wanted: dict[str, list[TagReader]], seen: set[str]) -> Iterator[tuple[TagReader, Outcome]]:
    """A birth names every metric there is: what it does not name is written wrong in plant.yaml."""
    for name, readers in wanted.items():
        if name not in seen:
            for reader in readers:
                yield reader, Outcome((), f"the birth has no metric {name}")


def _outcome(reader: TagReader, metric: Payload.Metric, datatype: int, payload: Payload, message: Message) -> Outcome:
    time_ns, problem = use_time(metric.timestamp or payload.timestamp or None, message.arrived_ns)
    try:
        value, quality = reader.judge(value_of(metric, metric.datatype or datatype), quality_of(metric))
    except DecodeError as error:
        return Outcome((), str(error)).failed(reader.tag.id, time_ns)
    if problem and quality >= Quality.UNCERTAIN:
        quality = Quality.UNCERTAIN_SOURCE_TIME
    return Outcome((Point(reader.tag.id, time_ns, value, quality),), problem)


def rebirth_request(time_ns: int) -> bytes:
    """The payload of the command that asks a node to be born again."""
    request = Payload(timestamp=time_ns // 1_000_000)
    request.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
    return request.SerializeToString()
