"""A tag: one named signal of one machine, and how to read it.

`TagFields` is what an engineer writes (plant.yaml now, tag lists as CSV and XLSX later); `Tag` is that with
its identity. The gateway, the simulators and the pages all read the same tags.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def factor(scale: float) -> tuple[float, float]:
    """The scale as (multiplier, divisor): 0.1 is no binary number but 10 is, so a decimal scale divides.

    >>> 287 * 0.1, 287 * factor(0.1)[0] / factor(0.1)[1], factor(2.5)
    (28.700000000000003, 28.7, (2.5, 1.0))
    """
    reciprocal = round(1 / scale) if 1e-15 < abs(scale) < 1 else 0
    return (1.0, float(reciprocal)) if reciprocal and 1 / reciprocal == scale else (float(scale), 1.0)


class DataType(StrEnum):
    """What the registers or the payload hold. `number` and `text` are for sources that carry their own type."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    STRING = "string"
    NUMBER = "number"
    TEXT = "text"

    @property
    def is_text(self) -> bool:
        return self in (DataType.STRING, DataType.TEXT)


class ByteOrder(StrEnum):
    """The order in which the bytes of a value arrive; A is the most significant byte of a 32-bit value."""

    ABCD = "ABCD"  # big-endian, the Modbus rule
    CDAB = "CDAB"  # words swapped
    BADC = "BADC"  # bytes swapped inside each word
    DCBA = "DCBA"  # little-endian


class Table(StrEnum):
    """The four Modbus tables."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def is_bits(self) -> bool:
        return self in (Table.COIL, Table.DISCRETE)


_MODICON = {"0": Table.COIL, "1": Table.DISCRETE, "3": Table.INPUT, "4": Table.HOLDING}


def parse_address(text: str | int) -> tuple[Table, int]:
    """Table and 0-based address of `holding:0`, `input:12` … or of the 1-based Modicon form 40001, 400001.

    >>> parse_address("holding:0") == parse_address(40001) == parse_address("400001")
    True
    >>> parse_address("input:65535")[1]
    65535
    """
    written = str(text).strip().lower()
    table_name, colon, offset = written.partition(":")
    if colon:
        if table_name in set(Table) and offset.isdecimal() and int(offset) <= 0xFFFF:
            return Table(table_name), int(offset)
    elif written.isdecimal() and len(written) in (5, 6) and written[0] in _MODICON:
        zero_based = int(written[1:]) - 1
        if 0 <= zero_based <= 0xFFFF:
            return _MODICON[written[0]], zero_based
    raise ValueError(
        f"“{text}” is not a Modbus address; write table and 0-based address, such as holding:0 or input:12, "
        "or the 1-based form with five or six digits, such as 40001 or 300013"
    )


class Report(BaseModel):
    """Report by exception: a value goes out when it or its quality changes, or the heartbeat is due."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    deadband: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Least change that is reported, in the tag's unit; default: any change"
    )
    deadband_percent: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="The same in percent of the valid range, high − low (OPC UA PercentDeadband)"
    )
    heartbeat_s: Annotated[float, Field(ge=0.05, le=86_400)] = Field(
        60.0, description="An unchanged value is reported again after so many seconds"
    )

    @model_validator(mode="after")
    def _one_deadband(self) -> Self:
        if self.deadband is not None and self.deadband_percent is not None:
            raise ValueError("deadband and deadband_percent exclude each other; keep one")
        return self


