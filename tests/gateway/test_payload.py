from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import codec
from gateway.payload import Message, TagReader, parse_time, read_message
from gateway.topics import Router, covers, fewest
from plant.clock import DAY, SECOND, parse_iso
from plant.errors import UserInputError
from plant.points import Point, PointBatch, Quality
from tests.gateway.support import tag

ARRIVED = parse_iso("2026-05-03T12:00:00Z")
GOOD, BAD_DECODE, NOT_AVAILABLE = Quality.GOOD, Quality.BAD_DECODE, Quality.BAD_NOT_AVAILABLE


def read(
    payload: str | bytes, *, retained: bool = False, queued: bool = False, **fields: Any
) -> tuple[Point | None, str]:
    raw = payload.encode() if isinstance(payload, str) else payload
    [(_, outcome)] = read_message([TagReader(tag(topic="t", **fields))], Message("t", raw, ARRIVED, retained, queued))
    assert len(outcome.points) <= 1
    return (outcome.points[0] if outcome.points else None), outcome.problem


@pytest.mark.parametrize(
    ("payload", "fields", "value", "quality"),
    [
        ("23.5", {}, 23.5, GOOD),
        (" 23.5\n", {}, 23.5, GOOD),
        ('"23.5"', {}, 23.5, GOOD),
        ("+5", {}, 5, GOOD),
        ("true", {"type": "bool"}, 1, GOOD),
        ("False", {"type": "bool"}, 0, GOOD),
        ("0", {"type": "bool"}, 0, GOOD),
        ("2", {"type": "bool"}, None, BAD_DECODE),
        ("RUNNING", {"type": "text"}, "RUNNING", GOOD),
        ('"RUNNING"', {"type": "text"}, "RUNNING", GOOD),
        ("17", {"type": "text"}, "17", GOOD),
        ("RUNNING", {}, None, BAD_DECODE),
        ("RUNNING", {"enum": {0: "IDLE", 1: "RUNNING"}}, 1, GOOD),
        ("23,5", {}, None, BAD_DECODE),
        ("1_000", {}, None, BAD_DECODE),
        (b"\xff\xfe", {}, None, BAD_DECODE),
        (b"\xff\xfe", {"type": "text"}, None, BAD_DECODE),
        ("", {}, None, NOT_AVAILABLE),
        ("nan", {}, None, NOT_AVAILABLE),
        ('{"a": {"b": 4}}', {"path": "$.a.b"}, 4, GOOD),
        ('{"a": [{"b": 4}, {"b": 5}]}', {"path": "$.a[1].b"}, 5, GOOD),
        ('{"a": "4.25"}', {"path": "$.a"}, 4.25, GOOD),
        ('{"a": true}', {"path": "$.a"}, 1, GOOD),
        ('{"a": null}', {"path": "$.a"}, None, NOT_AVAILABLE),
        ('{"a": NaN}', {"path": "$.a"}, None, NOT_AVAILABLE),
        ('{"a": {"b": 4}}', {"path": "$.a"}, None, BAD_DECODE),
        ('{"a": [1, 2]}', {"path": "$.a[*]"}, None, BAD_DECODE),
        ('{"a": 4', {"path": "$.a"}, None, BAD_DECODE),
        ("hello", {"path": "$.a"}, None, BAD_DECODE),
        ('{"a": "\\ud800"}', {"path": "$.a", "type": "text"}, None, BAD_DECODE),
        ('{"a": 200}', {"path": "$.a", "scale": 0.1, "offset": 5}, 25, GOOD),
        ('{"a": 200}', {"path": "$.a", "scale": 0.1, "high": 19}, 20, Quality.UNCERTAIN_OUT_OF_RANGE),
        ('{"a": -1}', {"path": "$.a", "low": 0}, -1, Quality.UNCERTAIN_OUT_OF_RANGE),
        ('{"a": 9007199254740993}', {"path": "$.a"}, 2.0**53, Quality.UNCERTAIN_PRECISION),
        ('{"a": 1' + "0" * 400 + "}", {"path": "$.a"}, None, BAD_DECODE),
        ('{"a": 1' + "0" * 400 + "}", {"path": "$.a", "type": "bool"}, None, BAD_DECODE),
    ],
)
def test_values(payload: str | bytes, fields: dict[str, Any], value: object, quality: Quality) -> None:
    point, problem = read(payload, **fields)
    assert point == Point("m.x", ARRIVED, value, quality)  # type: ignore[arg-type]
    assert bool(problem) == (quality is BAD_DECODE)


