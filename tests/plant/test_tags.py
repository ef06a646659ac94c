"""Tags: addresses in both forms, fields that must fit together, texts and labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plant.tags import Table, Tag, TagFields, parse_address


@given(st.sampled_from(Table), st.integers(0, 65_535))
def test_both_forms_of_an_address_agree(table: Table, offset: int) -> None:
    digit = {Table.COIL: 0, Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}[table]
    assert parse_address(f"{table}:{offset}") == (table, offset)
    assert parse_address(f"{digit}{offset + 1:05}") == (table, offset)
    if offset < 9_999:
        assert parse_address(f"{digit}{offset + 1:04}") == (table, offset)


WRONG = ("", "holding", "holding:", "holding:-1", "holding:65536", "x:1", "400000", "40000", "20001", "4001", "465537",
         "²0001", "1e4")  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a Modbus address"):
        parse_address(wrong)


@given(st.text())
def test_no_text_whatever_crashes(text: str) -> None:
    try:
        _, offset = parse_address(text)
    except ValueError:
        return
    assert 0 <= offset <= 0xFFFF


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"low": 2, "high": 1}, "swap them"),
        ({"type": "string", "address": "holding:0"}, "needs its length"),
        ({"type": "uint16", "address": "holding:0", "bit": 3}, "write type: bool"),
        ({"type": "int8", "address": "holding:0"}, "add byte: high or byte: low"),
        ({"scale": 0}, "every value the same"),
        ({"type": "uint16", "address": "coil:0"}, "single bit"),
        ({"type": "bool", "address": "holding:0"}, "needs its bit"),
        ({"address": "holding:0"}, "needs its type"),
        ({"type": "uint16", "address": "holding:x"}, "not a Modbus address"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TagFields.model_validate({"source": "s", **fields})


def make(**fields: object) -> Tag:
    return Tag.model_validate({"machine": "m", "name": "oil_level", "source": "s", **fields})


def test_names_and_texts() -> None:
    tag = make(enum={0: "off", 1: "run"}, label={"sv": "Oljenivå"})
    assert tag.id == "m.oil_level"
    assert [tag.text_of(value) for value in (1.0, 7.0, None, "x")] == ["run", None, None, "x"]
    assert make().text_of(1.0) is None
    assert (tag.label_in("sv"), tag.label_in("en")) == ("Oljenivå", "oil level")
    assert make(label={"en": "Oil"}).label_in("sv") == "Oil"


@pytest.mark.parametrize("value", [1.5, float("inf"), float("nan"), -0.5])
def test_what_is_no_whole_number_has_no_text(value: float) -> None:
    assert make(enum={0: "off", 1: "run"}).text_of(value) is None
