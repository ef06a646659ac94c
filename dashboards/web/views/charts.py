"""ECharts options of the machine's page. Pure; colours and number forms are filled in by the browser.

A key that begins with a colon is JavaScript, evaluated in the browser (a rule of `ui.echart`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from dashboards.web.i18n import Language
from plant.clock import SECOND, Window, from_ns, to_ns
from plant.historian.base import Series, Trend
from plant.points import Quality
from plant.states import STATES, Timeline
from plant.tags import DataType, Tag

BUCKETS = 600
RIBBON_ROWS = 1200
GRID = {"left": 56, "right": 16, "top": 12, "bottom": 24}
"""The same for every chart of a page, so that their time axes stand under one another."""

_NEAR = 0.4  # a limit so many data spans away still belongs in the picture
_HOLDING_ROWS = 20_000  # a tag that holds its value is read point by point up to so many, to see where it was BAD
_MS = 1_000_000

Row = list[float | None]
"""[time ms, mean, minimum, maximum − minimum], and a fifth, 1, where the point stands alone: it is drawn as a dot."""

Break = tuple[int, int | None]
"""The times of the usable points before and after a tag was BAD; None where none came after."""


# Time axis


def ticks(window: Window, zone: ZoneInfo, t: Language, wanted: int = 9) -> list[tuple[int, str]]:
    """Round local times in the window (ms) with their labels: clock, or the day at midnight."""
    minutes = window.seconds / 60 / wanted
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720) if s >= minutes), None)
    days = 1 if step else max(1, round(minutes / 1440))
    first = from_ns(window.start_ns).astimezone(zone)
    moment = first.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while (time_ns := to_ns(moment)) < window.end_ns:
        if time_ns >= window.start_ns:
            midnight = moment.hour == 0 and moment.minute == 0
            found.append((time_ns // _MS, t.day(time_ns) if midnight else t.clock(time_ns)))
        moment = _later(moment, step, days, zone)
    return found


def _later(moment: datetime, step_minutes: int | None, days: int, zone: ZoneInfo) -> datetime:
    """The next round local time, also over the hours that daylight saving adds or leaves out."""
    naive = moment.replace(tzinfo=None) + (timedelta(minutes=step_minutes) if step_minutes else timedelta(days=days))
    following = naive.replace(tzinfo=zone)
    return following if to_ns(following) > to_ns(moment) else naive.replace(tzinfo=zone, fold=1)


def _time_axis(window: Window, zone: ZoneInfo, t: Language) -> dict[str, Any]:
    marks = ticks(window, zone, t)
    times = [time for time, _ in marks]
    return {
        "type": "value",
        "min": window.start_ns // _MS,
        "max": window.end_ns // _MS,
        "axisLabel": {
            "customValues": times,
            "hideOverlap": True,
            ":color": "testbed.color('ink-2')",
            ":formatter": f"testbed.labels({dict(marks)!r})",
            "fontSize": 12,
            "fontFamily": "Roboto, system-ui, sans-serif",
        },
        "axisTick": {"customValues": times, "show": True, "length": 4, "lineStyle": _line("line-strong")},
        "axisLine": {"show": True, "onZero": False, "lineStyle": _line("line-strong")},
        "splitLine": {"show": False},
        "axisPointer": {
            "show": True,
            "snap": False,
            "z": 100,
            "label": {"show": False},
            "lineStyle": {**_line("ink"), "type": "solid", "width": 1},
        },
    }


def _line(colour: str) -> dict[str, str]:
    return {":color": f"testbed.color('{colour}')"}


# Values


@dataclass(frozen=True, slots=True)
class Scale:
    """The y axis: fixed for the window, so that it does not jump."""

    low: float
    high: float
    step: float


def scale(low: float, high: float) -> Scale:
    """Round numbers around the data; from zero where the data come near it.

    >>> scale(3.2, 71.0)
    Scale(low=0.0, high=80.0, step=20.0)
    >>> scale(58.0, 62.0)
    Scale(low=57.0, high=63.0, step=1.0)
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return Scale(0.0, 1.0, 0.5)
    if high - low <= max(1e-6 * abs(high), 1e-9):  # a flat line stands in the middle
        half = max(0.1 * abs(high), 0.5)
        low, high = low - half, high + half
    if 0 <= low <= 0.5 * high:
        low = 0.0
    elif 0 >= high >= 0.5 * low:
        high = 0.0
    span = high - low
    rough = span / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    bottom = math.floor((low - (0.06 * span if low else 0)) / step) * step
    top = math.ceil((high + (0.06 * span if high else 0)) / step) * step
    return Scale(round(bottom, 10), round(top, 10), step)