@pytest.mark.parametrize("payload", ['{"b": 1}', "[]", "{}", "5", '"text"'])
def test_a_key_that_is_not_there_gives_no_point(payload: str) -> None:
    assert read(payload, path="$.a") == (None, "the message has no $.a")


HALF = SECOND // 2


@pytest.mark.parametrize(
    ("time", "after"),
    [
        ("1777809600", 0),
        ("1777809600.5", HALF),
        ("1777809600500", HALF),
        ("1777809600500000", HALF),
        ("1777809600500000000", HALF),
        ('"1777809600500"', HALF),
        ('"2026-05-03T12:00:00.5Z"', HALF),
        ('"2026-05-03T14:00:00.500+02:00"', HALF),
    ],
)
def test_the_messages_own_time(time: str, after: int) -> None:
    point, problem = read(f'{{"v": 1, "t": {time}}}', path="$.v", time_path="$.t")
    assert (point, problem) == (Point("m.x", ARRIVED + after, 1, GOOD), "")


@pytest.mark.parametrize(
    "time",
    ['"2026-05-03T12:00:00"', '"yesterday"', "null", "true", "12.5", "-5", "[]", '"nan"', "1e300",
     str((ARRIVED + DAY) // SECOND), str(ARRIVED + 10 * SECOND + 1_000)],
)  # fmt: skip
def test_a_time_that_cannot_be_used_is_the_arrival_and_uncertain(time: str) -> None:
    point, problem = read(f'{{"v": 1, "t": {time}}}', path="$.v", time_path="$.t")
    assert point == Point("m.x", ARRIVED, 1, Quality.UNCERTAIN_SOURCE_TIME)
    assert problem


def test_a_clock_a_little_ahead_is_believed_and_one_far_ahead_is_told() -> None:
    point, problem = read(f'{{"v": 1, "t": {ARRIVED + 10 * SECOND}}}', path="$.v", time_path="$.t")
    assert (point, problem) == (Point("m.x", ARRIVED + 10 * SECOND, 1, GOOD), "")
    _, problem = read(f'{{"v": 1, "t": {ARRIVED + 7200 * SECOND}}}', path="$.v", time_path="$.t")
    assert "clock is 7,200 s ahead" in problem


def test_a_message_that_waited_at_the_broker_is_uncertain_unless_it_has_its_own_time() -> None:
    assert read("1", queued=True)[0] == Point("m.x", ARRIVED, 1, Quality.UNCERTAIN_SOURCE_TIME)
    point, _ = read('{"v": 1, "t": "2026-05-03T08:00:00Z"}', queued=True, path="$.v", time_path="$.t")
    assert point == Point("m.x", ARRIVED - 4 * 3600 * SECOND, 1, GOOD)


def test_no_time_in_the_message() -> None:
    assert read('{"v": 1}', path="$.v", time_path="$.t")[0] == Point("m.x", ARRIVED, 1, Quality.UNCERTAIN_SOURCE_TIME)


def test_a_retained_value_keeps_its_own_time_and_without_one_is_uncertain() -> None:
    old = '{"v": 1, "t": "2026-05-03T08:00:00Z"}'
    point, _ = read(old, retained=True, path="$.v", time_path="$.t")
    assert point == Point("m.x", ARRIVED - 4 * 3600 * SECOND, 1, GOOD)
    assert read("1", retained=True)[0] == Point("m.x", ARRIVED, 1, Quality.UNCERTAIN_SOURCE_TIME)


def test_time_units_are_told_by_size() -> None:
    assert [parse_time(10**n) for n in (10, 12, 15, 18)] == [10**19, 10**18, 10**18, 10**18]


def test_a_path_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UserInputError, match=r"m\.x.*\$\.a\["):
        TagReader(tag(topic="t", path="$.a["))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text() | st.just("a"), x),
)


@given(st.binary() | JSON.map(lambda document: json.dumps(document).encode()))
@example(b'{"a": "\\ud800", "t": "\\ud800"}')
@example(b"[" * 100_000)
@example(b'{"a": ' + b"9" * 5_000 + b"}")
def test_nothing_that_a_device_sends_raises_or_cannot_be_stored(payload: bytes) -> None:
    readers = [
        TagReader(tag(f"{kind}{i}", topic="t", type=kind, **paths))
        for kind in ("number", "text", "bool", "int32")
        for i, paths in enumerate([{}, {"path": "$.a", "time_path": "$.t"}, {"path": "$..a"}, {"path": "$.a[0].b"}])
    ]
    outcomes = read_message(readers, Message("t", payload, ARRIVED))
    batch = PointBatch.of(point for _, outcome in outcomes for point in outcome.points)
    assert len(codec.decode(codec.encode(batch))) == len(batch)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a/#", "a/b/c", True), ("a/#", "a", True), ("a/#", "a/+/c", True), ("a/#", "a/#", True), ("#", "a/+", True),
        ("a/+", "a/b", True), ("a/+", "a/+", True), ("a/+", "a/#", False), ("a/+", "a/b/c", False),
        ("a/b", "a/+", False), ("a", "a/b", False), ("a/b", "a", False), ("+/b", "a/+", False), ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
    ],
)  # fmt: skip
def test_covering(wide: str, narrow: str, *, expected: bool) -> None:
    assert covers(wide, narrow) is expected


