"""Payloads: whatever a device sends, what is proposed reads the value back through the gateway's own reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.payload import Message, TagReader, read_message
from gateway.probe.payloads import Leaf, Shape, is_time, shape_of
from gateway.probe.topics import Listened, group, propose
from plant.points import Quality
from plant.tags import DataType

NOW = 1_795_000_000_000_000_000
SCALARS = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text(max_size=8)
WORDS = st.sampled_from(["where", "parent", "a b", "it's", 'a"b', "a.b", "a\\b", "0", "x-1", "$", "@", "*"])
KEYS = WORDS | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def heard(*messages: tuple[str, bytes]) -> Listened:
    listened = Listened()
    for topic, payload in messages:
        listened.hear(Message(topic, payload, NOW))
    return listened


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_every_proposed_tag_reads_its_value_back(document):
    payload = json.dumps(document).encode()
    listened = heard(("hall/cnc-1/data", payload))
    leaves = listened.topics["hall/cnc-1/data"].leaves
    tags, _ = propose(listened.topics.values(), NOW)
    assert len({tag.id for tag in tags}) == len(tags)
    for tag, outcome in read_message([TagReader(tag) for tag in tags], Message("hall/cnc-1/data", payload, NOW)):
        assert len(outcome.points) == 1, outcome.problem
        [point] = outcome.points
        value = leaves[tag.tag.path or ""].value
        read = point.value
        if tag.tag.type is DataType.TEXT:
            assert read == value
        else:
            assert point.quality >= Quality.UNCERTAIN
            assert read == pytest.approx(float(value))


@given(st.binary(max_size=200))
def test_no_payload_stops_it(payload):
    shape, leaves = shape_of("a/b", payload)
    assert isinstance(shape, Shape)
    assert all(isinstance(leaf, Leaf) for leaf in leaves)
    propose(heard(("a/b", payload)).topics.values(), NOW)


@pytest.mark.parametrize(
    ("topic", "payload", "shape"),
    [
        ("a", b"23.5", Shape.NUMBER),
        ("a", b"true", Shape.BOOL),
        ("a", b"RUNNING", Shape.TEXT),
        ("a", b"", Shape.EMPTY),
        ("a", b'{"x": 1}', Shape.OBJECT),
        ("a", b"[1, 2]", Shape.ARRAY),
        ("a", bytes([8, 200, 255, 3]), Shape.BINARY),
        ("spBv1.0/hall/DDATA/node/cnc", b"\x08\x01", Shape.SPARKPLUG),
        ("spBv1.0/STATE/host", b'{"online": true}', Shape.OBJECT),
    ],
)
def test_shapes(topic, payload, shape):
    assert shape_of(topic, payload)[0] is shape


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("timestamp_ms", NOW // 10**6, True),
        ("ts", NOW // 10**9, True),
        ("sourceTime", "2026-11-18T12:00:00Z", True),
        ("timestamp", "2026-11-18 12:00", False),  # no offset: nobody knows when that was
        ("time", 1.7, False),  # a duration
        ("cycle_time", NOW // 10**9 * 0 + 52, False),
        ("energy", NOW // 10**9, False),  # a counter may be that large
    ],
)
def test_a_time_is_known_by_name_and_size(key, value, told):
    kind = Shape.TEXT if isinstance(value, str) else Shape.NUMBER
    assert is_time(Leaf(f"$.{key}", key, kind, value), NOW) is told


def test_the_time_goes_with_every_tag_of_its_message_and_is_none_itself():
    payload = json.dumps({"timestamp_ms": NOW // 10**6, "melt_temperature": 231.5, "good": True, "program": "O1"})
    tags, areas = propose(heard(("moulding/imm-1/shot", payload.encode())).topics.values(), NOW)
    assert [(tag.id, tag.type, tag.unit) for tag in tags] == [
        ("imm-1.melt_temperature", DataType.NUMBER, "°C"),
        ("imm-1.good", DataType.BOOL, ""),
        ("imm-1.program", DataType.TEXT, ""),
    ]
    assert {tag.time_path for tag in tags} == {"$.timestamp_ms"}
    assert areas == {"imm-1": "moulding"}


def test_values_of_the_same_name_on_two_topics_keep_apart():
    tags, _ = propose(heard(("h/m/a", b'{"x": 1}'), ("h/m/b", b'{"x": 2}')).topics.values(), NOW)
    assert [(tag.id, tag.topic) for tag in tags] == [("m.x", "h/m/a"), ("m.b_x", "h/m/b")]


def test_machines_of_one_name_in_two_halls_keep_apart():
    assert group(["a/press/x", "b/press/x"]) == {"a/press/x": "a_press", "b/press/x": "b_press"}


def test_a_last_will_is_no_tag():
    tags, _ = propose(heard(("h/m/_status", b'{"online": true}'), ("h/m/load", b"3")).topics.values(), NOW)
    assert [tag.id for tag in tags] == ["m.load"]
