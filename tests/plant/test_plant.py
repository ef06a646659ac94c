"""Plant's questions on a real store: the figures of windows, days and moments agree with one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from plant.clock import HOUR, MINUTE, SECOND, Window, parse_iso
from plant.config import PlantConfig
from plant.errors import NotFoundError
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import Point, PointBatch, Quality
from plant.states import State

T0 = parse_iso("2026-03-02T06:00:00+01:00")  # a Monday


def config(states: dict[str, object], **tags: dict[str, object]) -> PlantConfig:
    return PlantConfig.model_validate(
        {
            "plant": {"enterprise": "e", "site": "s", "name": "P"},
            "sources": {"log": {"type": "replay", "format": "csv"}},
            "shifts": [{"name": "Day", "days": ["mon"], "start": "06:00", "end": "14:00"}],
            "machines": {
                "m": {
                    "name": "M",
                    "area": "a",
                    "line": "l",
                    "states": states,
                    "parts": {"total": "total", "good": "good", "ideal_cycle_s": 60},
                    "tags": {
                        "state": {"source": "log", "key": "state", **tags.get("state", {})},
                        "total": {"source": "log", "key": "total"},
                        "good": {"source": "log", "key": "good"},
                    },
                }
            },
        }
    )


MAP = {"tag": "state", "map": {"1": "running", "2": "idle"}}


@pytest.fixture
def historian(tmp_path: Path) -> Iterator[DuckDbHistorian]:
    store = DuckDbHistorian(tmp_path / "h.duckdb")
    yield store
    store.close()


def fill(store: DuckDbHistorian, tag: str, rows: Iterable[tuple[float, float | str | None]]) -> None:
    """Rows of (minutes after T0, value); None is BAD."""
    store.write(
        PointBatch.of(
            Point(
                f"m.{tag}", T0 + round(minute * MINUTE), value, Quality.BAD_TIMEOUT if value is None else Quality.GOOD
            )
            for minute, value in rows
        )
    )


def at(minute: float) -> int:
    return T0 + round(minute * MINUTE)


def states_of(plant: Plant, start: float, end: float) -> list[tuple[float, State]]:
    timeline = plant.states("m", Window(at(start), at(end)))
    return [((interval.start_ns - T0) / MINUTE, interval.state) for interval in timeline]


class TestStates:
    def test_the_state_before_the_window_holds_into_it(self, historian: DuckDbHistorian) -> None:
        fill(historian, "state", [(0, 1.0), (50, 2.0), (60, None)])
        plant = Plant(config(MAP), historian, lambda: at(100))
        assert states_of(plant, 30, 90) == [(30, State.RUNNING), (50, State.IDLE), (60, State.UNKNOWN)]

    def test_what_is_to_come_and_what_is_from_the_future_is_unknown(self, historian: DuckDbHistorian) -> None:
        fill(historian, "state", [(0, 1.0), (40, 2.0)])
        plant = Plant(config(MAP), historian, lambda: at(20))
        assert states_of(plant, 0, 60) == [(0, State.RUNNING), (20, State.UNKNOWN)]

    def test_stale(self, historian: DuckDbHistorian) -> None:
        fill(historian, "state", [(0, 1.0), (40, 1.0)])
        plant = Plant(config(MAP, state={"stale_after_s": 600}), historian, lambda: at(100))
        assert states_of(plant, 0, 60) == [
            (0, State.RUNNING), (10, State.UNKNOWN), (40, State.RUNNING), (50, State.UNKNOWN),
        ]  # fmt: skip
        assert plant.is_stale(plant.tag("m.state"), plant.last(["m.state"])["m.state"])

    @pytest.mark.parametrize(
        ("value", "key"), [(1.0, "1"), (1e6, "1000000"), (4_294_967_295.0, "4294967295"), (1.5, "1.5"), (-3.0, "-3")]
    )
    def test_a_map_names_numbers_as_they_are_written(self, historian: DuckDbHistorian, value: float, key: str) -> None:
        fill(historian, "state", [(0, value)])
        plant = Plant(config({"tag": "state", "map": {key: "setup"}}), historian, lambda: at(10))
        assert states_of(plant, 0, 5) == [(0, State.SETUP)]

    def test_a_map_may_name_the_enumeration(self, historian: DuckDbHistorian) -> None:
        fill(historian, "state", [(0, 7.0)])
        settings = config({"tag": "state", "map": {"Automatic": "running"}}, state={"enum": {7: "Automatic"}})
        assert states_of(Plant(settings, historian, lambda: at(10)), 0, 5) == [(0, State.RUNNING)]

    def test_threshold_keeps_its_decision_across_the_window(self, historian: DuckDbHistorian) -> None:
        limits = {"running_above": 8, "running_below": 4, "idle_above": 1}
        fill(historian, "state", [(0, 9.0), (10, 5.0), (20, 3.0), (30, 5.0), (40, 0.0)])
        plant = Plant(config({"tag": "state", "threshold": limits}), historian, lambda: at(100))
        assert states_of(plant, 15, 60) == [(15, State.RUNNING), (20, State.IDLE), (40, State.OFF)]
        assert states_of(plant, 35, 60) == [(35, State.IDLE), (40, State.OFF)]


class TestOee:
    @pytest.fixture
    def plant(self, historian: DuckDbHistorian) -> Plant:
        fill(historian, "state", [(0, 1.0), (100, 2.0), (130, 1.0), (170, None), (200, 1.0), (480, 2.0)])
        made = [(minute, float(minute)) for minute in range(0, 500, 2)]
        fill(historian, "total", made)
        fill(historian, "good", [(minute, value - value // 50) for minute, value in made])
        return Plant(config(MAP), historian, lambda: at(600))

    def test_a_window_is_the_sum_of_its_parts(self, plant: Plant) -> None:
        whole = plant.oee("m", Window(at(-60), at(560)))
        edges = [-60, 0, 33.3, 100, 171, 333, 479.99, 520, 560]
        parts = [
            plant.oee("m", Window(at(a), at(b)))
            for a, b in zip(edges, edges[1:], strict=False)  # noqa: RUF007
        ]
        for state in State:
            assert sum(part.states_ns[state] for part in parts) == whole.states_ns[state]
        for name in (
            "produced",
            "scrap",
            "unplanned_parts",
            "unplanned_ns",
            "unplanned_run_ns",
            "planned_ns",
            "down_ns",
        ):
            assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
        assert whole.planned_ns + whole.unplanned_ns == whole.window.length_ns

    def test_a_point_from_the_future_is_not_fresh(self, historian: DuckDbHistorian) -> None:
        plant = Plant(config(MAP), historian, lambda: at(100))
        fill(historian, "state", [(98, 1.0)])
        assert plant.now("m").last_point_ns == at(98)
        fill(historian, "state", [(9_000, 1.0)])
        ahead = plant.last(["m.state"])["m.state"]
        assert ahead.time_ns == at(9_000)
        assert plant.is_stale(plant.tag("m.state"), ahead)
        again = Plant(config(MAP), historian, lambda: at(100))
        assert again.now("m").last_point_ns == at(98)

    def test_total_and_good_give_scrap(self, plant: Plant) -> None:
        figures = plant.oee("m", Window(at(0), at(480)))
        assert (figures.produced, figures.scrap, figures.good) == (478, 9, 469)
        assert figures.quality == pytest.approx(469 / 478)

    def test_now_agrees_with_the_questions_it_is_made_of(self, plant: Plant) -> None:
        now = plant.now("m")
        assert now.shift is not None
        assert now.oee == plant.oee("m", now.shift.window)
        assert (now.state, now.state_since_ns) == (State.IDLE, at(480))
        assert now.last_point_ns == at(498)
        assert plant.overview() == (now,)

    def test_the_window_is_cut_at_now(self, historian: DuckDbHistorian) -> None:
        fill(historian, "state", [(0, 1.0)])
        plant = Plant(config(MAP), historian, lambda: at(30))
        figures = plant.oee("m", Window(at(0), at(480)))
        assert figures.window == Window(at(0), at(30))
        assert (figures.availability, figures.coverage) == (1.0, 1.0)

    def test_parts_newest_first(self, plant: Plant) -> None:
        found = plant.parts("m", Window(at(0), at(480)), limit=3)
        assert [(part.time_ns, part.count, part.cycle_s) for part in found] == [
            (at(minute), 2, 60.0) for minute in (478, 476, 474)
        ]
        everything = plant.parts("m", Window(at(0), at(480)), limit=10_000)
        assert sum(part.count for part in everything) == 478
        assert sum(part.scrap or 0 for part in everything) == 9


def test_names_that_do_not_exist(historian: DuckDbHistorian) -> None:
    plant = Plant(config(MAP), historian, lambda: T0)
    window = Window(T0, T0 + HOUR)
    with pytest.raises(NotFoundError, match="no machine “x”") as caught:
        plant.oee("x", window)
    assert caught.value.next_step == "Known machines: m."
    for question in (lambda: plant.points("m.x", window), lambda: plant.trends(["m.state", "m.x"], window, 5)):
        with pytest.raises(NotFoundError, match=r"no tag “m\.x”"):
            question()


def test_recorded(historian: DuckDbHistorian) -> None:
    plant = Plant(config(MAP), historian, lambda: at(9))
    assert plant.recorded("m") is None
    fill(historian, "total", [(3, 1.0)])
    fill(historian, "state", [(5, 1.0)])
    assert plant.recorded("m") == Window(at(3), at(5) + 1)


def test_the_overview_follows_within_a_second(historian: DuckDbHistorian) -> None:
    now = [at(10)]
    fill(historian, "state", [(0, 1.0)])
    plant = Plant(config(MAP), historian, lambda: now[0])
    assert plant.overview()[0].state is State.RUNNING
    fill(historian, "state", [(10, 2.0)])
    now[0] += SECOND
    assert plant.overview()[0].state is State.IDLE


def test_apply_swaps_everything_at_once_and_forgets_old_answers(historian: DuckDbHistorian) -> None:
    plant = Plant(config({"tag": "state", "map": {"1": "running"}}), historian)
    before, old = plant.now("m"), plant.config
    machine = old.machines["m"]
    plant.apply(
        old.model_copy(
            update={
                "plant": old.plant.model_copy(update={"site": "other"}),
                "machines": {"m": machine.model_copy(update={"name": "Renamed"}), "n": machine},
                "shifts": [],
            }
        )
    )
    assert plant.now("m").machine.name == "Renamed", "the answer of half a second ago was about another plant"
    assert before.machine.name != "Renamed"
    assert [machine.id for machine in plant.machines()] == ["m", "n"]
    assert plant.machine("n").path[1] == "other"
    assert plant.tag("n.state").machine == "n"
    plant.apply(old)
    with pytest.raises(NotFoundError, match="no machine “n”"):
        plant.machine("n")
    with pytest.raises(NotFoundError):
        plant.tag("n.state")
