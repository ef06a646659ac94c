"""What the probe found as text to paste (pure): a plant.yaml that `testbed check` accepts, and rows of a tag list."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from plant.tags import Tag, TagFields

_IDENTITY = ("machine", "name")
_ALWAYS = ("source", "type")


def fields_of(tag: Tag) -> dict[str, Any]:
    """What has to be written for the tag: its fields that are not the default."""
    plain = tag.model_dump(mode="json", exclude=set(_IDENTITY), exclude_defaults=True)
    return {name: plain[name] for name in TagFields.model_fields if name in plain}


def plant_yaml(sources: Mapping[str, Mapping[str, Any]], tags: Sequence[Tag], areas: Mapping[str, str]) -> str:
    """A whole plant.yaml with the tags by machine. `areas`: the area of a machine, where it is known."""
    machines = {}
    for machine in dict.fromkeys(tag.machine for tag in tags):
        rows = {tag.name: _flow(fields_of(tag)) for tag in tags if tag.machine == machine}
        machines[machine] = {"name": machine, "area": areas.get(machine, "my-area"), "line": "line-1", "tags": rows}
    document = {
        "plant": {"enterprise": "my-company", "site": "my-site", "name": "My plant"},
        "sources": {name: dict(fields) for name, fields in sources.items()},
        "machines": machines,
    }
    yaml = YAML()
    yaml.width = 10_000
    yaml.version = None
    yaml.indent(mapping=2)
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def tag_list_csv(tags: Iterable[Tag]) -> str:
    """Rows of a tag list: machine, name and the fields of plant.yaml that any of the tags needs."""
    rows = [{"machine": tag.machine, "name": tag.name} | fields_of(tag) for tag in tags]
    used = {name for row in rows for name in row}
    columns = [name for name in (*_IDENTITY, *TagFields.model_fields) if name in used]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def a_name(text: str, fallback: str = "tag") -> str:
    """The text as a name in plant.yaml: letters, digits, - and _.

    >>> a_name("em:0 L1 ström"), a_name("//")
    ('em_0_L1_str_m', 'tag')
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:64] or fallback


def _flow(fields: Mapping[str, Any]) -> CommentedMap:
    row = CommentedMap(fields)
    row.fa.set_flow_style()
    return row
