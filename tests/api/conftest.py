"""A small plant with figures that can be worked out by hand, on a real store.

Monday 2 March 2026, Stockholm (UTC+1). Shift 06:00–14:00 with a break 09:00–09:30; the clock says 10:00 (09:00 UTC).
cnc: running 06:00–08:00, idle to 08:30, no data to 09:00, running to 09:50, fault since.
A part every 60 s while it runs before 08:00 (120 parts, 6 of them scrap); ideal cycle 54 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from plant.clock import MINUTE, SECOND, parse_iso
from plant.config import PlantConfig
from plant.connections import Fault, Link, OutboxStatus, OutputStatus, Rejected, SourceStatus, TagStatus
from plant.errors import NotFoundError
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import Point, PointBatch, Quality

START = parse_iso("2026-03-02T06:00:00+01:00")
NOW = parse_iso("2026-03-02T10:00:00+01:00")

POWER = Point("cnc.power", NOW - SECOND, 5.5, Quality.GOOD)

CONFIG = PlantConfig.model_validate(
    {
        "plant": {"enterprise": "demo", "site": "hall", "name": "Verkstan", "simulated": True},
        "sources": {"plc": {"type": "modbus-tcp", "host": "127.0.0.1", "port": 5020}},
        "shifts": [
            {"name": "Day", "days": ["mon"], "start": "06:00", "end": "14:00",
             "breaks": [{"start": "09:00", "minutes": 30}]},
        ],
        "machines": {
            "cnc": {
                "name": "CNC",
                "area": "machining",
                "line": "line-1",
                "states": {"tag": "state", "map": {1: "running", 2: "idle", 3: "fault"}},
                "parts": {"total": "count", "scrap": "scrap", "ideal_cycle_s": 54},
                "tags": {
                    "state": {"source": "plc", "address": 40001, "type": "uint16", "stale_after_s": 1e6,
                              "enum": {1: "run", 2: "wait", 3: "alarm"}},
                    "count": {"source": "plc", "address": 40002, "type": "uint32", "stale_after_s": 1e6},
                    "scrap": {"source": "plc", "address": 40004, "type": "uint32", "stale_after_s": 1e6},
                    "power": {"source": "plc", "address": 40006, "type": "float32", "unit": "kW", "low": 0, "high": 20,
                              "label": {"en": "Power", "sv": "Effekt"}},
                },
            },
            "bare": {
                "name": "Bare",
                "area": "machining",
                "line": "line-1",
                "tags": {"temp": {"source": "plc", "address": 40010, "type": "int16", "unit": "°C"}},
            },
        },
    }
)  # fmt: skip


def history() -> Iterator[Point]:
    def at(minute: float) -> int:
        return START + round(minute * MINUTE)

    for minute, code in ((0, 1.0), (120, 2.0), (180, 1.0), (230, 3.0)):
        yield Point("cnc.state", at(minute), code, Quality.GOOD)
    yield Point("cnc.state", at(150), None, Quality.BAD_TIMEOUT)
    for part in range(121):
        yield Point("cnc.count", at(part) - SECOND, 1000.0 + part, Quality.GOOD)
        yield Point("cnc.scrap", at(part) - SECOND, 50.0 + part // 20, Quality.GOOD)
    for minute in range(60):
        yield Point("cnc.power", at(minute), 5.0 + minute % 2, Quality.GOOD)
    yield Point("cnc.power", at(200), 99.0, Quality.UNCERTAIN_OUT_OF_RANGE)
    yield Point("cnc.power", NOW - SECOND, None, Quality.BAD_NOT_CONNECTED)


@dataclass
class Gateway:
    """Connections as a gateway reports them."""

    state: OutboxStatus = field(default_factory=lambda: OutboxStatus(2, 300, 4096, NOW - 7 * SECOND, 11, 5000))
    found: tuple[SourceStatus, ...] = field(
        default=(
            SourceStatus(
                "plc", "modbus-tcp", "127.0.0.1:5020", Link.FAILING, NOW - 60 * SECOND,
                Fault.TIMEOUT, "no answer for 1 s", NOW - 30 * SECOND, 3.5, 100, {Fault.TIMEOUT: 4}, 2,
                (
                    TagStatus("cnc.power", POWER, POWER.time_ns, "40b0 0000"),
                    TagStatus("cnc.state", fault=Fault.DECODE, detail="too short"),
                ),
            ),
        )
    )  # fmt: skip

    def sources(self) -> tuple[SourceStatus, ...]:
        return self.found

    def outputs(self) -> tuple[OutputStatus, ...]:
        away = OutputStatus("uns", "mqtt", "h:1883", Link.DISCONNECTED, NOW, 20, NOW - SECOND, 3, 7, Fault.REFUSED)
        return (away,)

    def rejected(self, source: str) -> tuple[Rejected, ...]:
        if source != "plc":
            raise NotFoundError(f"There is no source “{source}”.", next_step="GET /api/sources lists them.")
        return (Rejected(NOW, "hall/x", b'{"v": \xff', 9, "the payload is not JSON"),)

    def outbox(self) -> OutboxStatus:
        return self.state

    def fail(self) -> None:
        self.state = replace(self.state, fault=Fault.INTERNAL, detail="disk full")


@pytest.fixture
def historian(tmp_path: Path) -> Iterator[DuckDbHistorian]:
    store = DuckDbHistorian(tmp_path / "h.duckdb", clock=lambda: NOW)
    store.write(PointBatch.of(history()))
    yield store
    store.close()


@pytest.fixture
def plant(historian: DuckDbHistorian) -> Plant:
    return Plant(CONFIG, historian, clock=lambda: NOW)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def client(plant: Plant, gateway: Gateway) -> Iterator[TestClient]:
    with TestClient(create_app(plant, gateway), raise_server_exceptions=False) as found:
        yield found
