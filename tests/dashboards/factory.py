"""A small plant with a past: what the pages' tests look at."""

from __future__ import annotations

import numpy as np

from plant.clock import HOUR, MINUTE, SECOND, parse_iso
from plant.config import PlantConfig
from plant.connections import Fault, Link, OutboxStatus, OutputStatus, Rejected, SourceStatus, TagStatus
from plant.historian.base import Historian
from plant.points import Point, PointBatch, Quality

STATES = {"execute": "running", "idle": "idle", "stopped": "stopped", "setup": "setup", "fault": "fault", "off": "off"}


def config(*, simulated: bool = True, shifts: bool = True) -> PlantConfig:
    """A mill with everything, a press that counts no scrap, a saw recorded in 2018, a packer that never spoke."""
    every_day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    hours = (
        ("Natt", "22:00", "06:00", "02:00"),
        ("Dag", "06:00", "14:00", "09:00"),
        ("Kväll", "14:00", "22:00", "18:00"),
    )
    label = {"en": "Spindle load", "sv": "Spindellast"}
    return PlantConfig.model_validate(
        {
            "plant": {"enterprise": "acme", "site": "lund", "name": "Provfabriken", "simulated": simulated},
            "sources": {
                "cnc": {"type": "modbus-tcp", "host": "127.0.0.1", "port": 15020},
                "broker": {"type": "mqtt", "host": "127.0.0.1"},
            },
            "machines": {
                "mill-1": {
                    "name": "Fräs 1",
                    "area": "machining",
                    "line": "line-1",
                    "states": {"tag": "state", "map": STATES},
                    "parts": {"total": "parts", "scrap": "scrap", "ideal_cycle_s": 40},
                    "chart": ["load", "temperature", "power"],
                    "tags": {
                        "state": {"source": "broker", "type": "text", "topic": "mill/state", "stale_after_s": 120},
                        "parts": {"source": "cnc", "type": "uint32", "address": "holding:0"},
                        "scrap": {"source": "cnc", "type": "uint32", "address": "holding:2"},
                        "load": {
                            "source": "cnc",
                            "type": "float32",
                            "address": "holding:4",
                            "unit": "%",
                            "label": label,
                            "high": 100,
                            "low": 0,
                        },
                        "temperature": {
                            "source": "cnc",
                            "type": "float32",
                            "address": "holding:6",
                            "unit": "°C",
                            "label": {"en": "Spindle temperature", "sv": "Spindeltemperatur"},
                            "high": 70,
                        },
                        "power": {
                            "source": "cnc",
                            "type": "float32",
                            "address": "holding:8",
                            "unit": "kW",
                            "label": {"en": "Power", "sv": "Effekt"},
                            "decimals": 2,
                        },
                    },
                },
                "press-1": {
                    "name": "Press 1",
                    "area": "forming",
                    "line": "line-2",
                    "states": {
                        "tag": "current",
                        "threshold": {"running_above": 8, "running_below": 6, "idle_above": 1},
                    },
                    "parts": {"total": "strokes", "ideal_cycle_s": 12},
                    "tags": {
                        "current": {
                            "source": "broker",
                            "topic": "press/current",
                            "unit": "A",
                            "stale_after_s": 60,
                            "label": {"en": "Motor current", "sv": "Motorström"},
                        },
                        "strokes": {"source": "broker", "topic": "press/strokes"},
                    },
                },
                "saw-1": {
                    "name": "Kap 1",
                    "area": "cutting",
                    "line": "line-3",
                    "states": {"tag": "state", "map": STATES},
                    "tags": {
                        "state": {"source": "broker", "type": "text", "topic": "saw/state"},
                        "force": {"source": "broker", "topic": "saw/force", "unit": "N"},
                    },
                },
                "packer-1": {
                    "name": "Packmaskin 1",
                    "area": "packing",
                    "line": "line-2",
                    "states": {"tag": "state", "map": STATES},
                    "tags": {
                        "state": {"source": "broker", "type": "text", "topic": "packer/state"},
                        "speed": {"source": "broker", "topic": "packer/speed", "unit": "1/min"},
                    },
                },
            },
            "shifts": [
                {
                    "name": name,
                    "days": every_day,
                    "start": start,
                    "end": end,
                    "breaks": [{"start": pause, "minutes": 30}],
                }
                for name, start, end, pause in hours
            ]
            if shifts
            else [],
        }
    )


