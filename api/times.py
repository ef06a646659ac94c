"""Times and windows in query parameters: ISO 8601 with an offset in, UTC with milliseconds out."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Query, Request

from api.problems import ParameterError
from plant.clock import DAY, HOUR, Window, iso, parse_iso
from plant.errors import UserInputError
from plant.plant import Plant

_LONGEST = 3660 * DAY
# A client that does not escape the + of an offset sends a space in its place.
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=\d\d(:?\d\d)?$)")
_INT64_END = 2**63


def plant_of(request: Request) -> Plant:
    plant = request.app.state.plant
    assert isinstance(plant, Plant)
    return plant


PlantHere = Annotated[Plant, Depends(plant_of)]

_FORM = "ISO 8601 with offset, such as 2026-05-03T14:05:00+02:00 or 2026-05-03T12:05:00Z."


def window_asked(
    plant: PlantHere,
    start: Annotated[
        str | None,
        Query(
            alias="from",
            description=f"Start of the window, included. {_FORM} "
            "Default: start of the shift that is on at `to` (else of the latest one, else 8 hours before).",
            examples=["2026-05-03T06:00:00+02:00"],
        ),
    ] = None,
    end: Annotated[
        str | None,
        Query(
            alias="to",
            description=f"End of the window, not included. {_FORM} "
            "Default: now, or the end of the shift if that has passed.",
            examples=["2026-05-03T14:00:00+02:00"],
        ),
    ] = None,
) -> Window:
    """The window of the request; default: the current shift so far, else the latest one."""
    start_ns = None if start is None else _moment("from", start)
    end_ns = plant.clock() if end is None else _moment("to", end)
    if start_ns is None:
        shift = plant.calendar.latest(end_ns)
        if shift is None or shift.window.start_ns >= end_ns:
            start_ns = end_ns - 8 * HOUR
        else:
            start_ns = shift.window.start_ns
            if end is None:
                end_ns = min(end_ns, shift.window.end_ns)
    if start_ns >= end_ns:
        raise ParameterError(
            "from",
            f"The window starts ({iso(start_ns)}) at or after its end ({iso(end_ns)}).",
            next_step="Give a from that is earlier than to (to is now where it is left out).",
        )
    if end_ns - start_ns > _LONGEST:
        raise ParameterError("from", "The window is longer than ten years.", next_step="Ask for a shorter one.")
    return Window(start_ns, end_ns)


WindowAsked = Annotated[Window, Depends(window_asked)]


def _moment(field: str, text: str) -> int:
    """Nanoseconds of a parameter."""
    try:
        time_ns = parse_iso(_with_plus(text))
    except UserInputError as error:
        raise ParameterError(field, str(error), next_step=error.next_step) from None
    if not 0 <= time_ns < _INT64_END:
        raise ParameterError(field, f"The time {text} is outside 1970 … 2262.", next_step="Check the year.")
    return time_ns


def _with_plus(text: str) -> str:
    """A lost + put back.

    >>> _with_plus("2026-05-03T14:05:00 02:00"), _with_plus("2026-05-03 14:05:00Z"), _with_plus("2026-05-03 14:05")
    ('2026-05-03T14:05:00+02:00', '2026-05-03 14:05:00Z', '2026-05-03 14:05')
    """
    text = text.strip()
    return _LOST_PLUS.sub("+", text) if re.search(r"[T ]\d\d(:?\d\d)*(\.\d+)? \d\d(:?\d\d)?$", text) else text
