"""What the API answers: every field described, with its unit. Times are ISO 8601 in UTC with milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from plant.connections import Fault, Link
from plant.points import Quality
from plant.states import State
from plant.tags import DataType

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-05-03T12:05:00.000Z"])]
Fraction = Annotated[float, Field(examples=[0.8881])]


class WindowOut(BaseModel):
    """A half-open stretch of time."""

    start: Time = Field(description="Start, included")
    end: Time = Field(description="End, not included")
    seconds: float = Field(description="Length, s")


class PointOut(BaseModel):
    """One value of one tag at one time."""

    time: Time = Field(description="When it was read or when its source says it was measured")
    value: float | str | None = Field(description="Number in the tag's unit, or text; null where there is none")
    text: str | None = Field(description="The value in words, where the tag has an enumeration or is a text")
    quality: str = Field(description="GOOD, UNCERTAIN… or BAD… with its reason", examples=[Quality.GOOD.name])
    quality_code: int = Field(description="The quality byte: 192 good, 64–127 uncertain, below 64 bad", examples=[192])
    stale: bool = Field(description="True where the point is too old to say anything about now")


class HistorianOut(BaseModel):
    ok: bool = Field(description="Whether it can be read and written")
    name: str = Field(description="Kind of store")
    rows: int = Field(description="Stored points")
    bytes: int = Field(description="Size on disk, bytes")
    message: str = Field(description="What is wrong; empty when all is well")


class OutboxOut(BaseModel):
    batches: int = Field(description="Batches that wait for the historian")
    points: int = Field(description="Points that wait")
    bytes: int = Field(description="Bytes that wait")
    oldest: Time | None = Field(description="When the oldest waiting batch was committed; null: none waits")
    dropped_points: int = Field(description="Points dropped because the outbox was full")
    forwarded_points: int = Field(description="Points handed to the historian since the gateway started")
    fault: Fault = Field(description="Why nothing can be handed on; empty when all is well")
    detail: str = Field(description="More about the fault")


class HealthOut(BaseModel):
    """Whether the system can do its work. Machines and their links are not part of it: see /api/sources."""

    status: Literal["ok", "failing"] = Field(description="failing is sent with HTTP 503")
    reasons: list[str] = Field(description="Why it is failing; empty when ok")
    version: str = Field(description="Version of the system", examples=["0.1.0"])
    uptime_s: float = Field(description="Since the API started, s")
    historian: HistorianOut
    outbox: OutboxOut | None = Field(description="null where no gateway runs in this process")


class ShiftOut(BaseModel):
    name: str = Field(description="Name of the shift; empty where a calendar day stands in")
    day: str = Field(description="Local date on which it starts", examples=["2026-05-03"])
    start: Time
    end: Time


class OeeSummary(BaseModel):
    """The factors as fractions; null: cannot be told."""

    availability: Fraction | None
    performance: Fraction | None = Field(description="Over 1 is possible and shown: the ideal cycle is too long then")
    quality: Fraction | None
    oee: Fraction | None
    coverage: Fraction | None = Field(description="Share of the planned time about which there is data")


class MachineOut(BaseModel):
    id: str = Field(examples=["cnc-1"])
    name: str = Field(description="Name on screen")
    path: list[str] = Field(description="Enterprise, site, area, line (ISA-95)", min_length=4, max_length=4)
    state: State = Field(description="State now; unknown: no data")
    since: Time | None = Field(description="Since when it is in that state; null: longer than is looked back")
    last_point: Time | None = Field(description="Newest point of any of its tags that is not BAD")
    shift: ShiftOut | None = Field(description="The shift that is on, else the latest one")
    oee: OeeSummary | None = Field(description="Of that shift so far; null for a machine without states")


class MachinesOut(BaseModel):
    plant: str = Field(description="Name of the plant")
    simulated: bool = Field(description="True where the machines are simulated: never evidence")
    machines: list[MachineOut]


class IntervalOut(BaseModel):
    start: Time
    end: Time
    state: State
    seconds: float = Field(description="Length, s")


class StatesOut(BaseModel):
    """The intervals tile the window: no overlap, no hole."""

    machine: str
    window: WindowOut
    simulated: bool
    intervals: list[IntervalOut]
    seconds: dict[State, float] = Field(description="Sum per state, s; together the length of the window")
    coverage: Fraction = Field(description="Share of the window about which there is data")


class OeeTimes(BaseModel):
    """The elements of the window, s. planned + unplanned = window; the states sum to planned."""

    window: float
    planned: float = Field(description="Planned busy time (PBT): shifts less breaks")
    known: float = Field(description="Planned time about which there is data")
    running: float = Field(description="Actual production time (APT)")
    down: float = Field(description="Planned, known, and not running")
    unplanned: float = Field(description="Outside shifts, or in breaks")
    unplanned_running: float = Field(description="Running outside planned time: shown apart")


class OeePartsOut(BaseModel):
    """Parts in the planned time; null where nobody counts."""

    produced: int | None
    good: int | None
    scrap: int | None
    unplanned: int | None = Field(description="Made outside planned time: shown apart")


class OeeOut(OeeSummary):
    """OEE after ISO 22400-2:2014 with everything it is made of."""

    machine: str
    window: WindowOut = Field(description="As asked, cut at now: what is still to come is left out")
    simulated: bool
    quality_counted: bool = Field(description="False: nobody counts scrap, and oee is availability × performance")
    ideal_cycle_s: float | None = Field(description="Planned run time per part, s")
    seconds: OeeTimes
    planned_seconds_by_state: dict[State, float] = Field(description="The planned time split by state, s")
    parts: OeePartsOut
    notes: list[str] = Field(description="How the figures were calculated, and what to be careful with")


class PartOut(BaseModel):
    time: Time = Field(description="When the counter was read")
    count: int = Field(description="Parts seen at that reading; mostly 1")
    cycle_s: float | None = Field(description="Time per part since the reading before, s; null for the first")
    scrap: int | None = Field(description="How many of them are scrap; null where nobody counts")


class PartsOut(BaseModel):
    machine: str
    window: WindowOut
    simulated: bool
    parts: list[PartOut] = Field(description="Newest first")


class TagOut(BaseModel):
    id: str = Field(description="machine.name", examples=["cnc-1.spindle_load"])
    machine: str
    name: str
    source: str = Field(description="The source that delivers it")
    type: DataType
    unit: str = Field(description="Engineering unit; empty: none")
    label: dict[str, str] = Field(description="Name on screen by language")
    decimals: int = Field(description="Decimals shown on screen")
    low: float | None = Field(description="Lowest valid value, in the unit")
    high: float | None = Field(description="Highest valid value, in the unit")
    last: PointOut | None = Field(description="Newest point, whatever its quality")


class TagsOut(BaseModel):
    tags: list[TagOut]


class TrendOut(BaseModel):
    """A tag in equal buckets, one array per column. null in a bucket without a usable number: a gap is a gap."""

    tag: str
    unit: str
    simulated: bool
    window: WindowOut
    bucket_s: float = Field(description="Length of a bucket, s; the last one may be cut short")
    start: list[Time] = Field(description="Start of each bucket")
    mean: list[float | None]
    minimum: list[float | None]
    maximum: list[float | None]
    count: list[int] = Field(description="Numbers in each bucket that are not BAD")


class PointsOut(BaseModel):
    """Stored points of a tag, one array per column."""

    tag: str
    unit: str
    simulated: bool
    window: WindowOut
    time: list[str] = Field(description="ISO 8601, UTC, to the nanosecond")
    value: list[float | str | None] = Field(description="Number or text; null in a BAD point")
    quality: list[str] = Field(description="GOOD, UNCERTAIN… or BAD… with its reason", examples=[["GOOD"]])
    next: str | None = Field(description="`from` of the next call where there are more points than `limit`")


class TagStatusOut(BaseModel):
    tag: str
    last: PointOut | None
    last_good: Time | None
    raw: str = Field(description="What came over the wire: registers in hex, or an excerpt of the payload")
    fault: Fault
    detail: str


class SourceOut(BaseModel):
    name: str
    kind: str = Field(examples=["modbus-tcp"])
    endpoint: str = Field(examples=["192.168.0.10:502"])
    link: Link
    since: Time = Field(description="When `link` last changed")
    fault: Fault = Field(description="Why it does not work; empty: it works")
    detail: str
    last_good: Time | None = Field(description="Newest good read")
    round_trip_ms: float | None = Field(description="Of the last good read, ms; null where the source is not polled")
    reads: int = Field(description="Answers or messages since the gateway started")
    errors: dict[str, int] = Field(description="Failures since the gateway started, by fault")
    overruns: int = Field(description="Polls that came late because the one before had not finished")
    protocol: str = Field(description="Version that runs, such as MQTT 5; empty where there is but one")
    rejected: int = Field(description="Messages set aside because they could not be read, ever")
    broker_dropped: int = Field(description="Messages that the broker threw away since we connected, for any client")
    tags: list[TagStatusOut]


class OutputOut(BaseModel):
    name: str
    kind: str = Field(examples=["mqtt"])
    endpoint: str
    link: Link
    since: Time = Field(description="When `link` last changed")
    fault: Fault = Field(description="Why it does not work; empty: it works")
    detail: str
    protocol: str = Field(description="Version that runs, such as MQTT 5")
    waiting_points: int = Field(description="Points on disk that it does not have yet")
    oldest: Time | None = Field(description="When the oldest of them was stored")
    published_points: int = Field(description="Since the gateway started")
    dropped_points: int = Field(
        description="Points it will never get, because the outbox was full or they were too old"
    )


class OutputsOut(BaseModel):
    outputs: list[OutputOut]


class RejectedMessageOut(BaseModel):
    time: Time = Field(description="When it arrived")
    topic: str
    payload: str = Field(description="Its first 4 kB; bytes that are not UTF-8 as \\x…")
    size: int = Field(description="Of the whole payload, bytes")
    reason: str = Field(description="Why it could not be read")


class RejectedOut(BaseModel):
    source: str
    total: int = Field(description="Set aside ever; the list holds the newest 200")
    messages: list[RejectedMessageOut] = Field(description="Newest first")


class SourcesOut(BaseModel):
    gateway: bool = Field(description="False where no gateway runs in this process; then the list is empty")
    sources: list[SourceOut]


class DifferenceOut(BaseModel):
    """Names by what happened to them."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    kept: list[str]


class ReloadOut(BaseModel):
    """What a reload changed."""

    sources: DifferenceOut = Field(description="Added ones were started, changed ones restarted, kept ones not touched")
    machines: DifferenceOut
    tags: DifferenceOut = Field(description="By id, machine.name")
