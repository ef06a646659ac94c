"""History for a first start: the same machines, run fast, as points under their true times.

Values have gone the way of the real protocol (rounded to what registers and payloads hold). Once in a week each machine
was out of the gateway's sight for 20 minutes: then there are no points, and the ledger still knows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plant.clock import DAY, HOUR, MINUTE, Window
from plant.config import PlantConfig
from plant.points import PointBatch, Quality
from plant.tags import Tag
from simulators import snapshots
from simulators.encode import quantise, quantise_text
from simulators.feed import Emission, Feed
from simulators.floor import FloorMachine, build_machine
from simulators.machines.base import Group, Snapshot, Value
from simulators.truth import TruthLedger

_EVERY_S = 10.0
_OUTAGE = 20 * MINUTE
_OUTAGE_EVERY = 7 * DAY
_STRIDE = HOUR
_BATCH_POINTS = 50_000


def generate_history(
    config: PlantConfig,
    machines: Mapping[str, FloorMachine],
    seed: int,
    window: Window,
    write: Callable[[PointBatch], None],
    progress: Callable[[float], None] = lambda _fraction: None,
    state_dir: Path | None = None,
) -> dict[str, Snapshot]:
    """Write the window's points in the order of time, and return where the machines stand at its end.

    With a state folder, ledger and snapshots go there, in place of older ones: a live shop floor with the same folder
    goes on.
    """
    if state_dir is not None:
        snapshots.clear(state_dir)
    ledger = TruthLedger.open(state_dir / snapshots.LEDGER_NAME) if state_dir is not None else TruthLedger()
    lives = [_Life(config, machine_id, entry, seed, window, ledger) for machine_id, entry in machines.items()]
    waiting: list[PointBatch] = []
    for end in [*range(window.start_ns + _STRIDE, window.end_ns, _STRIDE), window.end_ns]:
        waiting += [batch for life in lives for batch in life.run_to(end)]
        if end == window.end_ns or sum(map(len, waiting)) >= _BATCH_POINTS:
            _write(waiting, write)
            waiting = []
            ledger.flush()
        progress((end - window.start_ns) / window.length_ns)
    ledger.close()
    stand = {life.machine.id: life.machine.snapshot() for life in lives}
    if state_dir is not None:
        snapshots.save(state_dir, stand)
    return stand


class _Life:
    """One machine on its way through the window."""

    def __init__(
        self,
        config: PlantConfig,
        machine_id: str,
        entry: FloorMachine,
        seed: int,
        window: Window,
        ledger: TruthLedger,
    ) -> None:
        self.machine = build_machine(config, machine_id, entry, seed, window.start_ns, ledger.record)
        self._feed = Feed(self.machine, least_s=_EVERY_S)
        tags = [tag for tag in config.tags() if tag.machine == machine_id]
        self._columns = {group.name: _columns(group, tags) for group in self.machine.groups}
        self._outages = outages(machine_id, seed, window)

    def run_to(self, end_ns: int) -> list[PointBatch]:
        """The points up to a moment (excluded, so that no point is written in two strides)."""
        rows: dict[str, list[Emission]] = {name: [] for name in self._columns}
        for emission in self._feed.run_to(end_ns - 1):
            rows[emission.group.name].append(emission)
        found = []
        for name, emissions in rows.items():
            time_ns = np.array([emission.time_ns for emission in emissions], dtype=np.int64)
            seen = _seen(time_ns, self._outages)
            kept = [emission.values for emission, is_seen in zip(emissions, seen.tolist(), strict=True) if is_seen]
            if kept:
                columns = list(zip(*kept, strict=True))
                found += [_batch(tag, time_ns[seen], columns[index]) for index, tag in self._columns[name]]
        return found


def outages(machine_id: str, seed: int, window: Window) -> list[Window]:
    """When the gateway did not see the machine: 20 minutes at a random time of each whole week of the window."""
    rng = np.random.default_rng([seed, zlib.crc32(machine_id.encode()), 1])
    starts = range(window.start_ns, window.end_ns - _OUTAGE_EVERY + 1, _OUTAGE_EVERY)
    begins = [start + int(rng.uniform(HOUR, _OUTAGE_EVERY - HOUR)) for start in starts]
    return [Window(begin, begin + _OUTAGE) for begin in begins]


def _columns(group: Group, tags: Sequence[Tag]) -> list[tuple[int, Tag]]:
    by_name = {tag.name: tag for tag in tags}
    return [(index, by_name[name]) for index, name in enumerate(group.signals) if name in by_name]


def _seen(time_ns: NDArray[np.int64], gaps: Sequence[Window]) -> NDArray[np.bool_]:
    seen = np.ones(len(time_ns), dtype=np.bool_)
    for gap in gaps:
        seen &= (time_ns < gap.start_ns) | (time_ns >= gap.end_ns)
    return seen


def _batch(tag: Tag, time_ns: NDArray[np.int64], values: Sequence[Value]) -> PointBatch:
    """One tag's points, as they would come out of the gateway."""
    n = len(time_ns)
    index, good = np.zeros(n, dtype=np.int32), np.full(n, Quality.GOOD, dtype=np.uint8)
    if tag.type.is_text:
        texts = tuple(quantise_text(tag, str(value)) for value in values)
        return PointBatch((tag.id,), index, time_ns, np.full(n, np.nan), good, texts)
    numbers = quantise(tag, np.array(values, dtype=np.float64))
    quality = good
    if tag.low is not None or tag.high is not None:
        low = -np.inf if tag.low is None else tag.low
        high = np.inf if tag.high is None else tag.high
        outside = (numbers < low) | (numbers > high)
        quality = np.where(outside, np.uint8(Quality.UNCERTAIN_OUT_OF_RANGE), good).astype(np.uint8)
    return PointBatch((tag.id,), index, time_ns, numbers, quality)


def _write(batches: Sequence[PointBatch], write: Callable[[PointBatch], None]) -> None:
    """Numbers and texts apart, so that numbers carry no column of texts; each in the order of time."""
    for is_text in (False, True):
        same = [batch for batch in batches if (batch.text is not None) == is_text]
        if not same:
            continue
        batch = PointBatch.concat(same)
        batch = batch.take(np.argsort(batch.time_ns, kind="stable"))
        for first in range(0, len(batch), _BATCH_POINTS):
            rows = np.arange(first, min(first + _BATCH_POINTS, len(batch)), dtype=np.intp)
            write(batch.take(rows))
