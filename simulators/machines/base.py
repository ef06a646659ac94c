"""The machine port: a pure state machine. Time comes in as an argument, chance as a generator; nothing else does.

A machine advances from event to event, so its truth (states, parts) is the same however finely it is stepped.
Add one by copying `retrofit_lathe.py`, the shortest, and entering it in `simulators/floor.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from plant.states import State
from simulators.truth import Entry

Value = float | str
"""A number in engineering units (int where it is a count or a code, bool where it is a bit), or a text."""

Snapshot = dict[str, Any]
"""Everything a machine needs to go on exactly where it was, ready for JSON (with integers beyond 64 bits)."""

BreakEnd = Callable[[int], int | None]
"""When the planned break that is on at a time ends, UTC ns; None outside breaks."""


def no_breaks(_time_ns: int) -> None:
    """For machines without a shift calendar."""


@dataclass(frozen=True, slots=True)
class Group:
    """Signals that leave the machine together (one message), and what makes them leave."""

    name: str
    signals: tuple[str, ...]
    every_s: float | None = None  # None: only on the events below
    on_state: bool = False  # at once when the state or its cause changes
    on_part: bool = False  # at once when a part is done


class Machine(Protocol):
    """A machine on the floor. Times UTC ns; signals in engineering units."""

    id: str
    record: Callable[[Entry], None]  # where its truth goes

    @property
    def now_ns(self) -> int: ...
    @property
    def state(self) -> State: ...
    @property
    def cause(self) -> str: ...
    @property
    def groups(self) -> tuple[Group, ...]: ...

    def step(self, dt_s: float) -> None:
        """Live through so many seconds."""

    def advance(self, to_ns: int) -> None:
        """Live through the time up to a moment; an earlier one changes nothing."""

    def next_event_ns(self) -> int:
        """The earliest moment at which something may happen by itself."""

    def marks(self) -> tuple[int, int]:
        """How often the state changed and how many parts were made: tells that something happened."""

    def measure(self) -> Mapping[str, Value]:
        """All signals now, with fresh measuring noise."""

    def pause_until(self, to_ns: int) -> None:
        """Skip time in which nobody simulated: everything goes on later, the ledger says unknown."""

    def snapshot(self) -> Snapshot:
        """Everything needed to go on."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go on exactly where a snapshot was taken. Raises ValueError when it is not of such a machine."""
