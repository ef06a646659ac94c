"""The truth ledger: what really happened on the shop floor. Never among the tags; tests compare results with it.

Append-only; in memory and, with a path, one JSON line per entry. All times UTC nanoseconds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, TextIO

from plant.clock import SECOND, Window
from plant.errors import ResourceError
from plant.states import State


@dataclass(frozen=True, slots=True)
class StateChange:
    """From `time_ns` on the machine was in this state, for this cause, until its next change."""

    kind: ClassVar[str] = "state"
    machine: str
    time_ns: int
    state: State
    cause: str


@dataclass(frozen=True, slots=True)
class PartMade:
    """A part left the machine; `reason` says why it is a reject, empty for a good one."""

    kind: ClassVar[str] = "part"
    machine: str
    time_ns: int
    good: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EnergyUsed:
    """Electric energy drawn from `start_ns` to `time_ns` (a quarter of an hour, or less at a start)."""

    kind: ClassVar[str] = "energy"
    machine: str
    time_ns: int
    start_ns: int
    kwh: float


Entry = StateChange | PartMade | EnergyUsed
_ENTRIES: Mapping[str, type[Entry]] = {t.kind: t for t in (StateChange, PartMade, EnergyUsed)}


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts made in a window."""

    total: int
    good: int

    @property
    def scrap(self) -> int:
        return self.total - self.good


@dataclass(slots=True)
class TruthLedger:
    """All entries in the order of each machine's time. `open` keeps a file in step with it."""

    entries: list[Entry] = field(default_factory=list)
    _file: TextIO | None = None

    @classmethod
    def open(cls, path: Path) -> TruthLedger:
        """The ledger of a file, which is created where missing and appended to from now on."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            entries = list(_read(path))
            file = path.open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise ResourceError(
                f"The truth ledger {path} cannot be written: {error.strerror}.",
                next_step="Give a state folder that you may write to.",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ResourceError(
                f"The truth ledger {path} is damaged: {error}.", next_step="Delete it to start with an empty one."
            ) from None
        return cls(entries, file)

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(_line(entry))

    def forget_after(self, machine: str, time_ns: int) -> None:
        """Drop what a machine wrote later than its snapshot: it will live through that time again."""
        kept = [e for e in self.entries if e.machine != machine or e.time_ns <= time_ns]
        if len(kept) == len(self.entries):
            return
        self.entries = kept
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.writelines(map(_line, kept))
            self._file.flush()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def states(self, machine: str, window: Window) -> Iterator[tuple[Window, State, str]]:
        """Stretches of one state and cause that tile the window from the machine's first entry on."""
        changes = [e for e in self.entries if isinstance(e, StateChange) and e.machine == machine]
        ends = [later.time_ns for later in changes[1:]] + [window.end_ns]
        for change, end_ns in zip(changes, ends, strict=True):
            start, end = max(change.time_ns, window.start_ns), min(end_ns, window.end_ns)
            if end > start:
                yield Window(start, end), change.state, change.cause

    def state_seconds(self, machine: str, window: Window) -> dict[State, float]:
        """Seconds in each state; together the whole window where the machine was there all the time."""
        spent: Counter[State] = Counter()
        for stretch, state, _ in self.states(machine, window):
            spent[state] += stretch.length_ns
        return {state: ns / SECOND for state, ns in spent.items()}

    def parts(self, machine: str, window: Window) -> Parts:
        made = [
            e.good
            for e in self.entries
            if isinstance(e, PartMade) and e.machine == machine and window.start_ns <= e.time_ns < window.end_ns
        ]
        return Parts(total=len(made), good=sum(made))

    def energy_kwh(self, machine: str, window: Window) -> float:
        """Energy in the window; an entry that reaches over its edge counts by its share of time."""
        total = 0.0
        for e in self.entries:
            if isinstance(e, EnergyUsed) and e.machine == machine and e.time_ns > e.start_ns:
                inside = min(e.time_ns, window.end_ns) - max(e.start_ns, window.start_ns)
                total += e.kwh * max(inside, 0) / (e.time_ns - e.start_ns)
        return total


def _line(entry: Entry) -> str:
    return json.dumps({"kind": entry.kind, **asdict(entry)}, ensure_ascii=False) + "\n"


def _read(path: Path) -> Iterator[Entry]:
    """Entries of a file; a last line that a crash cut short is left out (and cut off)."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8", newline="\n")
    for line in whole.splitlines():
        fields = json.loads(line)
        kind = _ENTRIES[fields.pop("kind")]
        if kind is StateChange:
            fields["state"] = State(fields["state"])
        yield kind(**fields)
