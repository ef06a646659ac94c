"""What is wrong with a source or a tag, in plain words, and the next step. One table, one line per fault."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.web.i18n import Language, msg
from plant.connections import Fault, SourceStatus


@dataclass(frozen=True, slots=True)
class Advice:
    """What happened, in one sentence, and the next step."""

    what: str
    next_step: str


# fault: what happened, next step on Modbus, next step on MQTT (None: the same)
_FAULTS: dict[Fault, tuple[str, str, str | None]] = {
    Fault.REFUSED: (
        msg("Nobody listens on {endpoint}."),
        msg("Is the machine on, and is the port right (usually 502)?"),
        msg("Is the broker running, and is the port right (usually 1883)?"),
    ),
    Fault.UNREACHABLE: (
        msg("No way to {endpoint}."),
        msg("Check the host name or address, the network cable and the firewall; then try: ping {host}"),
        None,
    ),
    Fault.TIMEOUT: (
        msg("{endpoint} does not answer in time."),
        msg("Is the machine on? If it is, check address and unit id, or raise timeout_s in plant.yaml."),
        msg("Check the address, and that it is really an MQTT broker."),
    ),
    Fault.LOST: (
        msg("The connection to {endpoint} broke."),
        msg("It is tried again by itself. If it happens often, check the cable and how many clients it takes."),
        None,
    ),
    Fault.WRONG_REPLY: (
        msg("{endpoint} sent a reply that does not belong to the question."),
        msg("Check the unit id, and that no other program shares the connection. Nothing wrong was stored."),
        None,
    ),
    Fault.DECODE: (
        msg("The answer does not fit the tag."),
        msg("Check type, byte order and length of the tag against the device's manual."),
        msg("Compare topic and path with the message shown as raw."),
    ),
    Fault.NOT_AUTHORISED: (
        msg("{endpoint} does not let us in."),
        msg("Check the user name and password; the password comes from an environment variable."),
        None,
    ),
    Fault.TLS: (
        msg("The encrypted connection to {endpoint} is not agreed on."),
        msg("Check tls.ca, tls.cert and tls.key in plant.yaml, the broker's name and its port (mostly 8883)."),
        None,
    ),
    Fault.NO_DATA: (
        msg("Connected, but nothing has arrived yet."),
        msg("Wait for the first reading; it comes within one poll interval."),
        msg("Check that the machine publishes, and that the topics in plant.yaml are the same, letter by letter."),
    ),
    Fault.INTERNAL: (
        msg("A fault in this program, not in your machine."),
        msg("The log holds the details. Please report it with the lines around “Traceback”."),
        None,
    ),
}

_SERIAL_PORT = (
    msg("The serial port {endpoint} cannot be opened."),
    msg("Is the adapter plugged in, and may this user open the port (group dialout), and nobody else has?"),
)

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


def source_advice(source: SourceStatus, t: Language) -> Advice | None:
    """A source's fault in plain words; None where nothing is wrong."""
    return tag_advice(source.fault, source.detail, source, t)


def tag_advice(fault: Fault, detail: str, source: SourceStatus, t: Language) -> Advice | None:
    """A fault at a source in plain words; None where nothing is wrong."""
    if fault is Fault.NONE:
        return None
    if fault is Fault.MODBUS_EXCEPTION:
        code = _exception_code(detail)
        return Advice(t(_MODBUS_EXCEPTIONS.get(code, _OTHER_EXCEPTION)), t(_MODBUS_STEPS.get(code, _OTHER_STEP)))
    what, step, step_mqtt = _FAULTS[fault]
    if source.kind == "modbus-rtu" and fault is Fault.UNREACHABLE:
        what, step = _SERIAL_PORT
    if source.kind in ("mqtt", "sparkplug") and step_mqtt is not None:
        step = step_mqtt
    place = {"endpoint": source.endpoint, "host": source.endpoint.rsplit(":", 1)[0]}
    return Advice(t(what, **place), t(step, **place))


def _exception_code(detail: str) -> str:
    """The code in the gateway's text.

    >>> _exception_code("exception 2 at holding:17")
    '2'
    """
    words = detail.partition("exception ")[2].split()
    return words[0] if words else ""
