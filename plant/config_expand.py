"""Puts tag lists and templates in the place of what refers to them, and remembers where each piece was written.

Works on plain data, before the models look at it: whatever they find wrong is then told at its real place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from plant.config import Name
from plant.config_document import Document, Location, Origin, WrittenAt
from plant.config_written import MachineTags, TemplateConfig
from plant.errors import Mistake
from plant.tag_list import ListedTag, read_tags
from plant.tag_list_file import read_rows
from plant.tags import TagFields, parse_address

Check = Callable[[TypeAdapter[Any], object, Location, Document], Iterator[Mistake]]
"""The mistakes of a piece of plain data by its model."""

_TEMPLATES: TypeAdapter[Any] = TypeAdapter(dict[Name, TemplateConfig])
_LISTS: TypeAdapter[Any] = TypeAdapter(list[str])
_MACHINE_TAGS: TypeAdapter[Any] = TypeAdapter(MachineTags)
_SHARED = ("states", "parts", "chart")


@dataclass(slots=True)
class Expanded:
    """The configuration without tag lists and templates."""

    plain: object
    mistakes: list[Mistake] = field(default_factory=list)
    incomplete: set[str] = field(default_factory=set)
    """Machines some of whose tags are not known: that a tag is missing there is no news."""


def expand(written: object, document: Document, check: Check) -> Expanded:
    """Resolves `tag_lists`, `templates`, and each machine's `tag_list` and `template`."""
    if not isinstance(written, Mapping):
        return Expanded(written)
    plain = dict(written)
    templates, lists = plain.pop("templates", None) or {}, plain.pop("tag_lists", None) or []
    expanded = Expanded(plain)
    expanded.mistakes += check(_TEMPLATES, _with_some_source(templates), ("templates",), document)
    expanded.mistakes += check(_LISTS, lists, ("tag_lists",), document)
    if isinstance(machines := plain.get("machines"), Mapping):
        files = _Files(document, expanded.mistakes)
        shared = _shared_lists(lists, machines, files, expanded)
        known = templates if isinstance(templates, Mapping) else {}
        plain["machines"] = {
            machine_id: _Machine(machine_id, known, files, expanded, check).expand(raw, shared.get(str(machine_id), []))
            if isinstance(raw, Mapping)
            else raw
            for machine_id, raw in machines.items()
        }
    return expanded


def _with_some_source(templates: object) -> object:
    """A template's tags get their source from the machine; the model of a tag wants one."""
    if not isinstance(templates, Mapping):
        return templates

    def filled(template: object) -> object:
        if not isinstance(template, Mapping) or not isinstance(template.get("tags"), Mapping):
            return template
        tags = {n: {"source": "", **t} if isinstance(t, Mapping) else t for n, t in template["tags"].items()}
        return {**template, "tags": tags}

    return {name: filled(template) for name, template in templates.items()}


@dataclass(slots=True)
class _Files:
    """Tag lists, each read once."""

    document: Document
    mistakes: list[Mistake]
    _read: dict[tuple[Path, bool], list[ListedTag] | None] = field(default_factory=dict)

    def tags(self, name: str, at: Location, *, with_machine: bool = False) -> list[ListedTag] | None:
        """The list's tags; None when it cannot be read. `at` is the place that names it."""
        file = self.document.path.parent / name
        if not file.is_file():
            self.mistakes.append(self.document.mistake(at, f"there is no file {file}.", _file_there(file)))
            return None
        key = (file, with_machine)
        if key not in self._read:
            rows = read_rows(file, self.mistakes)
            self._read[key] = None if rows is None else read_tags(file, rows, self.mistakes, with_machine=with_machine)
        return self._read[key]


