"""A small floor: the demo's plant on free ports, its machines with short cycles."""

from __future__ import annotations

from pathlib import Path

import pytest

import testbed
from plant.config import PlantConfig
from plant.config_file import load_plant
from simulators.floor import FloorMachine
from tests.processes import free_port

DEMO = Path(testbed.__file__).parent / "demo"
QUICK = {
    "cnc-1": FloorMachine(kind="cnc-mill", parameters={"cycle_s": 1.0, "handling_s": 0.3, "setup_median_s": 3.0}),
    "imm-1": FloorMachine(kind="injection-moulding", parameters={"cycle_s": 0.8, "setup_median_s": 3.0}),
    "lathe-1": FloorMachine(kind="retrofit-lathe", parameters={"cycle_s": 0.6, "setup_median_s": 3.0}),
}
REAL = {machine_id: FloorMachine(kind=entry.kind) for machine_id, entry in QUICK.items()}
START_NS = 1_795_000_500_000_000_000  # Wednesday 2026-11-18, 12:15 in Stockholm


@pytest.fixture
def modbus_port() -> int:
    return free_port()


@pytest.fixture
def mqtt_port() -> int:
    return free_port()


@pytest.fixture
def plant(modbus_port: int, mqtt_port: int) -> PlantConfig:
    ports = {"TESTBED_MODBUS_PORT": str(modbus_port), "TESTBED_MQTT_PORT": str(mqtt_port)}
    return load_plant(DEMO / "plant.yaml", ports)
