"""The demo's plant.yaml, which engineers copy."""

from __future__ import annotations

from plant.config import ModbusTcpSource, MqttSource, PlantConfig
from plant.tags import ByteOrder, DataType
from simulators.floor import KINDS
from tests.simulators.conftest import REAL


def test_every_tag_has_a_name_in_swedish_and_english(plant: PlantConfig) -> None:
    for tag in plant.tags():
        assert set(tag.label) == {"en", "sv"}, tag.id


def test_every_measured_value_has_a_unit_and_limits(plant: PlantConfig) -> None:
    for tag in plant.tags():
        if tag.unit and tag.unit != "kWh":
            assert tag.low is not None, tag.id
            assert tag.high is not None, tag.id


def test_every_machine_has_state_parts_and_a_chart(plant: PlantConfig) -> None:
    assert set(plant.machines) == set(REAL)
    assert len(KINDS) == 3
    for machine in plant.machines.values():
        assert machine.states is not None
        assert machine.parts is not None
        assert machine.chart


def test_simulated_on_loopback_with_ports_from_the_environment(
    plant: PlantConfig, modbus_port: int, mqtt_port: int
) -> None:
    cnc, broker = plant.sources["cnc"], plant.sources["broker"]
    assert isinstance(cnc, ModbusTcpSource)
    assert isinstance(broker, MqttSource)
    assert (cnc.host, cnc.port, broker.host, broker.port) == ("127.0.0.1", modbus_port, "127.0.0.1", mqtt_port)
    assert plant.plant.simulated


def test_the_mill_shows_a_mix_of_types(plant: PlantConfig) -> None:
    tags = [tag for tag in plant.tags() if tag.source == "cnc"]
    kinds = {tag.type for tag in tags}
    wanted = {DataType.BOOL, DataType.INT16, DataType.UINT16, DataType.UINT32, DataType.FLOAT32, DataType.STRING}
    assert wanted <= kinds
    assert any(tag.type is DataType.FLOAT32 and tag.order is ByteOrder.CDAB for tag in tags)


def test_three_shifts_cover_the_day(plant: PlantConfig) -> None:
    assert [(s.start, s.end, len(s.days), [b.minutes for b in s.breaks]) for s in plant.shifts] == [
        ("06:00", "14:00", 7, [30]),
        ("14:00", "22:00", 7, [30]),
        ("22:00", "06:00", 7, [30]),
    ]
