"""The machines as pure state machines: repeatable, believable, and able to go on."""

from __future__ import annotations

import itertools
import json

import pytest

from plant.clock import DAY, HOUR, SECOND, Window
from plant.config import PlantConfig
from plant.states import State
from simulators.feed import Emission, Feed
from simulators.floor import build_machine
from simulators.machines.base import Machine
from simulators.machines.production import Production
from simulators.truth import EnergyUsed, PartMade, StateChange, TruthLedger
from tests.simulators.conftest import QUICK, REAL, START_NS

MACHINES = tuple(REAL)
DAY_ONE = Window(START_NS, START_NS + DAY)


def build(
    plant: PlantConfig, machine_id: str, seed: int = 1, *, quick: bool = False, start_ns: int = START_NS
) -> tuple[Machine, TruthLedger]:
    ledger = TruthLedger()
    entry = (QUICK if quick else REAL)[machine_id]
    return build_machine(plant, machine_id, entry, seed, start_ns, ledger.record), ledger


def live(machine: Machine, until_ns: int, every_s: float = 0.0) -> list[Emission]:
    return list(Feed(machine, every_s).run_to(until_ns))


@pytest.mark.parametrize("machine_id", MACHINES)
class TestRepeatable:
    def test_same_seed_same_bytes(self, plant: PlantConfig, machine_id: str) -> None:
        lives = []
        for _ in range(2):
            machine, ledger = build(plant, machine_id)
            emissions = live(machine, START_NS + 6 * HOUR)
            lives.append(repr((ledger.entries, emissions, machine.snapshot())))
        assert lives[0] == lives[1]

    def test_another_seed_is_another_life(self, plant: PlantConfig, machine_id: str) -> None:
        one, other = build(plant, machine_id, seed=1), build(plant, machine_id, seed=2)
        for machine, _ in (one, other):
            machine.advance(START_NS + 6 * HOUR)
        assert one[1].entries != other[1].entries

    def test_how_often_somebody_looks_changes_no_truth(self, plant: PlantConfig, machine_id: str) -> None:
        fine, coarse = build(plant, machine_id), build(plant, machine_id)
        for _ in range(10 * 3600 * 2):
            fine[0].step(0.1)
            fine[0].measure()
        coarse[0].advance(START_NS + 2 * HOUR)

        def told(ledger: TruthLedger) -> list[object]:
            return [e for e in ledger.entries if not isinstance(e, EnergyUsed)]

        assert told(fine[1]) == told(coarse[1])
        assert fine[1].energy_kwh(machine_id, DAY_ONE) == pytest.approx(coarse[1].energy_kwh(machine_id, DAY_ONE))

    def test_a_restored_machine_goes_on_exactly(self, plant: PlantConfig, machine_id: str) -> None:
        first, ledger = build(plant, machine_id, quick=True)
        live(first, START_NS + HOUR)
        saved = json.loads(json.dumps(first.snapshot()))
        second, later_ledger = build(plant, machine_id, seed=99, quick=True)
        second.restore(saved)
        told, later_ledger.entries = len(ledger.entries), []
        until = START_NS + 2 * HOUR
        assert live(first, until) == live(second, until)
        assert ledger.entries[told:] == later_ledger.entries
        assert first.snapshot() == second.snapshot()

    def test_a_snapshot_of_another_kind_is_refused(self, plant: PlantConfig, machine_id: str) -> None:
        machine, _ = build(plant, machine_id)
        with pytest.raises(ValueError, match="not of a"):
            machine.restore({**machine.snapshot(), "kind": "press"})


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("machine_id", MACHINES)
def test_oee_is_typical(plant: PlantConfig, machine_id: str, seed: int) -> None:
    machine, ledger = build(plant, machine_id, seed)
    week = Window(START_NS, START_NS + 7 * DAY)
    machine.advance(week.end_ns)
    spent, parts = ledger.state_seconds(machine_id, week), ledger.parts(machine_id, week)
    ideal = plant.machines[machine_id].parts
    assert ideal is not None
    performance = ideal.ideal_cycle_s * parts.total / spent[State.RUNNING]
    oee = spent[State.RUNNING] / week.seconds * performance * parts.good / parts.total
    assert 0.45 < oee < 0.75
    assert 0.85 < performance < 1.0
    assert 0.9 < parts.good / parts.total < 0.995
    assert {State.IDLE, State.STOPPED, State.SETUP, State.FAULT} <= set(spent)


