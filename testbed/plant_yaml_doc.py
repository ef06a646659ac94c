"""Writes docs/plant-yaml.md from the models: `python -m testbed.plant_yaml_doc > docs/plant-yaml.md`."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from plant.config import (
    AliveConfig,
    BreakConfig,
    MachineConfig,
    ModbusRtuSource,
    ModbusRtuTcpSource,
    ModbusTcpSource,
    MqttOutput,
    MqttSource,
    PartsConfig,
    PlantSection,
    ReplaySource,
    ShiftConfig,
    SparkplugSource,
    StateConfig,
    Threshold,
    TlsConfig,
)
from plant.config_written import MachineTags, TemplateConfig
from plant.tags import Report, TagFields, WriteRange

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("`plant:`", PlantSection),
    ("`sources:` a source of type `modbus-tcp`", ModbusTcpSource),
    ("`sources:` a source of type `modbus-rtu-tcp`", ModbusRtuTcpSource),
    ("`sources:` a source of type `modbus-rtu`", ModbusRtuSource),
    ("`sources:` a source of type `mqtt`", MqttSource),
    ("`sources:` a source of type `sparkplug`", SparkplugSource),
    ("a source's or output's `tls:`", TlsConfig),
    ("`sources:` a source of type `replay`", ReplaySource),
    ("`machines:` a machine", MachineConfig),
    ("`machines:` a machine, where its tags come from", MachineTags),
    ("a machine's `alive:`", AliveConfig),
    ("a machine's `states:`", StateConfig),
    ("a machine's `states: threshold:`", Threshold),
    ("a machine's `parts:`", PartsConfig),
    ("a machine's `tags:` a tag", TagFields),
    ("a tag's `report:`", Report),
    ("a tag's `write:`", WriteRange),
    ("`templates:` a template", TemplateConfig),
    ("`outputs:` an output of type `mqtt`", MqttOutput),
    ("`shifts:` a shift", ShiftConfig),
    ("a shift's `breaks:` a break", BreakConfig),
)

_INTRODUCTION = """# plant.yaml

Everything about a plant stands in one file. `testbed check plant.yaml` lists every mistake in it with line, field
and the right form. The demo's own file, `testbed/demo/plant.yaml`, is a good one to copy; `examples/` holds more.

- YAML 1.2: `off` is a text and `06:00` is a text. An unknown key is a mistake.
- `${NAME}` and `${NAME:-default}` in a value come from the environment. Passwords belong there.
- Tags may also stand in tables, CSV or XLSX, and in templates for several units of one kind: `tag_list:` at a machine,
  `tag_lists:` (a list of files with a column `machine`) and `templates:` at the top. See [tag-lists.md](tag-lists.md).
- A tag's id is `<machine>.<name>`; it stands in URLs and in the stored data, so choose names that can stay.

This page is made from the program's own models (`python -m testbed.plant_yaml_doc`); a test keeps it up to date.
"""


def document() -> str:
    """The whole page as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(title, model) for title, model in _SECTIONS)])


def _section(title: str, model: type[BaseModel]) -> str:
    rows = "\n".join(_rows(model))
    return f"## {title}\n\n{model.__doc__}\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}\n"


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        meaning = (info.description or "").replace("|", "\\|")
        yield f"| `{name}` | {_type_name(info.annotation)} | {_default(info)} | {meaning} |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is None or default in ("", [], {}):
        return "–"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    arguments = [a for a in get_args(annotation) if a is not type(None)]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{a}`" for a in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_name(a) for a in arguments))
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"{_type_name(arguments[0])} → {_type_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{item.value}`" for item in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {str: "text", int: "whole number", float: "number", bool: "true, false", Any: "value"}.get(
        annotation, "text"
    )


if __name__ == "__main__":
    sys.stdout.write(document())
