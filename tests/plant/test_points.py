"""Points and batches: nothing is lost or changed on the way through columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.points import Level, Point, PointBatch, Quality

points = st.lists(
    st.builds(
        Point,
        st.sampled_from(["a.x", "a.y", "b.x"]),
        st.integers(0, 2**62),
        st.one_of(st.none(), st.text(), st.floats(allow_nan=False)),
        st.sampled_from(Quality),
    ),
    max_size=12,
)


@given(points)
def test_there_and_back(rows: list[Point]) -> None:
    assert list(PointBatch.of(rows)) == rows


@given(st.lists(points, max_size=5))
def test_concat_keeps_rows_and_order(groups: list[list[Point]]) -> None:
    batch = PointBatch.concat([PointBatch.of(group) for group in groups])
    assert list(batch) == [point for group in groups for point in group]
    assert len(set(batch.tags)) == len(batch.tags)


@given(points, st.data())
def test_take(rows: list[Point], data: st.DataObject) -> None:
    batch = PointBatch.of(rows)
    mask = np.array([data.draw(st.booleans()) for _ in rows], dtype=np.bool_)
    assert list(batch.take(mask)) == [row for row, wanted in zip(rows, mask.tolist(), strict=True) if wanted]
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.intp)
    assert list(batch.take(order)) == [rows[i] for i in order.tolist()]


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        PointBatch(("a",), np.zeros(2, np.int32), np.zeros(1, np.int64), np.zeros(2), np.zeros(2, np.uint8))


@pytest.mark.parametrize("quality", Quality)
def test_names_say_their_level(quality: Quality) -> None:
    assert quality.name.startswith(quality.level.name)
    assert (quality < Quality.UNCERTAIN) == (quality.level is Level.BAD)


@pytest.mark.parametrize("code", range(256))
def test_a_modbus_exception_is_always_bad(code: int) -> None:
    assert Quality.of_modbus_exception(code).level is Level.BAD


def test_modbus_exceptions_by_name() -> None:
    assert Quality.of_modbus_exception(2) is Quality.BAD_MODBUS_ILLEGAL_ADDRESS
    assert Quality.of_modbus_exception(9) is Quality.BAD