@pytest.mark.parametrize("machine_id", MACHINES)
class TestBelievable:
    def test_states_tile_the_time(self, plant: PlantConfig, machine_id: str) -> None:
        machine, ledger = build(plant, machine_id)
        machine.advance(DAY_ONE.end_ns)
        assert sum(ledger.state_seconds(machine_id, DAY_ONE).values()) == pytest.approx(DAY_ONE.seconds, abs=1e-6)
        changes = [e for e in ledger.entries if isinstance(e, StateChange)]
        assert changes[0].time_ns == START_NS
        assert all(change.cause for change in changes)
        for before, after in itertools.pairwise(changes):
            assert before.time_ns < after.time_ns
            assert (before.state, before.cause) != (after.state, after.cause)

    def test_values_keep_to_the_range_of_their_tag(self, plant: PlantConfig, machine_id: str) -> None:
        machine, _ = build(plant, machine_id)
        tags = plant.machines[machine_id].tags
        for emission in live(machine, START_NS + DAY, every_s=10):
            for name, value in zip(emission.group.signals, emission.values, strict=True):
                tag = tags[name]
                if tag.low is not None:
                    assert float(value) >= tag.low, name
                if tag.high is not None:
                    assert float(value) <= tag.high, name

    def test_counters_only_rise_and_count_every_part(self, plant: PlantConfig, machine_id: str) -> None:
        machine, ledger = build(plant, machine_id)
        parts = plant.machines[machine_id].parts
        assert parts is not None
        names = [name for name in (parts.total, parts.scrap) if name is not None]
        seen: dict[str, list[float]] = {name: [] for name in names}
        for emission in live(machine, DAY_ONE.end_ns, every_s=10):
            for name in names:
                if name in emission.group.signals:
                    seen[name].append(float(emission.values[emission.group.signals.index(name)]))
        made = ledger.parts(machine_id, DAY_ONE)
        for name, told in ((parts.total, made.total), (parts.scrap, made.scrap)):
            if name is not None:
                assert seen[name] == sorted(seen[name])
                assert seen[name][-1] == told

    def test_a_pause_is_unknown_and_loses_nothing(self, plant: PlantConfig, machine_id: str) -> None:
        machine, ledger = build(plant, machine_id)
        machine.advance(START_NS + HOUR)
        made = machine.marks()[1]
        machine.pause_until(START_NS + 3 * HOUR)
        assert machine.now_ns == START_NS + 3 * HOUR
        assert machine.marks()[1] == made
        machine.advance(START_NS + 4 * HOUR)
        window = Window(START_NS, START_NS + 4 * HOUR)
        spent = ledger.state_seconds(machine_id, window)
        assert spent[State.UNKNOWN] == 2 * 3600
        assert sum(spent.values()) == pytest.approx(window.seconds, abs=1e-6)

    def test_quieter_in_breaks_but_alive(self, plant: PlantConfig, machine_id: str) -> None:
        machine, ledger = build(plant, machine_id)
        machine.advance(START_NS + 14 * DAY)
        made = [e.time_ns for e in ledger.entries if isinstance(e, PartMade)]
        break_end = machine._break_end  # type: ignore[attr-defined]
        in_breaks = sum(break_end(time_ns) is not None for time_ns in made)
        share = in_breaks / len(made) / (90 / 1440)  # of the parts, against the breaks' share of the day
        assert 0.02 < share < 0.98


def test_cnc_power_and_energy_agree(plant: PlantConfig) -> None:
    machine, ledger = build(plant, "cnc-1")
    cutting, standby, integral = [], [], 0.0
    until = START_NS + 8 * HOUR
    while machine.now_ns < until:
        values = machine.measure()
        (cutting if values["cycle_active"] else standby).append(float(values["power"]))
        step = min(1.0, (machine.next_event_ns() - machine.now_ns) / SECOND)
        machine.step(step)
        integral += float(values["power"]) * step / 3600
    assert all(2.8 < power < 15 for power in cutting)
    assert all(0.5 < power < 3 for power in standby)
    told = ledger.energy_kwh("cnc-1", Window(START_NS, until))
    assert integral == pytest.approx(told, rel=0.005)
    assert float(machine.measure()["energy"]) == pytest.approx(told, rel=0.001)


def test_moulding_takes_a_kilowatt_hour_per_kilogram(plant: PlantConfig) -> None:
    machine, _ = build(plant, "imm-1")
    shots = [e for e in live(machine, START_NS + DAY) if e.group.name == "shot"]
    energy = [float(e.values[e.group.signals.index("energy_per_shot")]) / 0.236 for e in shots]
    assert len(shots) > 700
    assert 0.9 < sum(energy) / len(energy) < 1.1
    assert min(energy) > 0.75
    assert max(energy) < 1.25


def test_a_short_shot_shows_in_the_cushion(plant: PlantConfig) -> None:
    machine, ledger = build(plant, "imm-1")
    shots = [e for e in live(machine, START_NS + 4 * DAY) if e.group.name == "shot"]
    cushion = {e.time_ns: float(e.values[e.group.signals.index("cushion")]) for e in shots}
    parts = [e for e in ledger.entries if isinstance(e, PartMade)]
    short = [cushion[e.time_ns] for e in parts if e.reason == "short shot"]
    good = [cushion[e.time_ns] for e in parts if e.good]
    assert len(short) > 5
    assert sum(short) / len(short) < sum(good) / len(good) - 1.5


def test_the_lathe_runs_where_its_current_says_so(plant: PlantConfig) -> None:
    machine, _ = build(plant, "lathe-1")
    states = plant.machines["lathe-1"].states
    assert states is not None
    assert states.threshold is not None
    for _ in range(20_000):
        machine.step(10)
        current = float(machine.measure()["current_l1"])
        if machine.state is State.RUNNING:
            assert current >= states.threshold.running_above
        else:
            assert current < states.threshold.running_below


def test_wear_raises_the_load_until_the_tool_is_changed(plant: PlantConfig) -> None:
    machine, _ = build(plant, "cnc-1")
    worn: list[float] = []
    while not (machine.cause == "tool change" and worn):
        machine.advance(machine.next_event_ns())
        worn.append(machine.memory.wear)  # type: ignore[attr-defined]
    assert worn[-1] > worn[0]
    machine.advance(machine.next_event_ns())
    assert machine.memory.wear == 0  # type: ignore[attr-defined]


def test_short_cycles_make_a_part_every_second(plant: PlantConfig) -> None:
    for machine_id in MACHINES:
        machine, ledger = build(plant, machine_id, quick=True)
        machine.step(60)
        assert 20 < ledger.parts(machine_id, DAY_ONE).total < 120


def test_parameters_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Production(cycle_s=1).cycle_s = 2  # type: ignore[misc]