def test_no_message_is_asked_for_twice() -> None:
    assert fewest(["a/b", "a/#", "a/b", "c/+", "c/d", "e"]) == ["a/#", "c/+", "e"]


def test_routing() -> None:
    router = Router([("a/+/x", 1), ("a/#", 2), ("a/b/x", 3)])
    assert router.find("a/b/x") == (1, 2, 3)
    assert router.find("a/c/x") == (1, 2)
    assert router.find("b") == ()


SAMPLES = {"each": "$.samples[*]", "path": "$.v", "time_path": "$.t"}


def points_of(payload: object, **fields: Any) -> tuple[list[Point], str]:
    message = Message("t", orjson.dumps(payload), ARRIVED)
    [(_, outcome)] = read_message([TagReader(tag(topic="t", **fields))], message)
    return list(outcome.points), outcome.problem


def test_an_array_gives_a_point_for_each_sample_under_its_own_time() -> None:
    start = ARRIVED // 10**9 - 10
    samples = [{"v": i, "t": start + i} for i in range(3)]
    points, problem = points_of({"samples": samples}, **SAMPLES)
    assert [(p.value, p.time_ns, p.quality) for p in points] == [
        (i, (start + i) * 10**9, Quality.GOOD) for i in range(3)
    ]
    assert not problem


def test_a_sample_without_a_time_has_no_place() -> None:
    samples = [{"v": 1}, {"v": 2, "t": ARRIVED}, {"t": ARRIVED + 1}, {"v": "x", "t": ARRIVED + 1_000}]
    points, problem = points_of({"samples": samples}, **SAMPLES)
    assert [(p.value, p.quality) for p in points] == [(2, Quality.GOOD), (None, Quality.BAD_DECODE)]
    assert "left out" in problem
    assert points_of({"other": 1}, **SAMPLES) == ([], "the message has no $.samples[*]")


def test_samples_that_are_pairs() -> None:
    fields = {"each": "$[*]", "path": "$[1]", "time_path": "$[0]"}
    points, _ = points_of([[ARRIVED - 2_000, 5], [ARRIVED - 1_000, 6]], **fields)
    assert [(p.time_ns, p.value) for p in points] == [(ARRIVED - 2_000, 5), (ARRIVED - 1_000, 6)]


def test_an_array_needs_a_time_for_each_sample() -> None:
    with pytest.raises(ValueError, match="add time_path"):
        tag(topic="t", each="$[*]", path="$.v")


@pytest.mark.parametrize(
    ("word", "value", "quality"),
    [
        ("good", 7, Quality.GOOD),
        ("Uncertain", 7, Quality.UNCERTAIN_BY_SOURCE),
        ("BAD", None, Quality.BAD_BY_SOURCE),
        (192, 7, Quality.GOOD),
        (True, 7, Quality.GOOD),
        (0, None, Quality.BAD_BY_SOURCE),
        ("64", 7, Quality.UNCERTAIN_BY_SOURCE),
        (0x80AB0000, None, Quality.BAD_BY_SOURCE),
        ({"odd": 1}, 7, Quality.UNCERTAIN_BY_SOURCE),
    ],
)
def test_a_device_may_doubt_its_own_value(word: object, value: float | None, quality: Quality) -> None:
    [point], _ = points_of({"v": 7, "q": word}, path="$.v", quality_path="$.q")
    assert (point.value, point.quality) == (value, quality)


def test_a_doubt_does_not_hide_a_worse_one() -> None:
    [point], _ = points_of({"v": 700, "q": "uncertain"}, path="$.v", quality_path="$.q", high=100)
    assert point.quality is Quality.UNCERTAIN_OUT_OF_RANGE
    [point], _ = points_of({"v": 7}, path="$.v", quality_path="$.q")
    assert point.quality is Quality.GOOD
