"""Checks between the parts of a plant.yaml: names that must exist elsewhere, fields that a source needs.

Works on the plain data, piece by piece, so that one broken piece does not hide the mistakes of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from plant.config import (
    AnyModbusSource,
    ModbusRtuSource,
    ModbusSource,
    MqttSource,
    PartsConfig,
    ReplaySource,
    SourceConfig,
    StateConfig,
)
from plant.tags import TagFields

_T = TypeVar("_T")
Finding = tuple[tuple[int | str, ...], str, str]
_SOURCE: TypeAdapter[AnyModbusSource | MqttSource | ReplaySource] = TypeAdapter(SourceConfig)
_TAG = TypeAdapter(TagFields)


def find_broken_links(plain: object) -> Iterator[Finding]:
    """Location, what is wrong and what would be right, for every link that leads nowhere."""
    sources = {name: _or_none(_SOURCE, raw) for name, raw in _section(plain, "sources").items()}
    yield from _check_lines(sources)
    for machine_id, machine in _section(plain, "machines").items():
        at = ("machines", machine_id)
        tags = _section(machine, "tags")
        for name, raw in tags.items():
            yield from _check_tag((*at, "tags", name), raw, sources)
        yield from _check_names(at, machine, tags)
        yield from _check_state(at, machine, tags)


def _section(node: object, key: str) -> Mapping[Any, Any]:
    inner = node.get(key) if isinstance(node, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _or_none(adapter: TypeAdapter[_T], raw: object) -> _T | None:
    try:
        return adapter.validate_python(raw)
    except ValidationError:
        return None


def _check_lines(sources: Mapping[Any, object]) -> Iterator[Finding]:
    """Sources of one endpoint share one connection: they must agree on how it is opened."""
    first: dict[str, tuple[str, AnyModbusSource]] = {}
    for name, source in sources.items():
        if not isinstance(source, AnyModbusSource):
            continue
        before, one = first.setdefault(source.endpoint, (name, source))
        for field in ("type", *(("baudrate", "parity", "stopbits") if isinstance(source, ModbusRtuSource) else ())):
            here, there = getattr(source, field), getattr(one, field, None)
            if there is not None and here != there:
                wrong = f"{field} is {here} here but {there} in “{before}”, and both are on {source.endpoint}."
                yield ("sources", name, field), wrong, "Sources of one endpoint share one connection: write the same."


def _check_tag(at: tuple[str, ...], raw: object, sources: Mapping[Any, object]) -> Iterator[Finding]:
    source = raw.get("source") if isinstance(raw, Mapping) else None
    if isinstance(source, str) and source not in sources:
        yield (*at, "source"), f"there is no source “{source}”.", _suggest(source, sources)
        return
    tag = _or_none(_TAG, raw)
    if tag is None:
        return
    match sources[tag.source]:
        case ModbusSource() if tag.address is None:
            yield at, "a tag of a Modbus source needs an address.", "Add address: holding:0, for example."
        case MqttSource() if tag.topic is None:
            yield at, "a tag of an MQTT source needs a topic.", "Add topic: hall/cnc-1/temperature, for example."
        case ReplaySource() if tag.key is None:
            yield at, "a tag of a recording needs its key.", "Add key: with the data item's or column's name."


def _check_names(at: tuple[str, ...], machine: object, tags: Mapping[Any, object]) -> Iterator[Finding]:
    """Every tag that the machine's own sections name must be among its tags."""
    named: list[tuple[tuple[int | str, ...], object]] = [
        ((*at, section, key), _section(machine, section).get(key))
        for section, key in (("states", "tag"), ("parts", "total"), ("parts", "good"), ("parts", "scrap"))
    ]
    chart = machine.get("chart") if isinstance(machine, Mapping) else None
    if isinstance(chart, list):
        named += [((*at, "chart", i), name) for i, name in enumerate(chart)]
    for location, name in named:
        if isinstance(name, str) and name not in tags:
            yield location, f"the machine has no tag “{name}”.", _suggest(name, tags)


def _check_state(at: tuple[str, ...], machine: object, tags: Mapping[Any, Any]) -> Iterator[Finding]:
    """A threshold needs a number; a counter needs a number."""
    states = _or_none(TypeAdapter(StateConfig), _section(machine, "states"))
    if states is not None and states.threshold is not None and _is_text(tags.get(states.tag)):
        yield (*at, "states", "tag"), f"“{states.tag}” is a text, a threshold needs a number.", "Use map instead."
    parts = _or_none(TypeAdapter(PartsConfig), _section(machine, "parts"))
    for key in ("total", "good", "scrap"):
        name = getattr(parts, key, None)
        if name is not None and _is_text(tags.get(name)):
            yield (*at, "parts", key), f"“{name}” is a text, a counter is a number.", "Name a numeric tag."


def _is_text(raw: object) -> bool:
    tag = _or_none(_TAG, raw)
    return tag is not None and tag.type.is_text


def _suggest(name: str, known: Mapping[Any, object]) -> str:
    names = [str(item) for item in known]
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Known: {', '.join(names)}." if names else "Add it first."
