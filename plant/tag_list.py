"""Tag lists: a table with one row per tag and one column per field, as engineers keep them in Excel.

The columns are those of `TagFields` and `name`; a label has one column per language (`label_en`, `label_sv`), an
enumeration is written `0=off;1=idle`. This module is pure: it reads and makes tables of cells, whatever the file.
What it reads is as raw as plant.yaml: the models decide whether a value is right.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from plant.config_document import Location
from plant.errors import Mistake
from plant.tags import Tag, TagFields

Cell = str | float | int | bool | None

NAME, MACHINE = "name", "machine"
_LABEL = "label_"
_REMARK = "#"
_NUMBER = re.compile(r"[+-]?\d[\d\s]*([.,]\d+)?([eE][+-]?\d+)?")
_WHOLE = re.compile(r"([+-]?\d+)[.,]0+")
_NEXT_PAIR = re.compile(r",\s*-?\d+\s*=")
_PAIR = re.compile(r"(?:\\.|[^;\n\\]|\\$)+")  # up to a semicolon or line end that no backslash protects


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file. `number` is Excel's; `line` is that of the text file."""

    number: int
    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """A tag's row: turns a field into a cell's address, such as `row 7, column D (address)`."""

    file: Path
    row: Row
    columns: Mapping[str, int]

    def mistake(self, rest: Location, wrong: str, right: str) -> Mistake:
        return Mistake(self.file, self.row.line, self._place(rest, wrong, right), wrong, right)

    def _place(self, rest: Location, wrong: str, right: str) -> str:
        return place(self.row.number, self._column(rest) or self._told(wrong, right), self.columns)

    def _column(self, rest: Location) -> str | None:
        if not rest:
            return None
        return NAME if rest[0] == "[key]" else next((c for c in _columns_of(rest) if c in self.columns), str(rest[0]))

    @staticmethod
    def _told(wrong: str, right: str) -> str | None:
        """A mistake of several fields together names the one to correct: “add length: 8”, “low (3) is above …”."""
        advised = (word for text in (right, wrong) for word in re.findall(r"\b([a-z_]+): ", text))
        mentioned = re.findall(r"\b[a-z_]+\b", wrong)
        return next((word for word in (*advised, *mentioned) if word in TagFields.model_fields), None)


def _columns_of(rest: Location) -> Iterator[str]:
    if len(rest) > 1:
        yield f"{rest[0]}_{rest[1]}"
    yield str(rest[0])


def place(row: int, column: str | None, columns: Mapping[str, int]) -> str:
    """A cell in words. A column that the file does not have is named without a letter.

    >>> place(7, "address", {"name": 0, "address": 3}), place(7, "bit", {}), place(7, None, {})
    ('row 7, column D (address)', 'row 7, column bit', 'row 7')
    """
    if column is None:
        return f"row {row}"
    return f"row {row}, column {_letters(columns[column])} ({column})" if column in columns else (
        f"row {row}, column {column}"
    )  # fmt: skip


def _letters(index: int) -> str:
    """Excel's name of a column.

    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


@dataclass(frozen=True, slots=True)
class ListedTag:
    """One row's tag: raw fields as plant.yaml would hold them. `machine` only where the list has that column."""

    machine: str | None
    name: str
    fields: dict[str, object]
    origin: RowOrigin


def read_tags(
    file: Path, rows: Sequence[Row], mistakes: list[Mistake], *, with_machine: bool = False
) -> list[ListedTag]:
    """The tags of a table whose first row holds the names of the columns; what is wrong goes to `mistakes`."""
    rows = [row for row in rows if any(cell not in (None, "") for cell in row.cells)]
    if not rows:
        mistakes.append(Mistake(file, 1, "row 1", "the tag list is empty.", "Begin with a row of column names: name …"))
        return []
    header, *body = rows
    columns = _read_header(file, header, mistakes, with_machine=with_machine)
    reader = _Reader(file, columns, len(header.cells), mistakes)
    found = [
        tag for row in body if not _is_remark(row, columns) and (tag := reader.read(row, with_machine=with_machine))
    ]
    return list(_without_twins(found, mistakes))


def _is_remark(row: Row, columns: Mapping[str, int]) -> bool:
    """A row is a remark when # stands in place of the name, or first in a row without a name."""
    name = _cell(row, columns.get(NAME, 0))
    told = name if name not in (None, "") else _cell(row, 0)
    return isinstance(told, str) and told.startswith(_REMARK)


def _cell(row: Row, index: int) -> Cell:
    return _clean(row.cells[index]) if index < len(row.cells) else None