def _file_there(file: Path) -> str:
    there = [path.name for path in sorted(file.parent.glob("*")) if path.suffix.lower() in (".csv", ".xlsx")]
    close = get_close_matches(file.name, there, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else "Give its path relative to plant.yaml."


def _shared_lists(
    lists: object, machines: Mapping[Any, object], files: _Files, expanded: Expanded
) -> dict[str, list[ListedTag]]:
    """The tags of the lists for many machines, by machine."""
    found: dict[str, list[ListedTag]] = {}
    for index, name in enumerate(lists if isinstance(lists, list) else []):
        tags = files.tags(str(name), ("tag_lists", index), with_machine=True)
        if tags is None:
            expanded.incomplete |= {str(machine) for machine in machines}
        for tag in tags or ():
            if tag.machine in machines:
                found.setdefault(str(tag.machine), []).append(tag)
                continue
            close = get_close_matches(str(tag.machine), map(str, machines), n=1, cutoff=0.5)
            right = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(map(str, machines))}."
            expanded.mistakes.append(tag.origin.mistake(("machine",), f"there is no machine “{tag.machine}”.", right))
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """Raw fields of a tag, and where they were written."""

    fields: Mapping[str, object]
    origin: Origin | None  # None: under the machine itself


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a piece that stands elsewhere as a whole."""

    whole: Origin
    name: str

    def mistake(self, rest: Location, wrong: str, right: str) -> Mistake:
        return self.whole.mistake((self.name, *rest), wrong, right)


@dataclass(frozen=True, slots=True)
class _Machine:
    """Resolves one machine."""

    id: str
    templates: Mapping[Any, object]
    files: _Files
    expanded: Expanded
    check: Check

    @property
    def _at(self) -> Location:
        return ("machines", self.id)

    @property
    def _document(self) -> Document:
        return self.files.document

    def expand(self, raw: Mapping[Any, object], shared: list[ListedTag]) -> dict[Any, object]:
        written = {key: raw[key] for key in MachineTags.model_fields if key in raw}
        machine = {key: value for key, value in raw.items() if key not in written}
        wrong = list(self.check(_MACHINE_TAGS, written, self._at, self._document))
        own = machine.get("tags", {})
        if wrong or not isinstance(own, Mapping):
            self.expanded.mistakes += wrong
            self.expanded.incomplete.add(self.id)
            return machine
        tags = {name: _Piece(fields, None) if isinstance(fields, Mapping) else None for name, fields in own.items()}
        self._add_listed(tags, written.get("tag_list"), shared)
        below, template_at = self._template(written, machine)
        merged = self._merge(own, tags, below, self._defaults(written))
        if merged or "tags" in machine or template_at or "tag_list" in written:
            machine["tags"] = merged
        return machine

    def _add_listed(self, tags: dict[Any, _Piece | None], name: object, shared: list[ListedTag]) -> None:
        for tag in [*self._listed(name, (*self._at, "tag_list")), *shared]:
            if tag.name in tags:
                wrong = f"{self.id} has a tag “{tag.name}” elsewhere already: under tags: or in another list."
                self.expanded.mistakes.append(tag.origin.mistake(("name",), wrong, "Remove one of them."))
            else:
                tags[tag.name] = _Piece(tag.fields, tag.origin)

    def _listed(self, name: object, at: Location) -> list[ListedTag]:
        found = self.files.tags(name, at) if isinstance(name, str) else []
        if found is None:
            self.expanded.incomplete.add(self.id)
        return found or []

    # Templates

    def _template(self, written: Mapping[str, object], machine: dict[Any, object]) -> tuple[dict[Any, _Piece], bool]:
        """The template's tags, moved to where this machine has them; what it shares goes into the machine."""
        name = written.get("template")
        if name is None:
            return {}, False
        template, at = self.templates.get(name), ("templates", str(name))
        if name not in self.templates:
            close = get_close_matches(str(name), map(str, self.templates), n=1, cutoff=0.5)
            right = f"Did you mean {close[0]}?" if close else "Write it under templates: first."
            self._tell((*self._at, "template"), f"there is no template “{name}”.", right)
        if not isinstance(template, Mapping):
            self.expanded.incomplete.add(self.id)
            return {}, True
        for key in _SHARED:
            if key in template and key not in machine:
                machine[key] = template[key]
                self._document.origins[(*self._at, key)] = WrittenAt(self._document, (*at, key))
        raw = template.get("tags")
        pieces = {
            tag: _Piece(fields, WrittenAt(self._document, (*at, "tags", tag)))
            for tag, fields in (raw.items() if isinstance(raw, Mapping) else ())
            if isinstance(fields, Mapping)
        }
        for listed in self._listed(template.get("tag_list"), (*at, "tag_list")):
            if listed.name in pieces:
                wrong = f"the template {name} has a tag “{listed.name}” under tags: already."
                self.expanded.mistakes.append(listed.origin.mistake(("name",), wrong, "Remove one of them."))
            pieces.setdefault(listed.name, _Piece(listed.fields, listed.origin))
        return {tag: self._moved(tag, piece, written) for tag, piece in pieces.items()}, True

    def _moved(self, tag: str, piece: _Piece, written: Mapping[str, object]) -> _Piece:
        fields = dict(piece.fields)
        offset, prefix = written.get("address_offset", 0), written.get("topic_prefix")
        if isinstance(offset, int) and offset and isinstance(address := fields.get("address"), (str, int)):
            try:
                table, at = parse_address(address)
            except ValueError:
                return piece  # told where the template is checked
            if not 0 <= at + offset <= 0xFFFF:
                wrong = f"with {offset} the address of “{tag}” ({address}) is outside 0 … 65535."
                self._tell((*self._at, "address_offset"), wrong, "Give the difference to the template's addresses.")
                return piece
            fields["address"] = f"{table.value}:{at + offset}"
        if prefix is not None and isinstance(topic := fields.get("topic"), str):
            fields["topic"] = f"{prefix}/{topic}"
        return _Piece(fields, piece.origin)

    # All together

    def _defaults(self, written: Mapping[str, object]) -> dict[str, tuple[object, Location]]:
        """Fields that tags get when they have none of their own, each with its place."""
        given = written.get("tag_defaults")
        defaults = {
            str(name): (value, (*self._at, "tag_defaults", name))
            for name, value in (given.items() if isinstance(given, Mapping) else ())
        }
        for name in defaults.keys() - TagFields.model_fields.keys():
            _, at = defaults.pop(name)
            close = get_close_matches(name, TagFields.model_fields, n=1, cutoff=0.6)
            self._tell(at, f"“{name}” is not a field of a tag.", f"Did you mean {close[0]}?" if close else "Remove it.")
        if written.get("source") is not None:
            defaults["source"] = (written["source"], (*self._at, "source"))
        return defaults

    def _merge(
        self,
        own: Mapping[Any, object],
        tags: Mapping[Any, _Piece | None],
        below: Mapping[Any, _Piece],
        defaults: Mapping[str, tuple[object, Location]],
    ) -> dict[Any, object]:
        """Own tags over the template's, field by field, over the defaults; in the order template, own, lists."""
        merged: dict[Any, object] = {}
        for name in dict.fromkeys([*below, *tags]):
            top, base = tags.get(name), below.get(name)
            if name in tags and top is None:  # not a section: the model says so
                merged[name] = own[name]
                continue
            fields: dict[str, object] = {}
            for piece in (base, top):
                if piece is not None:
                    fields |= piece.fields
                    self._remember(name, piece, is_whole=piece is (top or base))
            for key, (value, at) in defaults.items():
                if key not in fields:
                    fields[key] = value
                    self._document.origins[(*self._at, "tags", name, key)] = WrittenAt(self._document, at)
            merged[name] = fields
        return merged

    def _remember(self, name: str, piece: _Piece, *, is_whole: bool) -> None:
        """Where the tag, or those of its fields that nothing above replaces, was written."""
        at = (*self._at, "tags", name)
        if is_whole:
            for key in piece.fields:
                self._document.origins.pop((*at, key), None)
            if piece.origin is not None:
                self._document.origins[at] = piece.origin
        elif piece.origin is not None:
            self._document.origins.update({(*at, key): _Field(piece.origin, key) for key in piece.fields})

    def _tell(self, at: Location, wrong: str, right: str) -> None:
        self.expanded.mistakes.append(self._document.mistake(at, wrong, right))
