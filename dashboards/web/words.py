"""What states, links, qualities and faults are called on screen. The Swedish words are those of the word list."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.web.i18n import Language, msg
from plant.connections import Fault, Link, SourceStatus
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


@dataclass(frozen=True, slots=True)
class Advice:
    """What happened, in one sentence, and the next step."""

    what: str
    next_step: str


_MODBUS_EXCEPTIONS = {
    "1": msg("The device does not know the function (exception 1)."),
    "2": msg("The device has no such address (exception 2)."),
    "3": msg("The device refuses the request as written (exception 3)."),
    "4": msg("The device reports a failure of its own (exception 4)."),
    "5": msg("The device needs more time (exception 5)."),
    "6": msg("The device is busy (exception 6)."),
    "8": msg("The device reports a memory error (exception 8)."),
    "10": msg("The gateway has no path to the device (exception 10)."),
    "11": msg("The device behind the gateway does not answer (exception 11)."),
}

_MODBUS_STEPS = {
    "1": msg("Try the other table for the tag: holding instead of input, or the other way round."),
    "2": msg("Compare the address with the device's manual; lists that count from 1 are one too high."),
    "3": msg("Ask for fewer registers at a time: set max_registers in plant.yaml."),
    "6": msg("Read less often: raise poll_s in plant.yaml."),
    "10": msg("Check the unit id and the gateway's routing table."),
    "11": msg("Check the unit id, and that the device is on and its bus cable is connected."),
}

_OTHER_EXCEPTION = msg("The device answered with an error.")
_OTHER_STEP = msg("Look up the error in the device's manual.")


def advice(source: SourceStatus, t: Language) -> Advice | None:
    """A source's fault in plain words; None where nothing is wrong."""
    return _advice(source.fault, source.detail, source.endpoint, source.kind, t)


def tag_advice(fault: Fault, detail: str, source: SourceStatus, t: Language) -> Advice | None:
    """A single tag's fault in plain words."""
    return _advice(fault, detail, source.endpoint, source.kind, t)


def _advice(fault: Fault, detail: str, endpoint: str, kind: str, t: Language) -> Advice | None:
    mqtt = kind == "mqtt"
    match fault:
        case Fault.NONE:
            return None
        case Fault.REFUSED:
            return Advice(
                t("Nobody listens on {endpoint}.", endpoint=endpoint),
                t("Is the broker running, and is the port right (usually 1883)?")
                if mqtt
                else t("Is the machine on, and is the port right (usually 502)?"),
            )
        case Fault.UNREACHABLE:
            return Advice(
                t("No way to {endpoint}.", endpoint=endpoint),
                t(
                    "Check the host name or address, the network cable and the firewall; then try: ping {host}",
                    host=endpoint.rsplit(":", 1)[0],
                ),
            )
        case Fault.TIMEOUT:
            return Advice(
                t("{endpoint} accepts the connection but does not answer.", endpoint=endpoint),
                t("Check the user name and whether it is really an MQTT broker.")
                if mqtt
                else t("Check the unit id; if it is right, raise timeout_s in plant.yaml."),
            )
        case Fault.LOST:
            return Advice(
                t("The connection to {endpoint} broke.", endpoint=endpoint),
                t("It is tried again by itself. If it happens often, check the cable and how many clients it takes."),
            )
        case Fault.WRONG_REPLY:
            return Advice(
                t("{endpoint} sent a reply that does not belong to the question.", endpoint=endpoint),
                t("Check the unit id, and that no other program shares the connection. Nothing wrong was stored."),
            )
        case Fault.MODBUS_EXCEPTION:
            code = "".join(filter(str.isdigit, detail))
            return Advice(t(_MODBUS_EXCEPTIONS.get(code, _OTHER_EXCEPTION)), t(_MODBUS_STEPS.get(code, _OTHER_STEP)))
        case Fault.DECODE:
            return Advice(
                t("The answer does not fit the tag."),
                t("Compare topic and path with the message shown as raw.")
                if mqtt
                else t("Check type, byte order and length of the tag against the device's manual."),
            )
        case Fault.NOT_AUTHORISED:
            return Advice(
                t("{endpoint} does not let us in.", endpoint=endpoint),
                t("Check the user name and password; the password comes from the environment."),
            )
        case Fault.NO_DATA:
            return Advice(
                t("Connected, but nothing has arrived yet."),
                t("Check that the machine publishes, and that the topics in plant.yaml are the same, letter by letter.")
                if mqtt
                else t("Wait for the first reading; it comes within one poll interval."),
            )
        case Fault.INTERNAL:
            return Advice(
                t("A fault in this program, not in your machine."),
                t("The log holds the details. Please report it with the lines around “Traceback”."),
            )
