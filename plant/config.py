"""The models of plant.yaml: every field typed and described, unknown keys refused.

`plant/config_file.py` reads the file and turns what pydantic finds into mistakes with line numbers.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from plant.states import State, number_key
from plant.tags import Tag, TagFields

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A name that can stand in a URL, an MQTT topic level and a file name."""

Port = Annotated[int, Field(ge=1, le=65_535)]
LocalTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


_TAG_FIELDS = set(Tag.model_fields)
_DAY_MINUTES = 24 * 60


def _minutes(local: str) -> int:
    hours, minutes = local.split(":")
    return 60 * int(hours) + int(minutes)


class Section(BaseModel):
    """The common ground: frozen; an unknown key is a mistake, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class BreakConfig(Section):
    """A planned break inside a shift, local time."""

    start: LocalTime = Field(description="When the break starts, such as 09:00")
    minutes: Annotated[int, Field(ge=1, le=480)] = Field(description="How long it lasts")


class ShiftConfig(Section):
    """A planned shift, local time. One that ends at or before its start ends on the next day."""

    name: str = Field(description="Name on screen")
    days: list[Weekday] = Field(min_length=1, description="Days on which it starts: [mon, tue, wed, thu, fri]")
    start: LocalTime = Field(description="When it starts, such as 06:00")
    end: LocalTime = Field(description="When it ends; 06:00 after a start of 22:00 is the next morning")
    breaks: list[BreakConfig] = Field(default_factory=list, description="Planned breaks")

    @model_validator(mode="after")
    def _breaks_inside(self) -> Self:
        length = (_minutes(self.end) - _minutes(self.start) - 1) % _DAY_MINUTES + 1
        for pause in self.breaks:
            begins = (_minutes(pause.start) - _minutes(self.start)) % _DAY_MINUTES
            if begins + pause.minutes > length:
                raise ValueError(
                    f"the break at {pause.start} is not inside the shift {self.start}–{self.end}; "
                    "move it, or give it to the shift it belongs to"
                )
        return self


class PlantSection(Section):
    """The plant as a whole."""

    enterprise: Name = Field(description="First level of the equipment hierarchy (ISA-95)")
    site: Name = Field(description="Second level of the equipment hierarchy")
    name: str = Field(description="Name of the plant on screen")
    timezone: str = Field("Europe/Stockholm", description="Time zone of shifts and screens (IANA name)")
    simulated: bool = Field(False, description="True where the machines are simulated: every page and export says so")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"“{name}” is not a time zone; write its IANA name, such as Europe/Stockholm") from None
        return name


class _OverTcp(Section):
    host: str = Field(description="Host name or address of the device")
    port: Port = Field(502, description="TCP port")

    @property
    def endpoint(self) -> str:
        """Sources of one endpoint share one connection."""
        return f"{self.host}:{self.port}"


class ModbusSource(Section):
    """What every Modbus source has: one device (unit id) on its line, and how it is asked."""

    unit: Annotated[int, Field(ge=0, le=255)] = Field(1, description="Unit id; on RTU 1 … 247")
    poll_s: Annotated[float, Field(ge=0.05, le=86_400)] = Field(1.0, description="Poll interval of its tags, s")
    timeout_s: Annotated[float, Field(ge=0.05, le=60)] = Field(
        1.0, description="How long to wait for an answer, s; longer than the device ever takes"
    )
    max_registers: Annotated[int, Field(ge=1, le=125)] = Field(125, description="Most registers in one request")
    max_bits: Annotated[int, Field(ge=1, le=2000)] = Field(2000, description="Most bits in one request")
    max_gap: Annotated[int, Field(ge=0, le=124)] = Field(
        8, description="Unused registers between two tags that are read across rather than in two requests"
    )


class _RtuSource(ModbusSource):
    @field_validator("unit")
    @classmethod
    def _can_answer(cls, unit: int) -> int:
        if not 1 <= unit <= 247:
            raise ValueError(f"unit {unit} cannot answer on an RTU line; write the device's own unit id, 1 … 247")
        return unit


class ModbusTcpSource(ModbusSource, _OverTcp):
    """A device, or one unit behind a gateway, on Modbus TCP."""

    type: Literal["modbus-tcp"]


class ModbusRtuTcpSource(_RtuSource, _OverTcp):
    """A device behind a serial converter that carries RTU frames over TCP. Sources of one converter share its line."""

    type: Literal["modbus-rtu-tcp"]


class Parity(StrEnum):
    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class ModbusRtuSource(_RtuSource):
    """A device on a serial line (RS-485, RS-232) of this computer. Sources of one line share it."""

    type: Literal["modbus-rtu"]
    device: str = Field(description="Serial port, such as /dev/ttyUSB0 or COM3")
    baudrate: Annotated[int, Field(ge=300, le=4_000_000)] = Field(19_200, description="Bits per second")
    parity: Parity = Field(Parity.EVEN, description="As set in every device of the line")
    stopbits: Literal[1, 2] = Field(1, description="As set in every device of the line; without parity often 2")

    @property
    def endpoint(self) -> str:
        """Sources of one endpoint share one connection."""
        return self.device


AnyModbusSource = ModbusTcpSource | ModbusRtuTcpSource | ModbusRtuSource


class MqttVersion(StrEnum):
    """The protocol's version; auto: 5 where the broker speaks it, else 3.1.1."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class TlsConfig(Section):
    """An encrypted connection. All files are PEM."""

    ca: Path | None = Field(
        None, description="Certificate of the authority that signed the broker's; none: those this computer trusts"
    )
    cert: Path | None = Field(None, description="Our certificate, where the broker asks for one")
    key: Path | None = Field(None, description="The key of our certificate")
    insecure: bool = Field(
        False, description="True accepts any certificate: encrypted, but nobody knows with whom. For a first try only"
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: give both, or neither")
        return self


class BrokerFields(Section):
    """How to reach a broker."""

    host: str = Field(description="Host name or address of the broker")
    port: Port = Field(1883, description="TCP port; brokers mostly listen on 8883 for TLS")
    version: MqttVersion = Field(
        MqttVersion.AUTO, description="MQTT version: 5, 3.1.1, or auto: 5, and 3.1.1 when the broker refuses it"
    )
    tls: TlsConfig | None = Field(None, description="Encrypts the connection; `tls: {}` trusts what this computer does")
    username: str | None = Field(None, description="User name at the broker")
    password: SecretStr | None = Field(None, description="Password; take it from the environment: ${MQTT_PASSWORD}")

    @field_validator("version", mode="before")
    @classmethod
    def _version_as_text(cls, value: object) -> object:
        """YAML reads 5 as a number."""
        return str(value) if isinstance(value, int) else value


class MqttSessionFields(BrokerFields):
    """What every source at a broker says."""

    type: str
    client_id: str | None = Field(
        None, description="Client id; default: testbed-<enterprise>-<site>-<source>-<id of this data folder>"
    )
    receive_maximum: Annotated[int, Field(ge=1, le=65_535)] = Field(
        1_000, description="Messages that the broker may send before the first is acknowledged (MQTT 5)"
    )
    session_expiry_s: Annotated[int, Field(ge=0, le=4_294_967_295)] = Field(
        7 * 86_400, description="How long the broker keeps messages for us while we are away, s (MQTT 5)"
    )
    status_topic: str | None = Field(
        None,
        description="Retained topic that says whether we are there: online, or offline by last will. "
        'Default: testbed/<client id>/status; "" for none',
    )


class MqttSource(MqttSessionFields):
    """A broker to which the machines publish."""

    type: Literal["mqtt"]


class SparkplugSource(MqttSessionFields):
    """A group of Sparkplug B nodes at a broker."""

    type: Literal["sparkplug"]
    group: Annotated[str, Field(pattern=r"^[^/+#]+$")] = Field(description="Group id, the second level of the topics")


class ReplaySource(Section):
    """A recorded log that is imported with `testbed replay` (or played as if live)."""

    type: Literal["replay"]
    format: Literal["shdr", "csv"] = Field(
        description="shdr: MTConnect adapter log, time|item|value…; csv: a header row and one time column"
    )
    time_column: str = Field("time", description="CSV: name of the column that holds the time, ISO 8601 with offset")


SourceConfig = Annotated[AnyModbusSource | MqttSource | SparkplugSource | ReplaySource, Field(discriminator="type")]


class Threshold(Section):
    """State from a number such as a motor current: on above `on`, off below `off` (hysteresis)."""

    running_above: float = Field(description="At or above this value the machine runs, in the tag's unit")
    running_below: float = Field(description="Below this value it no longer runs; lower than running_above")
    idle_above: float | None = Field(
        None, description="Not running but at or above this value: idle; below it: off. None: never off"
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.running_below > self.running_above:
            raise ValueError("running_below must not be above running_above; swap them")
        if self.idle_above is not None and self.idle_above >= self.running_below:
            raise ValueError("idle_above must be below running_below")
        return self


class StateConfig(Section):
    """How the machine's state follows from one of its tags: by `map`, or by `threshold`."""

    tag: str = Field(description="Name of the machine's tag that tells the state")
    map: dict[str, State] = Field(
        default_factory=dict,
        description="State for each value of the tag, such as {ACTIVE: running, 2: idle}",
    )
    threshold: Threshold | None = Field(None, description="Limits for a numeric tag such as a current")

    @field_validator("map", mode="before")
    @classmethod
    def _keys_as_text(cls, value: object) -> object:
        """As the state engine writes a value: 1 for 1, 1.0 and true."""
        if not isinstance(value, dict):
            return value
        return {number_key(k) if isinstance(k, (int, float)) else k: v for k, v in value.items()}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.map) == (self.threshold is not None):
            raise ValueError("give either map (a state for each value) or threshold (limits of a number)")
        return self


class PartsConfig(Section):
    """The machine's part counters: two of total, good and scrap give the third; one alone means no scrap known."""

    total: str | None = Field(None, description="Tag that counts every part")
    good: str | None = Field(None, description="Tag that counts good parts")
    scrap: str | None = Field(None, description="Tag that counts scrapped parts")
    ideal_cycle_s: Annotated[float, Field(gt=0)] = Field(
        description="Planned run time per part, seconds: the best that is sustained, not the average"
    )
    wrap: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Number at which the counters start again from 0, such as 65536; None: they never wrap",
    )

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.total is None and self.good is None:
            raise ValueError("name the tag that counts parts: total or good")
        return self


