"""Sentences about addresses and texts that the numbers give away (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plant.tags import Table, parse_address

_MODICON = {Table.COIL: 0, Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}


def one_based(table: Table, address: int) -> str:
    """The Modicon form, as most lists of manufacturers write it.

    >>> one_based(Table.HOLDING, 0), one_based(Table.INPUT, 12), one_based(Table.HOLDING, 12000)
    ('40001', '30013', '412001')
    """
    digits = 4 if address < 9_999 else 5 if address < 99_999 else 6
    return f"{_MODICON[table]}{address + 1:0{digits}d}"


def parse_listed(text: str) -> tuple[Table | None, int]:
    """What stands in the device's list: a bare number (table unknown), or any form that plant.yaml takes.

    Raises ValueError.

    >>> parse_listed("13"), parse_listed("input:12") == parse_listed("30013")
    ((None, 13), True)
    """
    if text.isdecimal() and len(text) < 5:
        return None, int(text)
    return parse_address(text)


def base_hint(listed: int, found: Sequence[int]) -> str:
    """Whether the list counts from 0 or from 1, told by where the best candidates stand (best first).

    >>> base_hint(13, [12])
    'It stands at 12, one below the 13 of your list: the list counts from 1. Subtract 1 from every address of it.'
    >>> base_hint(12, [12])
    'It stands where your list says: the list counts from 0, write its addresses as they are.'
    """
    for at in found:
        if at == listed:
            return "It stands where your list says: the list counts from 0, write its addresses as they are."
        if at == listed - 1:
            return (
                f"It stands at {at}, one below the {listed} of your list: the list counts from 1. "
                "Subtract 1 from every address of it."
            )
        if at == listed + 1:
            return f"It stands at {at}, one above the {listed} of your list: add 1 to every address of it."
    return f"None of the best candidates stands at {listed} or beside it: is it the right table, unit and value?"


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
