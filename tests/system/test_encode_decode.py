"""The simulators' encoding and the gateway's decoding were written apart: here they meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decode import decode_tag
from plant.points import Quality
from plant.tags import ByteOrder, DataType, Tag
from simulators.encode import quantise, quantise_text, words

NUMBERS = [kind for kind in DataType if not kind.is_text and kind is not DataType.NUMBER]


def tag(kind: DataType, **more: object) -> Tag:
    fields = {"machine": "m", "name": "t", "source": "s", "type": kind, "address": "holding:0", **more}
    return Tag.model_validate(fields)


@pytest.mark.parametrize("kind", NUMBERS)
@given(
    value=st.floats(-60_000, 60_000),
    order=st.sampled_from(ByteOrder),
    scale=st.sampled_from([1.0, 0.1, 0.01, 2.0]),
    offset=st.sampled_from([0.0, -40.0]),
    bit=st.integers(0, 15),
    half=st.sampled_from(["high", "low"]),
)
def test_numbers_come_through(
    kind: DataType, value: float, order: ByteOrder, scale: float, offset: float, bit: int, half: str
) -> None:
    more: dict[str, object] = {"order": order, "scale": scale, "offset": offset}
    if kind is DataType.BOOL:
        more |= {"bit": bit, "scale": 1, "offset": 0}
    if kind in (DataType.INT8, DataType.UINT8):
        more["byte"] = half
    spec = tag(kind, **more)
    expected = quantise(spec, [value])[0]
    found, quality = decode_tag(spec, [bits for bits, _ in words(spec, value)])
    if abs(expected) == float("inf"):
        assert quality is Quality.BAD_NOT_AVAILABLE
        return
    assert found == expected
    assert quality in (Quality.GOOD, Quality.UNCERTAIN_PRECISION)


@given(st.text(max_size=20), st.sampled_from(ByteOrder), st.integers(1, 8))
def test_texts_come_through(text: str, order: ByteOrder, length: int) -> None:
    spec = tag(DataType.STRING, length=length, order=order)
    found, _ = decode_tag(spec, [bits for bits, _ in words(spec, text)])
    assert (found or "") == quantise_text(spec, text)