def rows(trend: Trend, hold_ns: int | None, broken: Sequence[Break] = ()) -> list[Row]:
    """A row for each bucket with data, at its middle; a row of None is a gap, at the end of the bucket before it.

    A gap is a stretch without data longer than a value holds (`hold_ns`), or one with a break in it.
    Where a value holds until the next one (`hold_ns` None) only breaks make gaps.
    """
    found = np.flatnonzero(~np.isnan(trend.mean))
    middle = (trend.start_ns + trend.bucket_ns // 2)[found]
    gap = np.zeros(len(found), dtype=bool)
    if len(found) > 1:
        empty_ns = np.diff(found) * trend.bucket_ns
        if hold_ns is not None:
            gap[1:] = empty_ns > max(hold_ns, 1.5 * trend.bucket_ns)
    gap |= np.isin(found, _first_after(trend, broken))
    ended = any(after is None for _, after in broken)
    alone = (np.append(gap[1:], True) & np.append(True, gap[1:]))[: len(found)]
    result: list[Row] = []
    half = trend.bucket_ns // 2 // _MS
    columns = (middle // _MS, trend.mean[found], trend.minimum[found], (trend.maximum - trend.minimum)[found])
    for *row, is_gap, is_alone in zip(*(column.tolist() for column in (*columns, gap, alone)), strict=True):
        if is_gap:
            result.append(_nothing_from(result[-1], half))
        time, mean, low, spread = row
        result.append([time, _short(mean), _short(low), _short(spread), *([1] if is_alone else [])])
    if ended and result:
        result.append(_nothing_from(result[-1], half))
    return result


def _first_after(trend: Trend, broken: Sequence[Break]) -> list[int]:
    """The buckets that begin anew after a break; one within a bucket is finer than the chart."""
    first, length = trend.window.start_ns, trend.bucket_ns
    bucket = [((before - first) // length, (after - first) // length) for before, after in broken if after is not None]
    return [after for before, after in bucket if before != after]


def _nothing_from(last: Row, half_ms: int) -> Row:
    return [(last[0] or 0) + half_ms, None, None, None]


def breaks(series: Series) -> list[Break]:
    """Where a tag was reported BAD after a usable point: the last one before, and the first one after."""
    bad = series.quality < Quality.UNCERTAIN
    usable = np.flatnonzero(~bad & ~np.isnan(series.value))
    bads = np.flatnonzero(bad)
    following = np.unique(np.searchsorted(usable, bads))  # the usable point after each BAD one, once per stretch
    time_ns = series.time_ns[usable].tolist()
    return [(time_ns[i - 1], time_ns[i] if i < len(time_ns) else None) for i in following.tolist() if i > 0]


def needs_breaks(trend: Trend, hold_ns: int | None) -> bool:
    """Whether gaps can only be told from the points themselves, and they are few enough to ask for."""
    return hold_ns is None and 0 < int(trend.count.sum()) <= _HOLDING_ROWS


def hold_of(trend: Trend, stale_after_s: float | None) -> int | None:
    """How long a value of the tag holds on a chart. Many points without a limit: five of their usual distances."""
    if stale_after_s is not None:
        return int(stale_after_s * SECOND)
    points = int(trend.count.sum())
    if points > _HOLDING_ROWS:
        return max(5 * trend.window.length_ns // points, 3 * trend.bucket_ns)
    return None


def _short(value: float) -> float:
    """Seven digits are enough for a line and halve what is sent."""
    return float(f"{value:.7g}")


def value_scale(trend: Trend, tag: Tag) -> Scale:
    """The scale of a tag: its data, and those limits that are near enough to matter.

    Data that leave the valid range by more than its width do not stretch it: see `far_outside`.
    """
    known = ~np.isnan(trend.mean)
    if not known.any():
        return scale(tag.low if tag.low is not None else math.nan, tag.high if tag.high is not None else math.nan)
    low, high = float(trend.minimum[known].min()), float(trend.maximum[known].max())
    if far_outside(trend, tag) and tag.low is not None and tag.high is not None:
        return scale(tag.low, tag.high)
    span = high - low or abs(high) or 1.0
    near = _NEAR * span
    if tag.high is not None and high <= tag.high <= high + near:
        high = tag.high
    if tag.low is not None and low - near <= tag.low <= low:
        low = tag.low
    return scale(low, high)


def far_outside(trend: Trend, tag: Tag) -> tuple[float, ...]:
    """The lowest and the highest value, each where it leaves the valid range by more than the range's width."""
    known = ~np.isnan(trend.mean)
    if tag.low is None or tag.high is None or not known.any():
        return ()
    low, high, width = float(trend.minimum[known].min()), float(trend.maximum[known].max()), tag.high - tag.low
    return (low,) * (low < tag.low - width) + (high,) * (high > tag.high + width)


def value_chart(tag: Tag, data: list[Row], y: Scale, window: Window, t: Language) -> dict[str, Any]:
    """Mean line on its min–max band, with the tag's limits as lines with a word on them."""
    step = "end" if tag.enum or tag.type is DataType.BOOL else False
    limits = [
        (value, words, place)  # at either end, so that the words of near limits do not overlap
        for value, words, place in (
            (tag.high, t("Highest valid"), "insideEndTop"),
            (tag.low, t("Lowest valid"), "insideStartTop"),
        )
        if value is not None and y.low < value <= y.high
    ]
    band = {"type": "line", "stack": "band", "stackStrategy": "all", "symbol": "none", "silent": True, "step": step}
    return {
        "animation": False,
        "grid": GRID,
        "dataset": {"source": data},
        "xAxis": _time_axis(window, t.zone, t),
        "yAxis": {
            "type": "value",
            "min": y.low,
            "max": y.high,
            "interval": y.step,
            "axisLabel": {
                ":color": "testbed.color('ink-2')",
                "fontSize": 12,
                "fontFamily": "Roboto, system-ui, sans-serif",
                ":formatter": "testbed.axisNumber",
            },
            "splitLine": {"lineStyle": _line("line")},
            "axisPointer": {"show": False},
        },
        "series": [
            {**band, "encode": {"x": 0, "y": 2}, "lineStyle": {"opacity": 0}},
            {
                **band,
                "encode": {"x": 0, "y": 3},
                "lineStyle": {"opacity": 0},
                "areaStyle": {":color": "testbed.color('band')", "opacity": 1},
            },
            {
                "type": "line",
                "encode": {"x": 0, "y": 1},
                "symbol": "circle",
                ":symbolSize": "testbed.dot",
                "itemStyle": _line("accent"),
                "step": step,
                "silent": True,
                "lineStyle": {**_line("accent"), "width": 1.5, "join": "round"},
                "markLine": {
                    "silent": True,
                    "symbol": "none",
                    "lineStyle": {**_line("warn"), "type": "dashed", "width": 1},
                    "data": [_limit(value, words, place, tag, t) for value, words, place in limits],
                },
            },
        ],
    }


def _limit(value: float, words: str, place: str, tag: Tag, t: Language) -> dict[str, Any]:
    return {
        "yAxis": value,
        "label": {
            "formatter": f"{words} {t.number(value, 0 if value == int(value) else tag.decimals)} {tag.unit}".rstrip(),
            "position": place,
            ":color": "testbed.color('warn')",
            "fontSize": 12,
            "fontFamily": "Roboto, system-ui, sans-serif",
        },
    }


# States


def ribbon_rows(timeline: Timeline, until_ns: int) -> list[list[int]]:
    """[start ms, end ms, code] up to a time; many short ones are drawn as what lasted longest in each pixel."""
    if until_ns <= timeline.window.start_ns:
        return []
    inside = timeline.start_ns < until_ns
    start, code = timeline.start_ns[inside], timeline.code[inside]
    end = np.minimum(timeline.end_ns[inside], until_ns)
    if len(start) > RIBBON_ROWS:
        edges = np.linspace(timeline.window.start_ns, until_ns, RIBBON_ROWS + 1).astype(np.int64)
        lasted = np.stack([np.diff(timeline.in_state_before(state, edges)) for state in STATES])
        code = lasted.argmax(axis=0)
        keep = np.append(True, np.diff(code) != 0)
        start, code = edges[:-1][keep], code[keep]
        end = np.append(start[1:], until_ns)
    return np.stack((start // _MS, end // _MS, code.astype(np.int64)), axis=1).tolist() if len(start) else []


def ribbon_chart(data: list[list[int]], window: Window, t: Language) -> dict[str, Any]:
    """The states as one band of colour; no data is hatched."""
    return {
        "animation": False,
        "grid": {**GRID, "top": 4},
        "xAxis": _time_axis(window, t.zone, t),
        "yAxis": {"type": "value", "min": 0, "max": 1, "show": False, "axisPointer": {"show": False}},
        "series": [
            {
                "type": "custom",
                ":renderItem": f"testbed.ribbonItem({[state.value for state in STATES]!r})",
                "encode": {"x": [0, 1]},
                "data": data,
                "clip": True,
            }
        ],
    }


def shown_until(window: Window, now_ns: int) -> int:
    """The ribbon ends with the window, or now: what will come is blank, not unknown."""
    return min(window.end_ns, now_ns)


def buckets(window: Window) -> int:
    """Buckets for a window: not finer than a second."""
    return max(2, min(BUCKETS, int(window.seconds)))
