"""The ledger's answers, and its file over a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from plant.clock import SECOND, Window
from plant.errors import ResourceError
from plant.states import State
from simulators.truth import EnergyUsed, Entry, PartMade, StateChange, TruthLedger

ENTRIES: list[Entry] = [
    StateChange("m", 0, State.RUNNING, "production"),
    PartMade("m", 5 * SECOND, good=True),
    StateChange("other", 6 * SECOND, State.OFF, "weekend"),
    StateChange("m", 10 * SECOND, State.FAULT, "jam"),
    EnergyUsed("m", 10 * SECOND, 0, 2.0),
    StateChange("m", 14 * SECOND, State.RUNNING, "production"),
    PartMade("m", 20 * SECOND, good=False, reason="burr"),
]


def written(path: Path) -> list[Entry]:
    ledger = TruthLedger.open(path)
    ledger.close()
    return ledger.entries


def window(start_s: int, end_s: int) -> Window:
    return Window(start_s * SECOND, end_s * SECOND)


@pytest.fixture
def ledger() -> TruthLedger:
    return TruthLedger(list(ENTRIES))


def test_state_seconds_are_cut_to_the_window(ledger: TruthLedger) -> None:
    assert ledger.state_seconds("m", window(4, 20)) == {State.RUNNING: 12, State.FAULT: 4}
    assert [cause for _, _, cause in ledger.states("m", window(0, 12))] == ["production", "jam"]


def test_a_part_at_the_windows_end_belongs_to_the_next(ledger: TruthLedger) -> None:
    before, after = ledger.parts("m", window(0, 20)), ledger.parts("m", window(20, 30))
    assert (before.total, before.good, before.scrap) == (1, 1, 0)
    assert (after.total, after.good, after.scrap) == (1, 0, 1)


def test_energy_counts_by_its_share_of_time(ledger: TruthLedger) -> None:
    assert ledger.energy_kwh("m", window(5, 100)) == pytest.approx(1.0)


def test_a_file_gives_back_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "truth.jsonl"
    ledger = TruthLedger.open(path)
    for entry in ENTRIES:
        ledger.record(entry)
    ledger.close()
    assert written(path) == ENTRIES


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    ledger = TruthLedger.open(path)
    ledger.record(ENTRIES[0])
    ledger.close()
    with path.open("a") as file:
        file.write('{"kind": "part", "mach')
    again = TruthLedger.open(path)
    again.record(ENTRIES[1])
    again.close()
    assert written(path) == ENTRIES[:2]


def test_forgetting_touches_one_machine_only(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    ledger = TruthLedger.open(path)
    for entry in ENTRIES:
        ledger.record(entry)
    ledger.forget_after("m", 5 * SECOND)
    ledger.record(ENTRIES[-1])
    ledger.close()
    assert written(path) == [*ENTRIES[:3], ENTRIES[-1]]


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        TruthLedger.open(tmp_path / "file" / "truth.jsonl")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "truth.jsonl").write_text('{"kind": "weather"}\n')
    with pytest.raises(ResourceError, match="damaged"):
        TruthLedger.open(tmp_path / "truth.jsonl")
