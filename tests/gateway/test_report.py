"""Report by exception: what goes out, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.report import Reporter, deadband
from plant.clock import SECOND
from plant.points import Quality
from tests.gateway.support import tag

GOOD, BAD = Quality.GOOD, Quality.BAD_TIMEOUT


def sent(
    report: dict[str, float] | None, readings: list[tuple[float, float, Quality]], **fields: float
) -> list[tuple[float, float]]:
    """Time (s) and value of what goes out."""
    reporter = Reporter([tag(type="number", report=report, **fields)])
    rows, out = np.array([0], dtype=np.intp), []
    for at, value, quality in readings:
        number = value if quality >= Quality.UNCERTAIN else np.nan
        news = reporter.news(rows, int((1_000 + at) * SECOND), np.array([number]), np.array([quality], dtype=np.uint8))
        if news[0]:
            out.append((at, value))
    return out


def test_without_report_every_value_goes_out_and_a_failure_once_a_minute() -> None:
    readings = [(0, 5, GOOD), (1, 5, GOOD), (2, 0, BAD), (3, 0, BAD), (61, 0, BAD), (62, 0, BAD), (63, 5, GOOD)]
    assert [at for at, _ in sent(None, readings)] == [0, 1, 2, 62, 63]


def test_deadband_is_counted_from_the_last_value_that_went_out() -> None:
    readings = [(i, value, GOOD) for i, value in enumerate([10, 10.3, 10.4, 10.5, 10.1, 10.0, 10.0])]
    assert sent({"deadband": 0.5}, readings) == [(0, 10), (3, 10.5), (5, 10.0)]


def test_without_a_deadband_any_change_goes_out() -> None:
    assert [at for at, _ in sent({"heartbeat_s": 60}, [(0, 1, GOOD), (1, 1, GOOD), (2, 1.001, GOOD)])] == [0, 2]


def test_heartbeat_and_quality() -> None:
    uncertain = Quality.UNCERTAIN_OUT_OF_RANGE
    readings = [
        (0, 1, GOOD),
        (4, 1, GOOD),
        (5, 1, GOOD),
        (6, 1, uncertain),
        (7, 1, uncertain),
        (8, 0, BAD),
        (9, 1, GOOD),
    ]
    assert [at for at, _ in sent({"heartbeat_s": 5, "deadband": 3}, readings)] == [0, 5, 6, 8, 9]


def test_percent_is_of_the_valid_range() -> None:
    one = tag(type="number", report={"deadband_percent": 1}, low=0, high=200)
    assert deadband(one) == pytest.approx(2.0)


def test_a_text_that_changes_goes_out() -> None:
    reporter = Reporter([tag(type="text", report={})])
    rows, nan, good = np.array([0], dtype=np.intp), np.array([np.nan]), np.array([GOOD], dtype=np.uint8)
    said = [reporter.news(rows, (1 + i) * SECOND, nan, good, (text,))[0] for i, text in enumerate("aab")]
    assert said == [True, False, True]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.floats(0, 20), st.floats(1, 30))
def test_what_is_known_is_never_further_off_than_the_deadband(
    values: list[float], band: float, heartbeat_s: float
) -> None:
    out = dict(sent({"deadband": band, "heartbeat_s": heartbeat_s}, [(i, v, GOOD) for i, v in enumerate(values)]))
    known, known_at = values[0], 0.0
    for i, value in enumerate(values):
        known, known_at = (out[i], i) if i in out else (known, known_at)
        assert abs(value - known) <= max(band, 0.0)
        assert i - known_at < heartbeat_s
