"""What the gateway says of its sources, in the words that pages and API show. The gateway implements the port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from plant.points import Point


class Link(StrEnum):
    """A source as a whole."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    FAILING = "failing"  # connected, but the last reads failed
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class Fault(StrEnum):
    """Why something does not work: a stable code that the pages put into words with a next step."""

    NONE = ""
    REFUSED = "refused"  # nobody listens on that host and port
    UNREACHABLE = "unreachable"  # no route, name not found
    TIMEOUT = "timeout"  # connected, no answer
    LOST = "lost"  # the connection broke
    WRONG_REPLY = "wrong_reply"
    MODBUS_EXCEPTION = "modbus_exception"  # `detail` holds the exception code
    DECODE = "decode"  # the payload or registers do not fit the tag
    NOT_AUTHORISED = "not_authorised"
    NO_DATA = "no_data"  # connected, but nothing has arrived yet
    INTERNAL = "internal"  # a fault of ours; the log has the traceback


@dataclass(frozen=True, slots=True)
class TagStatus:
    """One tag at its source. `raw` is what came over the wire as text (hex registers, payload excerpt)."""

    tag: str
    last: Point | None = None
    last_good_ns: int | None = None
    raw: str = ""
    fault: Fault = Fault.NONE
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source. Times UTC ns; counts since the gateway started."""

    name: str
    kind: str  # modbus-tcp, modbus-rtu-tcp, modbus-rtu, mqtt, replay
    endpoint: str  # host:port, serial port, file
    link: Link
    since_ns: int  # when `link` last changed
    fault: Fault = Fault.NONE
    detail: str = ""
    last_good_ns: int | None = None
    round_trip_ms: float | None = None  # of the last good read; None where the source is not polled
    reads: int = 0  # requests answered, messages received
    errors: Mapping[Fault, int] = field(default_factory=dict)
    overruns: int = 0  # polls that came late because the one before had not finished
    tags: tuple[TagStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """The durable buffer between the sources and the historian."""

    batches: int
    points: int
    bytes: int
    oldest_ns: int | None  # when the oldest waiting batch was committed
    dropped_points: int
    forwarded_points: int  # since the gateway started
    fault: Fault = Fault.NONE
    detail: str = ""


class Connections(Protocol):
    """The gateway as pages and API see it."""

    def sources(self) -> tuple[SourceStatus, ...]:
        """Every configured source with its tags."""

    def outbox(self) -> OutboxStatus:
        """How much waits for the historian."""
