"""What the models say about a place of plant.yaml: which field it is, and which others may stand there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from plant.config import PlantConfig
from plant.config_document import Location
from plant.config_written import BESIDE


@dataclass(frozen=True, slots=True)
class Place:
    """The field at a location (or the one that holds it), and the names of all fields of the section it stands in."""

    description: str = ""
    known: tuple[str, ...] = ()

    def did_you_mean(self, name: str) -> str:
        close = get_close_matches(name, self.known, n=1, cutoff=0.6)
        return f"Did you mean {close[0]}?" if close else "Remove it, or see docs/plant-yaml.md for the fields."


def place_of(location: Location) -> Place:
    """Follows a location as pydantic gives it, with the names of alternatives in it, from the top of the file.

    >>> place_of(("sources", "plc", "modbus-tcp", "unit")).description
    'Unit id; on RTU 1 … 247.'
    >>> place_of(("machines", "cnc-1", "tags", "load", "unit")).description
    'Engineering unit after scaling, such as kW, °C, A, 1/min.'
    """
    place = Place()
    kinds: list[Any] = [PlantConfig]
    for step in location:
        models = [model for kind in kinds for model in _written_at(kind)]
        if not models:
            kinds = [inner for kind in kinds for inner in _inside(kind)]
            continue
        if chosen := [model for model in models if _is_tagged(model, step)]:
            kinds = chosen
            continue
        fields = {name: info for model in models for name, info in model.model_fields.items()}
        info = fields.get(str(step))
        place = Place(f"{info.description}." if info and info.description else "", tuple(fields))
        kinds = list(_flat(info.annotation)) if info else []
    return place


def _written_at(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        if kind in BESIDE:
            yield BESIDE[kind]


def _is_tagged(model: type[BaseModel], step: int | str) -> bool:
    """Whether pydantic means this alternative: it puts the value of `type` into the location."""
    tag = model.model_fields.get("type")
    return tag is not None and get_origin(tag.annotation) is Literal and step in get_args(tag.annotation)


def _inside(kind: Any) -> Iterator[Any]:
    """What a list or a dict holds; nothing inside anything else."""
    if get_origin(kind) in (list, dict):
        yield from _flat(get_args(kind)[-1])


def _flat(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type."""
    if get_origin(annotation) is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _flat(argument)
    elif annotation is not type(None):
        yield annotation
