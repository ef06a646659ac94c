"""What states, links, qualities and faults are called on screen. The Swedish words are those of the word list."""

from __future__ import annotations

from dashboards.web.i18n import Language, msg
from plant.connections import Fault, Link
from plant.points import Level, Quality
from plant.states import State

STATE_WORDS: dict[State, str] = {
    State.RUNNING: msg("Running"),
    State.IDLE: msg("Idle"),
    State.STOPPED: msg("Stopped"),
    State.SETUP: msg("Setup"),
    State.FAULT: msg("Fault"),
    State.OFF: msg("Off"),
    State.UNKNOWN: msg("No data"),
}

LINK_WORDS: dict[Link, str] = {
    Link.CONNECTED: msg("Connected"),
    Link.CONNECTING: msg("Connecting"),
    Link.FAILING: msg("Failing"),
    Link.DISCONNECTED: msg("Disconnected"),
    Link.STOPPED: msg("Not in use"),
}

LINK_ICONS: dict[Link, str] = {
    Link.CONNECTED: "check",
    Link.CONNECTING: "wait",
    Link.FAILING: "warning",
    Link.DISCONNECTED: "cross",
    Link.STOPPED: "off",
}

LINK_TONES: dict[Link, str] = {
    Link.CONNECTED: "ok",
    Link.CONNECTING: "quiet",
    Link.FAILING: "warn",
    Link.DISCONNECTED: "bad",
    Link.STOPPED: "quiet",
}

KIND_WORDS = {
    "modbus-tcp": msg("Modbus TCP"),
    "modbus-rtu-tcp": msg("Modbus RTU over TCP"),
    "modbus-rtu": msg("Modbus RTU"),
    "mqtt": msg("MQTT"),
    "replay": msg("Recorded log"),
}

FAULT_WORDS: dict[Fault, str] = {
    Fault.NONE: "",
    Fault.REFUSED: msg("refused"),
    Fault.UNREACHABLE: msg("unreachable"),
    Fault.TIMEOUT: msg("no answer"),
    Fault.LOST: msg("connection lost"),
    Fault.WRONG_REPLY: msg("wrong reply"),
    Fault.MODBUS_EXCEPTION: msg("device error"),
    Fault.DECODE: msg("not readable"),
    Fault.NOT_AUTHORISED: msg("not allowed"),
    Fault.NO_DATA: msg("no data yet"),
    Fault.INTERNAL: msg("fault in this program"),
}

_QUALITY_WORDS: dict[Quality, str] = {
    Quality.GOOD: msg("Good"),
    Quality.UNCERTAIN: msg("Uncertain"),
    Quality.UNCERTAIN_OUT_OF_RANGE: msg("Outside its range"),
    Quality.UNCERTAIN_PRECISION: msg("Rounded"),
    Quality.UNCERTAIN_SOURCE_TIME: msg("Time of arrival"),
    Quality.UNCERTAIN_BY_SOURCE: msg("Uncertain, says the device"),
    Quality.BAD: msg("Bad"),
    Quality.BAD_TIMEOUT: msg("No answer"),
    Quality.BAD_NOT_CONNECTED: msg("Not connected"),
    Quality.BAD_WRONG_REPLY: msg("Wrong reply"),
    Quality.BAD_DECODE: msg("Not readable"),
    Quality.BAD_NOT_AVAILABLE: msg("The device has no value"),
    Quality.BAD_STALE: msg("Too old"),
    Quality.BAD_END_OF_RECORDING: msg("The recording ends here"),
    Quality.BAD_BY_SOURCE: msg("Bad, says the device"),
    Quality.BAD_MODBUS_ILLEGAL_FUNCTION: msg("The device does not know the function"),
    Quality.BAD_MODBUS_ILLEGAL_ADDRESS: msg("The device has no such address"),
    Quality.BAD_MODBUS_ILLEGAL_VALUE: msg("The device refuses the request"),
    Quality.BAD_MODBUS_DEVICE_FAILURE: msg("The device reports a failure"),
    Quality.BAD_MODBUS_ACKNOWLEDGE: msg("The device needs more time"),
    Quality.BAD_MODBUS_DEVICE_BUSY: msg("The device is busy"),
    Quality.BAD_MODBUS_MEMORY_PARITY: msg("The device reports a memory error"),
    Quality.BAD_MODBUS_GATEWAY_PATH: msg("The gateway has no path to the device"),
    Quality.BAD_MODBUS_GATEWAY_TARGET: msg("The device behind the gateway does not answer"),
}

_LEVEL_TONES = {Level.GOOD: "ok", Level.UNCERTAIN: "warn", Level.BAD: "bad"}


def quality_word(quality: Quality, t: Language) -> str:
    return t(_QUALITY_WORDS[quality])


def quality_tone(quality: Quality) -> str:
    """ok, warn or bad."""
    return _LEVEL_TONES[quality.level]
