"""Tag lists on disk: CSV as Excel writes it in any country, and XLSX (openpyxl)."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import BadZipFile

from plant.errors import Mistake, UserInputError
from plant.tag_list import NAME, Cell, Row
from plant.tags import TagFields

_MAX_ROWS = 100_000
_SEPARATORS = ";,\t"
_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's own way of naming the separator, as a first line


def read_rows(file: Path, mistakes: list[Mistake]) -> list[Row] | None:
    """Every row of the list; None when it cannot be read, for a reason in `mistakes`."""
    read: dict[str, Callable[[Path], Iterator[Row]]] = {".csv": _csv_rows, ".txt": _csv_rows, ".xlsx": _xlsx_rows}
    kind = file.suffix.lower()
    if kind not in read:
        mistakes.append(
            Mistake(file, None, "file", f"“{kind or file.name}” is no tag list.", "Save it as CSV or XLSX.")
        )
        return None
    rows: list[Row] = []
    try:
        for row in read[kind](file):
            if len(rows) >= _MAX_ROWS:
                wrong = f"the list has more than {_MAX_ROWS:,} rows."
                mistakes.append(Mistake(file, row.line, f"row {row.number}", wrong, "Give each machine its own list."))
                return None
            rows.append(row)
    except (UserInputError, OSError, csv.Error, UnicodeDecodeError) as error:
        mistakes.append(Mistake(file, None, "file", f"the list cannot be read: {error}", "Save it again from Excel."))
        return None
    return rows


def write_table(file: Path, table: Sequence[Sequence[Cell]]) -> None:
    """Writes a list. CSV as a Swedish Excel opens it: semicolons, decimal commas, UTF-8 with its mark.

    Raises UserInputError for another kind of file, or a place that cannot be written to.
    """
    write: dict[str, Callable[[Path, Sequence[Sequence[Cell]]], None]] = {".csv": _write_csv, ".xlsx": _write_xlsx}
    if file.suffix.lower() not in write:
        raise UserInputError(f"{file} is neither .csv nor .xlsx.", next_step="Name it tags.csv or tags.xlsx.")
    try:
        write[file.suffix.lower()](file, table)
    except OSError as error:
        raise UserInputError(f"{file} cannot be written: {error}.", next_step="Choose another place with -o.") from None


# CSV


def _csv_rows(file: Path) -> Iterator[Row]:
    text = _decoded(file.read_bytes())
    lines = text.splitlines(keepends=True)
    hint = _HINT.fullmatch(lines[0]) if lines else None
    separator = hint.group(1) if hint else _separator(next((line for line in lines if line.strip()), ""))
    if hint:
        lines[0] = "\n"
    reader = csv.reader(io.StringIO("".join(lines), newline=""), delimiter=separator, strict=True)
    line = 1
    for number, cells in enumerate(reader, start=1):
        yield Row(number, line, tuple(cells))
        line = reader.line_num + 1


def _decoded(data: bytes) -> str:
    """UTF-8, “Unicode text” (UTF-16 with its mark), or what Excel calls ANSI in the west of Europe."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _separator(header: str) -> str:
    """The one that splits the header into most known names."""
    known = {NAME, *TagFields.model_fields}

    def names(separator: str) -> int:
        return sum(cell.strip().strip('"').lower() in known for cell in header.split(separator))

    return max(_SEPARATORS, key=lambda separator: (names(separator), header.count(separator)))


def _write_csv(file: Path, table: Sequence[Sequence[Cell]]) -> None:
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows([[_csv_cell(cell) for cell in row] for row in table])


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and not isinstance(cell, bool):
        return (str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)).replace(".", ",")
    return str(cell)


# XLSX


def _xlsx_rows(file: Path) -> Iterator[Row]:
    """The first sheet. A formula counts as the value that Excel saved for it."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with file.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Excel stores beside the cells and openpyxl leaves out
            workbook = load_workbook(stream, read_only=True, data_only=True)
            try:
                for number, cells in enumerate(workbook.worksheets[0].iter_rows(values_only=True), start=1):
                    yield Row(number, number, tuple(_xlsx_cell(cell) for cell in cells))
            finally:
                workbook.close()
    # What openpyxl raises for a file that is no workbook, besides OSError.
    except (BadZipFile, InvalidFileException, KeyError, ValueError, IndexError, TypeError, SyntaxError) as error:
        raise UserInputError(f"it is not an XLSX workbook ({error})") from None


def _xlsx_cell(cell: object) -> Cell:
    return cell if cell is None or isinstance(cell, (str, int, float, bool)) else str(cell)


def _write_xlsx(file: Path, table: Sequence[Sequence[Cell]]) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils.exceptions import IllegalCharacterError

    workbook = Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = "Tags"
    sheet.freeze_panes = "A2"
    try:
        for number, row in enumerate(table, start=1):
            for index, value in enumerate(row, start=1):
                kept = value if _is_exact(value) else repr(value)
                cell = sheet.cell(number, index, kept)
                if isinstance(kept, str):
                    cell.data_type = "s"  # a text that begins with = is not a formula
                if number == 1:
                    cell.font = Font(bold=True)
    except IllegalCharacterError as error:
        raise UserInputError(
            f"{file} cannot hold the text {error}.", next_step="Remove the control character from plant.yaml."
        ) from None
    workbook.save(file)


def _is_exact(value: Cell) -> bool:
    """A workbook's numbers have 15 digits; what has more is written as a text, and read as a number again."""
    return not isinstance(value, float) or float(f"{value:.15g}") == value
