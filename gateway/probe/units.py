"""The engineering unit that a key's name gives away (pure). Only clear cases: a wrong unit is worse than none."""

from __future__ import annotations

import re

_WORDS = {
    "temp": "°C", "temperature": "°C", "celsius": "°C", "degc": "°C", "humidity": "%", "rh": "%", "percent": "%",
    "pct": "%", "current": "A", "amps": "A", "amperes": "A", "voltage": "V", "volts": "V", "frequency": "Hz",
    "hz": "Hz", "khz": "kHz", "rpm": "1/min", "watt": "W", "watts": "W", "kw": "kW", "kwh": "kWh", "wh": "Wh",
    "kva": "kVA", "kvar": "kvar", "mbar": "mbar", "bar": "bar", "kpa": "kPa", "mpa": "MPa", "mm": "mm", "kn": "kN",
    "nm": "Nm", "kg": "kg", "ms": "ms", "mv": "mV", "ma": "mA",
}  # fmt: skip
_SUFFIXES = {"c": "°C", "a": "A", "v": "V", "w": "W", "s": "s", "n": "N"}
"""Single letters, only as the last of several words: `power_w`, not `w`."""
_TAKEN_BY_OTHERS = {"f", "fahrenheit", "k", "kelvin"}  # temp_f is no °C
_NO_NUMBER_OF_ITS_UNIT = {"count", "factor", "status", "state", "alarm", "limit", "id", "code", "ok", "setpoint"}


def unit_of(key: str) -> str:
    """The unit, or an empty text.

    >>> [unit_of(key) for key in ("melt_temperature", "power_kw", "tempC", "oil_c", "temp_f", "current_program", "c")]
    ['°C', 'kW', '°C', '°C', '', '', '']
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    parts = [part for part in re.split(r"[^a-z]+", words) if part]
    if not parts or _TAKEN_BY_OTHERS & set(parts) or _NO_NUMBER_OF_ITS_UNIT & set(parts):
        return ""
    last = parts[-1]
    if len(parts) > 1 and last in _SUFFIXES:
        return _SUFFIXES[last]
    return _WORDS.get(last, "") or ("°C" if parts[0] in ("temp", "temperature") else "")
