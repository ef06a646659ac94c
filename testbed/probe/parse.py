"""What stands on the command line of a probe: places, ranges, choices. Each mistake names the right form."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from gateway.probe.hints import Listed
from gateway.probe.ranges import Span
from gateway.probe.readings import new_tag
from plant.errors import UserInputError
from plant.tags import DataType, Table, Tag, parse_address

_LAST = 0xFFFF


def endpoint(text: str, port: int) -> tuple[str, int]:
    """Host and port of HOST, HOST:PORT, an IPv6 address, or [IPv6]:PORT.

    >>> endpoint("plc", 502), endpoint("10.0.0.7:1502", 502), endpoint("[::1]:1502", 502), endpoint("::1", 502)
    (('plc', 502), ('10.0.0.7', 1502), ('::1', 1502), ('::1', 502))
    """
    host, written = text, ""
    if text.startswith("["):
        host, _, written = text[1:].partition("]")
        written = written.removeprefix(":")
    elif text.count(":") == 1:
        host, _, written = text.partition(":")
    if written and not (written.isdecimal() and 1 <= int(written) <= _LAST):
        raise UserInputError(f"“{written}” is not a port.", next_step="Write HOST:PORT, such as 192.168.0.10:502.")
    if not host:
        raise UserInputError("There is no host.", next_step="Write HOST or HOST:PORT, such as 192.168.0.10:502.")
    return host, int(written) if written else port


def span(text: str, option: str, last: int = _LAST) -> Span:
    """0-200 as a span that includes both ends; a single number is a span of one.

    >>> span("0-200", "--range"), span("7", "--unit")
    (Span(start=0, end=201), Span(start=7, end=8))
    """
    first, dash, second = text.partition("-")
    low, high = first.strip(), second.strip() if dash else first.strip()
    if not (low.isdecimal() and high.isdecimal() and int(low) <= int(high) <= last):
        raise UserInputError(
            f"“{text}” is not a range for {option}.",
            next_step=f"Write the first and the last number, both within 0 … {last}, such as {option} 0-99.",
        )
    return Span(int(low), int(high) + 1)


def tables(text: str) -> tuple[Table, ...]:
    """The tables of a name; `all` are the four."""
    return (Table.HOLDING, Table.INPUT, Table.COIL, Table.DISCRETE) if text == "all" else (Table(text),)


def listed(text: str) -> Listed:
    """An address as the device's list has it."""
    try:
        return Listed.parse(text.strip())
    except ValueError as error:
        raise UserInputError(f"{error}.", next_step="Or write the bare number of the list, such as 13.") from None


def choice(text: str) -> Tag:
    """A tag of ADDRESS,TYPE[,ORDER[,SCALE]].

    >>> choice("input:12,float32,CDAB").order.value
    'CDAB'
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        table, address = parse_address(parts[0])
        return new_tag(table, address, DataType(parts[1]), **_optional(parts[2:]))
    except (ValueError, IndexError, ValidationError):
        raise UserInputError(
            f"“{text}” is not a choice.",
            next_step="Write ADDRESS,TYPE[,ORDER[,SCALE]], such as input:12,float32,CDAB or 30010,int16,ABCD,0.1.",
        ) from None


def _optional(parts: Sequence[str]) -> dict[str, str]:
    return dict(zip(("order", "scale"), parts, strict=False))
