"""Where each piece of a configuration was written: in plant.yaml, or in a cell of a tag list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from plant.errors import Mistake

Location = tuple[int | str, ...]
"""The way from the top of the file to a value: keys, and positions in lists."""


class Origin(Protocol):
    """Where a piece comes from that does not stand at its own place in plant.yaml."""

    def mistake(self, rest: Location, wrong: str, right: str) -> Mistake:
        """The mistake at its real place; `rest` leads from the piece to what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Document:
    """The parsed plant.yaml. `origins` tells of the pieces that came from elsewhere."""

    path: Path
    tree: CommentedMap
    origins: dict[Location, Origin] = field(default_factory=dict)

    def mistake(self, location: Location, wrong: str, right: str) -> Mistake:
        """The mistake where a person finds it: in a template, in a tag list's cell, or in plant.yaml itself."""
        for length in range(len(location), 0, -1):
            origin = self.origins.get(location[:length])
            if origin is not None:
                return origin.mistake(location[length:], wrong, right)
        return self.written(location, wrong, right)

    def written(self, location: Location, wrong: str, right: str) -> Mistake:
        """The mistake at that place of plant.yaml."""
        return Mistake(self.path, self._line(location), self._field(location), wrong, right)

    def _line(self, location: Location) -> int | None:
        line: int | None = None
        for node, step in self._walk(location):
            written = _key_line(node, step) if isinstance(node, CommentedMap) else int(node.lc.item(step)[0])
            line = line if written is None else written + 1
        return line

    def _field(self, location: Location) -> str:
        """The place as written, without the names of alternatives that pydantic adds."""
        steps = [step for _, step in self._walk(location)]
        if location and location[-1] != "[key]" and (not steps or steps[-1] != location[-1]):
            steps.append(location[-1])
        return ".".join(map(str, steps)) or "plant.yaml"

    def _walk(self, location: Location) -> Iterator[tuple[CommentedMap | CommentedSeq, int | str]]:
        """Each container on the way with the step taken in it; steps that the file does not have are left out."""
        node: object = self.tree
        for step in location:
            if isinstance(node, CommentedMap) and step in node:
                yield node, step
                node = node[step]
            elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
                yield node, step
                node = node[step]


def _key_line(section: CommentedMap, key: int | str) -> int | None:
    """Line of a key, from 0: in the section itself, else in what it takes in with <<."""
    if key in (section.lc.data or {}):
        return int(section.lc.key(key)[0])
    lines = (_key_line(merged, key) for merged in section.merge if key in merged)
    return next(lines, None)


@dataclass(frozen=True, slots=True)
class WrittenAt:
    """A piece that stands elsewhere in plant.yaml, such as in a template."""

    document: Document
    location: Location

    def mistake(self, rest: Location, wrong: str, right: str) -> Mistake:
        return self.document.written((*self.location, *rest), wrong, right)


def in_order(mistakes: Sequence[Mistake], first: Path) -> list[Mistake]:
    """By file (plant.yaml first), line and field."""
    return sorted(mistakes, key=lambda m: (m.file != first, str(m.file), m.line or 0, m.field))
