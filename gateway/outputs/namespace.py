"""The unified namespace (pure): which topic a point has there, and what stands in the message.

    <prefix>/<enterprise>/<site>/<area>/<line>/<machine>/_<contract>/<tag>

strict  {"timestamp_ms", "value"} of every point that has a usable value. A change of quality goes, retained, to
        the same topic with _status for the contract: {"timestamp_ms", "q", "quality"}.
full    {"timestamp_ms", "value", "q", "seq", "unit"} of every point; `seq` counts up from 0 since the birth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from plant.config import MqttOutput, PlantConfig
from plant.points import Point, Quality, Value
from plant.tags import DataType, Tag

_MS = 1_000_000
_FRACTIONAL = {DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64, DataType.NUMBER}


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one tag stands in the namespace."""

    tag: Tag
    topic: str
    status_topic: str


class Namespace:
    """The plant's tags as topics. Remembers the last quality told and the count since the birth."""

    def __init__(self, plant: PlantConfig, output: MqttOutput) -> None:
        self._output, self._full = output, output.profile == "full"
        self.apply(plant)
        self._told: dict[str, Quality] = {}
        self._seq = 0

    def apply(self, plant: PlantConfig) -> None:
        """The plant's tags are these from now on."""
        self._places = {tag.id: _place(plant, self._output, tag) for tag in plant.tags()}

    def born(self) -> None:
        """A new connection: whoever listens may have missed anything."""
        self._told.clear()
        self._seq = 0

    def messages(self, points: Iterable[Point]) -> Iterator[Publication]:
        """The messages of these points, in their order. A tag that is not in the plant any more has no place."""
        for point in points:
            place = self._places.get(point.tag)
            if place is not None:
                yield from self._of_full(place, point) if self._full else self._of_strict(place, point)

    def _of_full(self, place: _Place, point: Point) -> Iterator[Publication]:
        content = {
            "timestamp_ms": point.time_ns // _MS,
            "value": _json_value(place.tag, point.value),
            "q": int(point.quality),
            "seq": self._seq,
            "unit": place.tag.unit,
        }
        self._seq += 1
        yield Publication(place.topic, orjson.dumps(content))

    def _of_strict(self, place: _Place, point: Point) -> Iterator[Publication]:
        time_ms = point.time_ns // _MS
        if self._told.get(point.tag) is not point.quality:
            self._told[point.tag] = point.quality
            content = {"timestamp_ms": time_ms, "q": int(point.quality), "quality": point.quality.name}
            yield Publication(place.status_topic, orjson.dumps(content), retain=True)
        if point.quality >= Quality.UNCERTAIN and point.value is not None:
            value = _json_value(place.tag, point.value)
            yield Publication(place.topic, orjson.dumps({"timestamp_ms": time_ms, "value": value}))


def _place(plant: PlantConfig, output: MqttOutput, tag: Tag) -> _Place:
    machine = plant.machines[tag.machine]
    levels = (output.prefix, plant.plant.enterprise, plant.plant.site, machine.area, machine.line, tag.machine)
    base = "/".join(levels)
    return _Place(tag, f"{base}/_{output.contract}/{tag.name}", f"{base}/_status/{tag.name}")


def _json_value(tag: Tag, value: Value) -> object:
    """As the tag's type would write it: true for a bool, 3 for an unscaled integer."""
    if not isinstance(value, float):
        return value
    if tag.type is DataType.BOOL and value in (0, 1):
        return bool(value)
    if tag.type not in _FRACTIONAL and value.is_integer():
        return int(value)
    return value