def _read_header(file: Path, row: Row, mistakes: list[Mistake], *, with_machine: bool) -> dict[str, int]:
    """Column names with their positions."""
    known = [NAME, *([MACHINE] if with_machine else []), *TagFields.model_fields]
    columns: dict[str, int] = {}
    for index, cell in enumerate(row.cells):
        name = re.sub(r"[\s-]+", "_", str(cell or "").strip().lower())
        if not name or name.startswith(_REMARK):
            continue
        where = f"row {row.number}, column {_letters(index)}"
        if name in columns:
            mistakes.append(Mistake(file, row.line, where, f"the column “{name}” stands twice.", "Remove one."))
        elif not (name in known and name != "label") and not re.fullmatch(_LABEL + r"[a-z]{2,3}", name):
            mistakes.append(Mistake(file, row.line, where, f"“{cell}” is not a column.", _did_you_mean(name, known)))
        else:
            columns[name] = index
    mistakes.extend(
        Mistake(file, row.line, f"row {row.number}", f"there is no column “{needed}”.", f"Add it: {meaning}.")
        for needed, meaning in ((NAME, "the tag's name"), (MACHINE, "the id of the machine"))
        if needed not in columns and (needed == NAME or with_machine)
    )
    return columns


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    choices = [*(k for k in known if k != "label"), "label_en", "label_sv"]
    close = get_close_matches(name, choices, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return "Remove it, or begin its name with # to keep it as a remark; docs/tag-lists.md has the columns."


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one row after the other."""

    file: Path
    columns: Mapping[str, int]
    width: int
    mistakes: list[Mistake]

    def read(self, row: Row, *, with_machine: bool) -> ListedTag | None:
        cells = {name: _cell(row, index) for name, index in self.columns.items()}
        given = {name: cell for name, cell in cells.items() if cell not in (None, "")}
        origin = RowOrigin(self.file, row, self.columns)
        self._tell_surplus(row)
        name, machine = (_as_text(given.pop(column, None)) for column in (NAME, MACHINE))
        missing = [c for c, value in ((NAME, name), (MACHINE, machine)) if value is None and c in self.columns]
        for column in missing:
            self.mistakes.append(origin.mistake((column,), f"the {column} is missing.", "Write it, or empty the row."))
        if name is None or (with_machine and machine is None):
            return None
        return ListedTag(machine, name, self._fields(given, origin), origin)

    def _tell_surplus(self, row: Row) -> None:
        for index, cell in enumerate(row.cells[self.width :], start=self.width):
            if cell not in (None, ""):
                where = f"row {row.number}, column {_letters(index)}"
                wrong = f"“{cell}” stands beside the table: the first row has {self.width} columns."
                right = "A separator too many? Put a text that holds the separator in double quotes."
                self.mistakes.append(Mistake(self.file, row.line, where, wrong, right))

    def _fields(self, given: Mapping[str, Cell], origin: RowOrigin) -> dict[str, object]:
        fields: dict[str, object] = {}
        labels: dict[str, object] = {}
        for column, cell in given.items():
            if column.startswith(_LABEL):
                labels[column.removeprefix(_LABEL)] = _as_text(cell)
                continue
            try:
                fields[column] = _READ[column](cell)
            except ValueError as error:
                wrong, _, right = str(error).partition(";")
                self.mistakes.append(origin.mistake((column,), f"{wrong}.", f"{right.strip()}."))
        return fields | ({"label": labels} if labels else {})


def _without_twins(found: Sequence[ListedTag], mistakes: list[Mistake]) -> Iterator[ListedTag]:
    first: dict[tuple[str | None, str], Row] = {}
    for tag in found:
        before = first.setdefault((tag.machine, tag.name), tag.origin.row)
        if before is tag.origin.row:
            yield tag
        else:
            wrong = f"the tag “{tag.name}” stands in row {before.number} already."
            mistakes.append(tag.origin.mistake((NAME,), wrong, "Give each tag a name of its own."))


# Cells


def _clean(cell: Cell) -> Cell:
    return cell.strip("\ufeff\u200b" + string.whitespace + "\u00a0") if isinstance(cell, str) else cell


def _as_text(cell: Cell) -> str | None:
    """A text, also where Excel made a number of it.

    >>> _as_text(40001.0), _as_text("40001,0"), _as_text("v1.0"), _as_text(2.5), _as_text(True)
    ('40001', '40001', 'v1.0', '2.5', 'true')
    """
    if cell is None:
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, (int, float)):
        return str(int(cell)) if float(cell).is_integer() else repr(cell)
    whole = _WHOLE.fullmatch(cell)
    return whole.group(1) if whole else cell


def _as_plain_text(cell: Cell) -> str | None:
    """As `_as_text`, but a written text stays as it is: a unit may be called 1.0."""
    return cell if isinstance(cell, str) else _as_text(cell)


def _as_address(cell: Cell) -> object:
    """A Modicon address is a number, whatever Excel made of it; one that begins with 0 is a text.

    >>> _as_address("40001.0"), _as_address(40001.0), _as_address("00017"), _as_address("holding:0")
    (40001, 40001, '00017', 'holding:0')
    """
    text = _as_text(cell)
    return int(text) if text is not None and text.isdecimal() and not text.startswith("0") else text


def _as_number(cell: Cell) -> object:
    """A number with decimal point or comma; anything else is left for the model to refuse.

    >>> _as_number("0,1"), _as_number("1 250,5"), _as_number("5.0"), _as_number("fem"), _as_number(2)
    (0.1, 1250.5, 5.0, 'fem', 2)
    """
    if not isinstance(cell, str) or not _NUMBER.fullmatch(cell.strip()):
        return cell
    return float(re.sub(r"\s", "", cell).replace(",", "."))


def _as_whole(cell: Cell) -> object:
    number = _as_number(cell)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _as_flag(cell: Cell) -> object:
    words = {"ja": True, "sant": True, "nej": False, "falskt": False}
    return words.get(cell.lower(), cell) if isinstance(cell, str) else cell


def _as_choices(cell: Cell) -> dict[int, str]:
    r"""The texts of numbers.

    >>> _as_choices("0=off; 1=idle; 2 = a\\;b = c")
    {0: 'off', 1: 'idle', 2: 'a;b = c'}
    """
    right = "write number=text, separated by semicolons, such as 0=off;1=idle"
    choices: dict[int, str] = {}
    for pair in _PAIR.findall(str(cell)):
        if not pair.strip():
            continue
        number, equals, text = pair.partition("=")
        if not equals or not re.fullmatch(r"\s*[+-]?\d+\s*", number) or _NEXT_PAIR.search(text):
            raise ValueError(f"“{pair.strip()}” is not a number with its text; {right}")
        if int(number) in choices:
            raise ValueError(f"the number {int(number)} has two texts; {right}")
        choices[int(number)] = re.sub(r"\\(.)", r"\1", text.strip())
    return choices


def _as_section(cell: Cell) -> object:
    """A field that is a section of its own is written as JSON."""
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except json.JSONDecodeError:
        return cell


def _write_choices(value: Mapping[int, str]) -> str:
    def text(of: str) -> str:
        safe = of.replace("\\", "\\\\").replace(";", "\\;")
        return _NEXT_PAIR.sub(lambda found: "\\" + found.group(), safe)

    return ";".join(f"{number}={text(of)}" for number, of in value.items())


def _plain(value: Any) -> Cell:
    """As a cell: texts as texts, numbers as numbers."""
    return str(value) if isinstance(value, str) else value


def _converters(annotation: Any) -> tuple[Callable[[Cell], object], Callable[[Any], Cell]]:
    """How a field is read from a cell and written to one, by its type in the model."""
    kinds = set(_flat(annotation))
    if any(get_origin(kind) is dict for kind in kinds):
        return _as_choices, _write_choices
    if kinds == {int, str}:
        return _as_address, _plain
    if bool in kinds:
        return _as_flag, _plain
    if float in kinds:
        return _as_number, _plain
    if int in kinds:
        return _as_whole, _plain
    if all(isinstance(kind, type) and issubclass(kind, str) for kind in kinds):
        return _as_plain_text, _plain
    return _as_section, lambda value: json.dumps(value, ensure_ascii=False)


def _flat(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _flat(argument)
    elif annotation is not type(None):
        yield annotation


_FIELDS = {name: _converters(info.annotation) for name, info in TagFields.model_fields.items() if name != "label"}
_READ = {name: read for name, (read, _) in _FIELDS.items()}
_WRITE = {name: write for name, (_, write) in _FIELDS.items()}


# The other way


def table_of(tags: Sequence[Tag], *, with_machine: bool) -> list[list[Cell]]:
    """Header and rows; a column for every field that some tag has, in the order of the model."""
    written = [tag.model_dump(mode="json", exclude_defaults=True) for tag in tags]
    languages = sorted({language for tag in tags for language in tag.label})
    fields = [name for name in _FIELDS if any(name in row for row in written)]
    head = [*([MACHINE] if with_machine else []), NAME]
    table: list[list[Cell]] = [[*head, *fields, *(_LABEL + language for language in languages)]]
    for tag, row in zip(tags, written, strict=True):
        texts: list[Cell] = [tag.label.get(language) for language in languages]
        cells = [_WRITE[name](row[name]) if name in row else None for name in fields]
        table.append([*([tag.machine] if with_machine else []), tag.name, *cells, *texts])
    return table
