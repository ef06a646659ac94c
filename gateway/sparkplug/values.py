"""The value, time and quality of one Sparkplug B metric (pure)."""

from __future__ import annotations

from gateway.payload import parse_quality
from gateway.sparkplug.sparkplug_b_pb2 import Payload
from plant.errors import DecodeError
from plant.points import Quality

_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}  # Int8, Int16, Int32, Int64
_SINGLE = {"int_value", "long_value", "float_value", "double_value", "boolean_value", "string_value"}
_STALE = 500


def value_of(metric: Payload.Metric, datatype: int) -> object:
    """A number, a text, a bool, or None for null. Raises DecodeError for what is no single value.

    Signed integers travel as two's complement in an unsigned field, some in 32 bits, some in their own length.

    >>> value_of(Payload.Metric(int_value=0xFFFE), 2), value_of(Payload.Metric(int_value=0xFFFFFFFE), 2)
    (-2, -2)
    >>> value_of(Payload.Metric(int_value=0xFFFE), 6), value_of(Payload.Metric(long_value=2**64 - 1), 4)
    (65534, -1)
    """
    field = metric.WhichOneof("value")
    if metric.is_null or field is None:
        return None
    if field not in _SINGLE:
        raise DecodeError("the metric is not a single number or text")
    value: object = getattr(metric, field)
    bits = _SIGNED_BITS.get(datatype)
    if bits is not None and isinstance(value, int) and not isinstance(value, bool):
        low = value & ((1 << bits) - 1)
        return low - (1 << bits) if low >> (bits - 1) else low
    return value


def quality_of(metric: Payload.Metric) -> Quality:
    """What the property “Quality” says: 192 good, 500 stale, 0 bad; GOOD without one."""
    for key, value in zip(metric.properties.keys, metric.properties.values, strict=False):
        if key == "Quality":
            code = value.int_value or value.long_value
            return Quality.BAD_STALE if code == _STALE else parse_quality(code)
    return Quality.GOOD
