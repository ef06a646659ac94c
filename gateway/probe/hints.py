"""Sentences about addresses and texts that the numbers give away (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plant.tags import Table, Tag, parse_address

_MODICON = {Table.COIL: 0, Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}


def one_based(table: Table, address: int) -> str:
    """The Modicon form, as most lists of manufacturers write it.

    >>> one_based(Table.HOLDING, 0), one_based(Table.INPUT, 12), one_based(Table.HOLDING, 12000)
    ('40001', '30013', '412001')
    """
    digits = 4 if address < 9_999 else 5 if address < 99_999 else 6
    return f"{_MODICON[table]}{address + 1:0{digits}d}"


@dataclass(frozen=True, slots=True)
class Listed:
    """An address as the device's list has it. `number` as written: of a Modicon form without its first digit."""

    written: str
    table: Table | None
    number: int

    @classmethod
    def parse(cls, text: str) -> Listed:
        """A bare number of the list (table unknown), or a form that plant.yaml takes. Raises ValueError.

        >>> Listed.parse("13"), Listed.parse("30013").number, Listed.parse("input:13").number
        (Listed(written='13', table=None, number=13), 13, 13)
        """
        if text.isdecimal() and len(text) < 5:
            return cls(text, None, int(text))
        table, address = parse_address(text)
        return cls(text, table, address + text.isdecimal())

    def distance(self, tag: Tag) -> int | None:
        """The tag's address on the wire less the number of the list; None in another table."""
        table, address = tag.modbus_address
        return address - self.number if self.table in (None, table) else None


_MODICON_DIGITS = 5


def base_hint(listed: Listed, tags: Sequence[Tag]) -> str:
    """Whether the list counts from 0 or from 1, told by where the best candidates stand (best first)."""
    for tag in tags:
        if (distance := listed.distance(tag)) in (-1, 0, 1):
            return f"Your list says {listed.written}; it stands at {tag.address}: {_meaning(listed, distance)}"
    return f"No candidate stands at {listed.written} or beside it: is it the right table, unit and value?"


def _meaning(listed: Listed, distance: int | None) -> str:
    """plant.yaml takes a form such as 40012 to count from 1, and holding:12 to count from 0."""
    modicon = listed.written.isdecimal() and len(listed.written) >= _MODICON_DIGITS
    if distance == -1:
        then = "Write its numbers as they are" if modicon else "Subtract 1 from its numbers"
        return f"the list counts from 1. {then}."
    if distance == 0:
        return f"the list counts from 0. {'Add 1 to its numbers' if modicon else 'Write its numbers as they are'}."
    return f"the list is one lower than the device. Add {2 if modicon else 1} to its numbers."


def texts(registers: Sequence[int], shortest: int = 4) -> Iterator[tuple[int, str]]:
    """Runs of printable characters: index of the first register, and the text.

    >>> list(texts([7, 0x4F31, 0x3233, 0x3400, 9]))
    [(1, 'O1234')]
    """
    run, at = "", 0
    for index, register in enumerate([*registers, 0]):
        pair = register.to_bytes(2, "big")
        whole = all(32 <= byte < 127 for byte in pair)
        if not run:
            at = index
        if whole:
            run += pair.decode("ascii")
            continue
        if run and 32 <= pair[0] < 127 and pair[1] == 0:
            run += chr(pair[0])
        if len(run.strip()) >= shortest:
            yield at, run.strip()
        run = ""