class WriteRange(BaseModel):
    """Allows the tag to be written, within these limits. Without it nothing is ever written."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float = Field(description="Lowest value that may be written, in the tag's unit")
    high: float = Field(description="Highest value that may be written, in the tag's unit")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g}); swap them")
        return self


_WRITABLE = frozenset(
    {
        DataType.BOOL, DataType.INT16, DataType.UINT16, DataType.INT32, DataType.UINT32, DataType.INT64,
        DataType.UINT64, DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64,
    }
)  # fmt: skip


class TagFields(BaseModel):
    """What is written for one tag."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: str = Field(description="Name of the source (under `sources`) that delivers this tag")
    type: DataType = Field(DataType.NUMBER, description="Data type in the registers or the payload")
    unit: str = Field("", description="Engineering unit after scaling, such as kW, °C, A, 1/min")
    label: dict[str, str] = Field(
        default_factory=dict,
        description="Name on screen by language, such as {en: Spindle load, sv: Spindellast}",
    )
    scale: float = Field(1.0, description="value = raw × scale + offset")
    offset: float = Field(0.0, description="value = raw × scale + offset")
    low: float | None = Field(None, description="Lowest valid value; below it the quality is UNCERTAIN")
    high: float | None = Field(None, description="Highest valid value; above it the quality is UNCERTAIN")
    enum: dict[int, str] = Field(default_factory=dict, description="Text of each number, such as {0: off, 1: run}")
    decimals: Annotated[int, Field(ge=0, le=9)] = Field(1, description="Decimals shown on screen")
    stale_after_s: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="After so many seconds without a point nothing is known any more. Default: 5 poll intervals "
        "(and the heartbeat of `report`) where the source polls; else a value holds until the next one or until the "
        "source reports its loss",
    )
    report: Report | None = Field(None, description="Report by exception; none: every reading is a point")

    # Modbus
    address: str | int | None = Field(None, description="holding:0, input:12, coil:3 … or 40001, 300013 …")
    order: ByteOrder = Field(
        ByteOrder.ABCD, description="Byte order; A is the most significant byte. BADC and DCBA swap 16-bit values too"
    )
    bit: Annotated[int, Field(ge=0, le=15)] | None = Field(None, description="Bit of a register, 0 is the lowest")
    byte: Annotated[str, Field(pattern="^(high|low)$")] | None = Field(
        None, description="Half of the register for int8 and uint8: high or low"
    )
    length: Annotated[int, Field(ge=1, le=125)] | None = Field(None, description="Registers of a string")
    poll_s: Annotated[float, Field(ge=0.05, le=86_400)] | None = Field(
        None, description="Poll interval of this tag; default: that of its source"
    )
    write: WriteRange | None = Field(
        None, description="Range in which a holding register or coil may be written; none: never written"
    )

    # MQTT
    topic: str | None = Field(None, description="Topic that carries the tag; the wildcards + and # are allowed")
    path: str | None = Field(None, description="JSONPath of the value, such as $.temperature; none: the payload itself")
    time_path: str | None = Field(
        None,
        description="JSONPath of the time: ISO 8601 or a number since 1970 in s, ms, µs or ns; none: arrival",
    )
    quality_path: str | None = Field(
        None, description="JSONPath of the quality: good, uncertain, bad, an OPC quality byte or OPC UA status code"
    )
    each: str | None = Field(
        None,
        description="JSONPath of an array's samples, such as $.samples[*]; the other paths then begin at the sample",
    )

    # Sparkplug B
    metric: Annotated[str, Field(pattern=r"^[^/:+#]+(/[^/:+#]+)?:.+$")] | None = Field(
        None, description="Node:Metric or Node/Device:Metric, such as Edge1/Press:Hydraulics/Pressure"
    )

    # Recordings
    key: str | None = Field(None, description="Data item (MTConnect) or column (CSV) of a recorded log")

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g}); swap them")
        if self.type is DataType.STRING and self.address is not None and self.length is None:
            raise ValueError("a string needs its length in registers; add length: 8, for example")
        if self.bit is not None and self.type is not DataType.BOOL:
            raise ValueError("a bit of a register is a bool; write type: bool")
        if self.type in (DataType.INT8, DataType.UINT8) and self.address is not None and self.byte is None:
            raise ValueError("an 8-bit value is half a register; add byte: high or byte: low")
        if self.each is not None and self.time_path is None:
            raise ValueError("each sample of an array has its own time; add time_path: $.t, for example")
        if self.scale == 0:
            raise ValueError("scale: 0 makes every value the same; write the real factor, or leave it out")
        if self.address is not None:
            table, _ = parse_address(self.address)
            if table.is_bits and self.type is not DataType.BOOL:
                raise ValueError(f"a {table.value} is a single bit; write type: bool")
            if not table.is_bits and self.type is DataType.BOOL and self.bit is None:
                raise ValueError("a bool in a register needs its bit; add bit: 0 … 15")
            if self.type in (DataType.NUMBER, DataType.TEXT):
                raise ValueError("a Modbus tag needs its type in the registers, such as uint16 or float32")
        self._check_report()
        self._check_write()
        return self

    def _check_report(self) -> None:
        if self.report is None or self.report.deadband_percent is None:
            return
        if self.low is None or self.high is None or self.low == self.high:
            raise ValueError("deadband_percent is a part of the valid range; add low and high, or write deadband")

    def _check_write(self) -> None:
        if self.write is None:
            return
        if self.address is None:
            raise ValueError("only a Modbus tag can be written; remove write")
        table, _ = self.modbus_address
        if table not in (Table.HOLDING, Table.COIL):
            raise ValueError(f"the table {table.value} can only be read; remove write, or use holding or coil")
        if self.type not in _WRITABLE or self.bit is not None:
            raise ValueError("only whole numbers, floats and coils can be written; remove write")

    @property
    def modbus_address(self) -> tuple[Table, int]:
        """Table and 0-based address; only for tags that have an address."""
        if self.address is None:
            raise ValueError("the tag has no Modbus address")
        return parse_address(self.address)


class Tag(TagFields):
    """One signal of one machine. `id` is `<machine>.<name>` and unique in the plant."""

    machine: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.machine}.{self.name}"

    def text_of(self, value: float | str | None) -> str | None:
        """The enumeration's text of a value, the value itself where it is a text already, else None."""
        if isinstance(value, str):
            return value
        if value is None or not float(value).is_integer():
            return None
        return self.enum.get(int(value))

    def label_in(self, language: str) -> str:
        """Name on screen: in the language, else in English, else the tag's own name."""
        return self.label.get(language) or self.label.get("en") or self.name.replace("_", " ")
