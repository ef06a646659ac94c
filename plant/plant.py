"""The application's questions, which REST and pages share. They ask; the pure modules beside this one calculate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plant.assets import Machine
from plant.clock import AHEAD_NS, DAY, HOUR, MINUTE, SECOND, Clock, Window, system_clock
from plant.config import PlantConfig
from plant.counters import Increments, increments
from plant.errors import NotFoundError
from plant.historian.base import Historian, HistorianHealth, Series, Trend, Watch
from plant.memo import Memo
from plant.oee import Oee, Production, evaluate
from plant.points import Point, Quality
from plant.shifts import Shift, ShiftCalendar
from plant.states import CODE, Codes, Interval, State, Timeline, codes_by_map, codes_by_threshold, number_key, timeline
from plant.tags import Tag

# What went before decides how a window begins: a threshold inside its hysteresis band, a counter after a reset.
_LOOK_BACK = HOUR
# A page asks every second, ten pages ask at once; a shift's OEE reads hours of points and moves slowly.
_NOW_LIVES = SECOND // 2
_OEE_NOW_LIVES = 5 * SECOND
_STATE_LOOK_BACK = 5 * MINUTE
_SINCE_LOOK_BACK = DAY


@dataclass(frozen=True, slots=True)
class MachineNow:
    """One machine at a glance. `oee` covers the shift so far (or the latest one); `last_point_ns` is the newest
    of any of its tags that is not BAD; `state_since_ns` is None when the state has lasted longer than a day."""

    machine: Machine
    time_ns: int
    state: State
    state_since_ns: int | None
    shift: Shift | None
    oee: Oee | None
    last_point_ns: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """Parts seen at one reading of the counter (mostly one): when, how many, how long since the one before
    (None for the first in the window), how many of them scrap (None where nobody counts)."""

    time_ns: int
    count: int
    cycle_s: float | None
    scrap: int | None


@dataclass(frozen=True, slots=True)
class _Setup:
    """All that follows from a configuration, with the answers that were made under it."""

    config: PlantConfig
    calendar: ShiftCalendar
    tags: Mapping[str, Tag]
    machines: Mapping[str, Machine]
    now: Memo[str, MachineNow]
    oee_now: Memo[str, Oee | None]
    since: dict[str, Interval]

    @classmethod
    def of(cls, config: PlantConfig, clock: Clock) -> _Setup:
        tags = {tag.id: tag for tag in config.tags()}
        machines = {
            machine_id: Machine(
                machine_id,
                machine,
                (config.plant.enterprise, config.plant.site, machine.area, machine.line),
                tuple(tag for tag in tags.values() if tag.machine == machine_id),
            )
            for machine_id, machine in config.machines.items()
        }
        calendar = ShiftCalendar(config.shifts, config.plant.timezone)
        return cls(config, calendar, tags, machines, Memo(clock, _NOW_LIVES), Memo(clock, _OEE_NOW_LIVES), {})


class Plant:
    """One plant with its historian. Thread-safe; slow calls belong off the event loop."""

    def __init__(self, config: PlantConfig, historian: Historian, clock: Clock = system_clock) -> None:
        self.historian = historian
        self.clock = clock
        self._setup = _Setup.of(config, clock)

    def apply(self, config: PlantConfig) -> None:
        """From now on the plant is as configured so. One assignment: who asks sees the old plant or the new one."""
        self._setup = _Setup.of(config, self.clock)

    @property
    def config(self) -> PlantConfig:
        return self._setup.config

    @property
    def calendar(self) -> ShiftCalendar:
        return self._setup.calendar

    # What there is

    def machines(self) -> tuple[Machine, ...]:
        return tuple(self._setup.machines.values())

    def machine(self, machine_id: str) -> Machine:
        known = self._setup.machines
        if machine_id not in known:
            raise NotFoundError(
                f"There is no machine “{machine_id}”.", next_step=f"Known machines: {', '.join(known)}."
            )
        return known[machine_id]

    def tags(self) -> tuple[Tag, ...]:
        return tuple(self._setup.tags.values())

    def tag(self, tag_id: str) -> Tag:
        known = self._setup.tags
        if tag_id not in known:
            raise NotFoundError(
                f"There is no tag “{tag_id}”.", next_step="GET /api/tags lists them; a tag's id is machine.name."
            )
        return known[tag_id]

    # Values

    def last(self, tag_ids: Iterable[str]) -> dict[str, Point]:
        """The newest point of each tag, whatever its quality."""
        return self.historian.last(tag_ids)

    def trend(self, tag_id: str, window: Window, buckets: int) -> Trend:
        return self.trends([tag_id], window, buckets)[tag_id]

    def trends(self, tag_ids: Sequence[str], window: Window, buckets: int) -> dict[str, Trend]:
        """Each tag in equal buckets: one call for charts under one another."""
        for tag_id in tag_ids:
            self.tag(tag_id)
        return self.historian.aggregate(tag_ids, window, buckets)

    def points(self, tag_id: str, window: Window) -> Series:
        """Every stored point of a tag in the window."""
        self.tag(tag_id)
        return self.historian.range(tag_id, window)

    def watch(self, tag_ids: Iterable[str] | None = None) -> Watch:
        return self.historian.watch(tag_ids)

    def is_stale(self, tag: Tag, point: Point, now_ns: int | None = None) -> bool:
        """Whether a point says nothing about now: it is too old, or from the future (a wrong clock in a device)."""
        limit, age_ns = self.config.stale_after_s(tag), (now_ns or self.clock()) - point.time_ns
        return age_ns < -AHEAD_NS or (limit is not None and age_ns > limit * SECOND)

    def recorded(self, machine_id: str) -> Window | None:
        """From the first to just after the last point of a machine; None without points."""
        spans = self.historian.span([tag.id for tag in self.machine(machine_id).tags]).values()
        if not spans:
            return None
        return Window(min(span.start_ns for span in spans), max(span.end_ns for span in spans))

    # Figures

    def states(self, machine_id: str, window: Window) -> Timeline:
        """The machine's states over the window; the future, and machines without a state tag, are UNKNOWN."""
        return self._states(self.machine(machine_id), window)

    def _states(self, machine: Machine, window: Window) -> Timeline:
        config = machine.config.states
        if config is None:
            return timeline(np.empty(0, np.int64), np.empty(0, np.int8), window)
        tag = machine.tag(config.tag)
        look_back = _LOOK_BACK if config.threshold else 0
        wider = Window(window.start_ns - look_back, window.end_ns)
        series = self._until_now(self.historian.range(tag.id, wider, with_previous=True))
        stale_s = self.config.stale_after_s(tag)
        stale_ns = None if stale_s is None else int(stale_s * SECOND)
        now = self.clock()
        time_ns, code = series.time_ns, self._state_codes(machine, tag, series)
        if now < window.end_ns:  # what will come is not known
            time_ns, code = np.append(time_ns, now), np.append(code, np.int8(CODE[State.UNKNOWN]))
        return timeline(time_ns, code, window, stale_ns)

    def oee(self, machine_id: str, window: Window) -> Oee:
        """OEE with its elements. The part of the window that is still to come is left out."""
        return self._oee(self.machine(machine_id), window)

    def _oee(self, machine: Machine, window: Window) -> Oee:
        now = self.clock()
        if window.start_ns < now < window.end_ns:
            window = Window(window.start_ns, now)
        return evaluate(self._states(machine, window), self.calendar.planned(window), self._production(machine, window))

    def parts(self, machine_id: str, window: Window, limit: int = 20) -> tuple[Part, ...]:
        """The newest parts in the window, newest first."""
        production = self._production(self.machine(machine_id), window)
        if production is None:
            return ()
        made, scrap = production.produced, production.scrap
        rows = np.flatnonzero(made.amount)[-limit - 1 :]
        times = made.time_ns[rows].tolist()
        found = []
        for i in range(max(len(rows) - limit, 0), len(rows)):
            since = times[i - 1] if i > 0 else window.start_ns
            count = round(float(made.amount[rows[i]]))
            found.append(
                Part(
                    time_ns=times[i],
                    count=count,
                    cycle_s=(times[i] - since) / SECOND / max(count, 1) if i > 0 else None,
                    scrap=None if scrap is None else round(scrap.within([Window(since + 1, times[i] + 1)]).total),
                )
            )
        return tuple(reversed(found))

    def now(self, machine_id: str) -> MachineNow:
        """One machine at a glance; the state half a second old at most, the OEE of the shift five."""
        return self._now_in(self._setup, self.machine(machine_id))

    def overview(self) -> tuple[MachineNow, ...]:
        """Every machine at a glance."""
        setup = self._setup
        return tuple(self._now_in(setup, machine) for machine in setup.machines.values())

    def _now_in(self, setup: _Setup, machine: Machine) -> MachineNow:
        return setup.now.get(machine.id, lambda: self._look(setup, machine))

    def _look(self, setup: _Setup, machine: Machine) -> MachineNow:
        now = self.clock()
        shift = setup.calendar.latest(now)
        current = self._current_state(setup, machine, now)
        return MachineNow(
            machine=machine,
            time_ns=now,
            state=current.state,
            state_since_ns=current.start_ns if current.start_ns > now - _SINCE_LOOK_BACK else None,
            shift=shift,
            oee=setup.oee_now.get(machine.id, lambda: self._oee_of(machine, shift, now)),
            last_point_ns=self._newest(machine, now),
        )

    def _newest(self, machine: Machine, now: int) -> int | None:
        """When the newest point came that is not BAD. Where that is from the future (a wrong clock in a device), the
        newest of the last minutes."""
        times = []
        for tag_id, point in self.historian.last_good(tag.id for tag in machine.tags).items():
            if point.time_ns <= now + AHEAD_NS:
                times.append(point.time_ns)
                continue
            series = self.historian.range(tag_id, Window(now - _STATE_LOOK_BACK, now + AHEAD_NS))
            times += series.time_ns[series.quality >= Quality.UNCERTAIN][-1:].tolist()
        return max(times, default=None)

    def _oee_of(self, machine: Machine, shift: Shift | None, now: int) -> Oee | None:
        if machine.config.states is None or shift is None or shift.window.start_ns >= now:
            return None
        return self._oee(machine, shift.window)

    def _current_state(self, setup: _Setup, machine: Machine, now: int) -> Interval:
        """The interval that lasts until now. Reads minutes, and a day only when the state has lasted longer."""
        *_, current = self._states(machine, Window(now - _STATE_LOOK_BACK, now))
        if current.start_ns == now - _STATE_LOOK_BACK:
            known = setup.since.get(machine.id)
            if known is None or known.state is not current.state or known.end_ns < current.start_ns:
                *_, known = self._states(machine, Window(now - _SINCE_LOOK_BACK, now))
            current = Interval(known.start_ns, now, known.state)
        setup.since[machine.id] = current
        return current

    def health(self) -> HistorianHealth:
        return self.historian.health()

    # How figures come from points

    def _until_now(self, series: Series) -> Series:
        """Without points from the future (a wrong clock in a device must not make states)."""
        keep = int(np.searchsorted(series.time_ns, self.clock(), side="right"))
        text = None if series.text is None else series.text[:keep]
        return Series(series.time_ns[:keep], series.value[:keep], series.quality[:keep], text)

    @staticmethod
    def _state_codes(machine: Machine, tag: Tag, series: Series) -> Codes:
        config = machine.config.states
        assert config is not None
        bad = series.quality < Quality.UNCERTAIN
        if config.threshold is not None:
            limits = config.threshold
            value = np.where(bad, np.nan, series.value)
            return codes_by_threshold(value, limits.running_above, limits.running_below, limits.idle_above)
        if series.text is not None:
            keys = [None if is_bad else text for is_bad, text in zip(bad.tolist(), series.text, strict=True)]
            return codes_by_map(keys, config.map)
        numbers, row = np.unique(series.value, return_inverse=True)
        by_number = codes_by_map([_state_key(tag, number, config.map) for number in numbers.tolist()], config.map)
        return np.where(bad, np.int8(CODE[State.UNKNOWN]), by_number[row]) if len(series) else by_number

    def _production(self, machine: Machine, window: Window) -> Production | None:
        config = machine.config.parts
        if config is None:
            return None

        def counted(name: str | None) -> Increments | None:
            if name is None:
                return None
            wider = Window(window.start_ns - _LOOK_BACK, window.end_ns)
            series = self._until_now(self.historian.range(machine.tag(name).id, wider, with_previous=True))
            usable = (series.quality >= Quality.UNCERTAIN) & ~np.isnan(series.value)
            made = increments(series.time_ns[usable], series.value[usable], config.wrap, config.ideal_cycle_s)
            return made.within([window])

        total, good, scrap = counted(config.total), counted(config.good), counted(config.scrap)
        if total is not None and scrap is None and good is not None:
            scrap = _together(total, good, sign=-1)
        elif total is None and good is not None:
            total = good if scrap is None else _together(good, scrap, sign=1)
        assert total is not None, "the configuration names total or good"
        return Production(total, scrap, config.ideal_cycle_s)


def _state_key(tag: Tag, value: float, known: Mapping[str, State]) -> str | None:
    """How the map names a number: the number itself, else its text in the tag's enumeration."""
    if value != value:
        return None
    number = number_key(value)
    return number if number in known else tag.text_of(value)


def _together(one: Increments, other: Increments, sign: int) -> Increments:
    """Two counters as one: their sum (good + scrap), or their difference (total − good)."""
    time_ns = np.concatenate((one.time_ns, other.time_ns))
    order = np.argsort(time_ns, kind="stable")
    return Increments(
        np.concatenate((one.since_ns, other.since_ns))[order],
        time_ns[order],
        np.concatenate((one.amount, sign * other.amount))[order],
    )