class AliveConfig(Section):
    """The machine's own word on whether it is there: mostly a retained topic that its last will sets to offline."""

    source: Name = Field(description="The MQTT source that carries it")
    topic: str = Field(description="Topic, without wildcards")
    path: str | None = Field(None, description="JSONPath of the word, such as $.state; none: the payload itself")
    online: list[str] = Field(default=["online", "1", "true"], description="Words that say that it is there")
    offline: list[str] = Field(
        default=["offline", "0", "false"],
        description="Words that say that it is gone: its tags of that source become BAD (not connected)",
    )


class MqttOutput(BrokerFields):
    """Every point once more, published as a unified namespace."""

    type: Literal["mqtt"]
    client_id: str | None = Field(
        None, description="Client id; default: testbed-<enterprise>-<site>-<output>-<id of this data folder>-out"
    )
    profile: Literal["strict", "full"] = Field(
        "strict",
        description='strict: {"timestamp_ms", "value"}, what is BAD goes to a status topic; full: with q, seq and unit',
    )
    prefix: str = Field("umh/v1", pattern=r"^[A-Za-z0-9_/-]+$", description="First levels of every topic")
    contract: Name = Field("historian", description="Data contract, written _historian in the topic")


class MachineConfig(Section):
    """One machine (work unit)."""

    name: str = Field(description="Name on screen")
    area: Name = Field(description="Third level of the equipment hierarchy, such as machining")
    line: Name = Field(description="Fourth level, such as line-1")
    alive: AliveConfig | None = Field(None, description="Where the machine says whether it is there; none: nowhere")
    states: StateConfig | None = Field(None, description="How the state is known; none: no state, no OEE")
    parts: PartsConfig | None = Field(None, description="How parts are counted; none: no performance, no quality")
    chart: list[str] = Field(default_factory=list, description="Tags on the machine's page, most important first")
    tags: dict[Name, TagFields] = Field(min_length=1, description="The machine's signals by name")


