"""Runs a machine to a moment and says what leaves it on the way: the same for the live floor and for history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plant.clock import SECOND
from simulators.machines.base import Group, Machine, Value


@dataclass(frozen=True, slots=True)
class Emission:
    """The signals of one group at the moment at which they left the machine; values in the group's order."""

    time_ns: int
    group: Group
    values: tuple[Value, ...]


class Feed:
    """Stops at every event and at every due time of a group. `least_s`: no group repeats itself more often."""

    def __init__(self, machine: Machine, least_s: float = 0.0) -> None:
        self.machine = machine
        self._period_ns = [
            None if group.every_s is None else round(max(group.every_s, least_s) * SECOND) for group in machine.groups
        ]
        self._due_ns = [machine.now_ns if period else None for period in self._period_ns]
        self._marks = machine.marks()

    def run_to(self, until_ns: int) -> Iterator[Emission]:
        """Live up to a moment (included); emissions in the order of time."""
        machine = self.machine
        yield from self._emissions()
        while machine.now_ns < until_ns:
            due = min((due for due in self._due_ns if due is not None), default=until_ns)
            machine.advance(min(until_ns, due, machine.next_event_ns()))
            yield from self._emissions()

    def _emissions(self) -> Iterator[Emission]:
        machine, now = self.machine, self.machine.now_ns
        changes, parts = machine.marks()
        new_state, new_part = changes != self._marks[0], parts != self._marks[1]
        self._marks = (changes, parts)
        values = None
        for index, group in enumerate(machine.groups):
            due = self._due_ns[index]
            is_due = due is not None and due <= now
            if is_due or (new_state and group.on_state) or (new_part and group.on_part):
                values = values or machine.measure()
                period = self._period_ns[index]
                if is_due and period is not None:
                    self._due_ns[index] = (now // period + 1) * period
                yield Emission(now, group, tuple(values[name] for name in group.signals))