def fill(historian: Historian, now_ns: int, hours: float = 12, step_s: int = 10) -> None:
    """A past that ends now: running mostly, with stops, a changeover, a fault and twelve minutes without data."""
    rng = np.random.default_rng(7)
    time_ns = np.arange(now_ns - int(hours * HOUR), now_ns, step_s * SECOND, dtype=np.int64)
    minute = (time_ns - time_ns[0]) // MINUTE % 190
    state = np.select(
        [minute < 55, minute < 58, minute < 90, minute < 104, minute < 150, minute < 157],
        ["execute", "idle", "execute", "setup", "execute", "fault"],
        "execute",
    )
    heard = ~((minute >= 120) & (minute < 132))
    runs = state == "execute"
    parts = np.cumsum(runs * step_s / 46.0)
    load = np.where(
        runs, 58 + 14 * np.sin(time_ns / 4e11) + rng.normal(0, 5, len(time_ns)), rng.normal(4, 0.6, len(time_ns))
    )
    temperature = 38 + 22 * (1 - np.exp(-np.arange(len(time_ns)) / 900)) + rng.normal(0, 0.4, len(time_ns))
    power = np.where(runs, 6.4 + load / 30, 1.1) + rng.normal(0, 0.08, len(time_ns))
    for tag, column in (
        ("load", load),
        ("temperature", temperature),
        ("power", power),
        ("parts", np.floor(parts)),
        ("scrap", np.floor(parts * 0.031)),
    ):
        write(historian, f"mill-1.{tag}", time_ns[heard], column[heard])
    write_texts(historian, "mill-1.state", time_ns[heard], state[heard].tolist())
    current = np.where(minute % 60 < 44, 11 + rng.normal(0, 0.7, len(time_ns)), 3 + rng.normal(0, 0.2, len(time_ns)))
    write(historian, "press-1.current", time_ns, current)
    write(historian, "press-1.strokes", time_ns, np.floor(np.cumsum((current > 8) * step_s / 13.5)))


def record(historian: Historian) -> None:
    """The saw's recording: 9 May 2018, 13:20 to 14:20 UTC, with one force that did not arrive."""
    time_ns = parse_iso("2018-05-09T13:20:00Z") + 10 * SECOND * np.arange(360, dtype=np.int64)
    write(historian, "saw-1.force", time_ns, 200 + 50 * np.sin(np.arange(360) / 20))
    lost = np.zeros(1, np.int32), time_ns[200:201], np.array([np.nan]), np.array([Quality.BAD_TIMEOUT], np.uint8)
    historian.write(PointBatch(("saw-1.force",), *lost))
    write_texts(historian, "saw-1.state", time_ns, ["execute" if i % 90 < 70 else "stopped" for i in range(360)])


def write(historian: Historian, tag: str, time_ns: np.ndarray, value: np.ndarray) -> None:
    n = len(time_ns)
    good = np.full(n, Quality.GOOD, np.uint8)
    historian.write(PointBatch((tag,), np.zeros(n, np.int32), time_ns, value.astype(np.float64), good))


def write_texts(historian: Historian, tag: str, time_ns: np.ndarray, texts: list[str]) -> None:
    n = len(time_ns)
    good = np.full(n, Quality.GOOD, np.uint8)
    historian.write(PointBatch((tag,), np.zeros(n, np.int32), time_ns, np.full(n, np.nan), good, tuple(texts)))


class FakeConnections:
    """One source that works, one that nobody answers, one that fails on a tag."""

    def __init__(self, historian: Historian, now_ns: int) -> None:
        self._historian = historian
        self._began_ns = now_ns

    def sources(self) -> tuple[SourceStatus, ...]:
        names = ("load", "temperature", "power", "parts", "scrap")
        last = self._historian.last([f"mill-1.{name}" for name in names])
        newest = max((point.time_ns for point in last.values()), default=None)
        good = tuple(TagStatus(tag, point, point.time_ns, raw="4265 5C29") for tag, point in last.items())
        bad = TagStatus(
            "mill-1.temperature_2",
            Point("mill-1.temperature_2", self._began_ns, None, Quality.BAD_MODBUS_ILLEGAL_ADDRESS),
            None,
            "",
            Fault.MODBUS_EXCEPTION,
            "exception 2 at holding:17",
        )
        state = self._historian.last(["mill-1.state"])
        return (
            SourceStatus(
                "cnc",
                "modbus-tcp",
                "127.0.0.1:15020",
                Link.CONNECTED,
                self._began_ns - 3 * HOUR,
                last_good_ns=newest,
                round_trip_ms=2.4,
                reads=10_812,
                tags=(*good, bad),
                errors={Fault.MODBUS_EXCEPTION: 36},
            ),
            SourceStatus(
                "press",
                "modbus-tcp",
                "127.0.0.1:15021",
                Link.DISCONNECTED,
                self._began_ns - 12 * MINUTE,
                Fault.REFUSED,
                last_good_ns=self._began_ns - 12 * MINUTE,
                round_trip_ms=None,
                reads=5_210,
                errors={Fault.REFUSED: 74, Fault.LOST: 1},
                overruns=3,
            ),
            SourceStatus(
                "broker",
                "mqtt",
                "127.0.0.1:1883",
                Link.CONNECTED,
                self._began_ns - 5 * HOUR,
                last_good_ns=newest,
                reads=48_120,
                tags=tuple(
                    TagStatus(tag, p, p.time_ns, '{"state":"execute","t":1772541600}') for tag, p in state.items()
                ),
            ),
        )

    def outputs(self) -> tuple[OutputStatus, ...]:
        return ()

    def rejected(self, source: str) -> tuple[Rejected, ...]:
        return ()

    def outbox(self) -> OutboxStatus:
        return OutboxStatus(2, 480, 18_400, self._began_ns, 0, 1_284_000)