class PlantConfig(Section):
    """The whole file."""

    plant: PlantSection
    sources: dict[Name, SourceConfig] = Field(min_length=1, description="Where signals come from")
    machines: dict[Name, MachineConfig] = Field(min_length=1, description="The machines by id")
    outputs: dict[Name, MqttOutput] = Field(
        default_factory=dict, description="Where points go besides the historian; each keeps its own place"
    )
    shifts: list[ShiftConfig] = Field(
        default_factory=list, description="Planned shifts; none: all time is planned, shown by calendar day"
    )

    def tags(self) -> tuple[Tag, ...]:
        """Every tag of the plant with its identity, in the order of the file."""
        # Built without checking again what the file's own model has checked: thousands of tags cost time and memory.
        return tuple(
            Tag.model_construct(_TAG_FIELDS, machine=machine_id, name=name, **dict(fields))
            for machine_id, machine in self.machines.items()
            for name, fields in machine.tags.items()
        )

    def stale_after_s(self, tag: TagFields) -> float | None:
        """Seconds after which a point of the tag says nothing any more; None: it holds until the next one."""
        if tag.stale_after_s is not None:
            return tag.stale_after_s
        source = self.sources.get(tag.source)  # a reload may just have removed it
        if not isinstance(source, ModbusSource):
            return None
        heartbeat_s = tag.report.heartbeat_s if tag.report else 0.0
        return heartbeat_s + 5 * (tag.poll_s or source.poll_s)
