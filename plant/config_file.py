"""Reads plant.yaml (YAML 1.2) and reports every mistake at once, with file, line, field and the right form.

`${NAME}` and `${NAME:-default}` in a value are taken from the environment: that is where secrets come from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from plant.config import PlantConfig
from plant.config_document import Document, Location, in_order
from plant.config_expand import expand
from plant.config_links import find_broken_links
from plant.config_place import Place, place_of
from plant.config_yaml import read_yaml
from plant.errors import ConfigError, Mistake

_PLANT: TypeAdapter[PlantConfig] = TypeAdapter(PlantConfig)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load_plant(path: Path, environment: Mapping[str, str] | None = None) -> PlantConfig:
    """The plant's configuration. Raises ConfigError with every mistake found, UserInputError without a file."""
    tree = read_yaml(path)
    document = Document(path, tree)
    mistakes: list[Mistake] = []
    written = _resolve(tree, (), os.environ if environment is None else environment, document, mistakes)
    expanded = expand(written, document, _mistakes_of)
    mistakes += [*expanded.mistakes, *_validate(expanded.plain, document, expanded.incomplete)]
    if mistakes:
        # A mistake in a template shows in every machine that uses it: it is told once.
        raise ConfigError(path, in_order(list(dict.fromkeys(mistakes)), path))
    return PlantConfig.model_validate(expanded.plain)


def _resolve(
    node: object, at: Location, environment: Mapping[str, str], document: Document, missing: list[Mistake]
) -> object:
    """Plain dicts, lists and scalars, with the environment's values in place."""
    if isinstance(node, dict):
        return {k: _resolve(v, (*at, k), environment, document, missing) for k, v in node.items()}
    if isinstance(node, list):
        return [_resolve(v, (*at, i), environment, document, missing) for i, v in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name in environment:
            return environment[name]
        if default is None:
            missing.append(
                document.mistake(
                    at, f"the environment has no {name}.", f"Set it, or write a default: ${{{name}:-value}}."
                )
            )
        return default or ""

    return _VARIABLE.sub(value_of, str(node))


def _validate(plain: object, document: Document, incomplete: Collection[str]) -> Iterator[Mistake]:
    """`incomplete`: machines whose tags are not all known, because a list could not be read."""
    yield from _mistakes_of(_PLANT, plain, (), document, lambda at: at in {("machines", m, "tags") for m in incomplete})
    for location, wrong, right in find_broken_links(plain):
        if len(location) < 3 or location[1] not in incomplete or location[2] == "tags":
            yield document.mistake(location, wrong, right)


def _mistakes_of(
    adapter: TypeAdapter[Any],
    plain: object,
    at: Location,
    document: Document,
    leave_out: Callable[[Location], bool] = lambda _: False,
) -> Iterator[Mistake]:
    """What the model says against the piece of the configuration that stands at a place."""
    try:
        adapter.validate_python(plain)
    except ValidationError as error:
        for detail in error.errors():
            if not leave_out(detail["loc"]):
                location = (*at, *detail["loc"])
                yield document.mistake(location, *_explain(detail, place_of(location)))


def _explain(detail: ErrorDetails, place: Place) -> tuple[str, str]:
    """What is wrong and what would be right, in plain words."""
    field = str(detail["loc"][-1]) if detail["loc"] else ""
    given = detail.get("input")
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is missing.", place.description
        case "extra_forbidden":
            return f"“{field}” is not known here.", place.did_you_mean(field)
        case "enum" | "literal_error":
            return f"“{given}” is not one of the choices.", f"Write {context.get('expected')}."
        case "union_tag_invalid":
            return f"type “{context.get('tag')}” is not known.", f"Write one of {context.get('expected_tags')}."
        case "union_tag_not_found":
            return "has no type.", "Add type: modbus-tcp, modbus-rtu-tcp, modbus-rtu, mqtt or replay."
        case "string_pattern_mismatch":
            return f"“{given}” does not have the right form.", _pattern_in_words(str(context.get("pattern")), place)
        case "value_error":
            wrong, _, right = str(context.get("error")).partition(";")
            return wrong.strip() + ".", (right.strip()[:1].upper() + right.strip()[1:] + ".") if right else ""
        case "finite_number":
            return f"“{given}” is not a finite number.", place.description
        case _:
            return f"“{given}”: {detail['msg'][:1].lower()}{detail['msg'][1:]}.", place.description


def _pattern_in_words(pattern: str, place: Place) -> str:
    if ":[0-5]" in pattern:
        return "Write hours and minutes, such as 06:00."
    if pattern.startswith("^(high"):
        return "Write high or low."
    if pattern.startswith("^[A-Za-z0-9][A-Za-z0-9_-]"):
        return "Use letters without accents, digits, - and _, such as cnc-1; at most 64."
    return place.description
