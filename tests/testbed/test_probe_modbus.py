"""`testbed probe modbus` against real peers: a pymodbus server, the simulators, devices with quirks, nobody."""

from __future__ import annotations

import asyncio
import re
import shutil
import struct
import subprocess
import time

import pytest
from pymodbus.framer import FramerType

from gateway.probe.advice import advise
from gateway.probe.hints import Listed
from gateway.probe.modbus import measure, scan_table
from gateway.probe.ranges import Span
from plant.errors import ConnectionLostError, DeviceError
from plant.tags import ByteOrder, DataType, Table
from simulators.encode import words
from simulators.modbus_server import ModbusServer
from tests.gateway.devices import Request, raw_device, running_device
from tests.processes import free_port, run_testbed
from tests.simulators.conftest import DEMO
from tests.testbed.probing import Islands, device_at, probed, serving

VALUES: dict[str, float | str] = {
    "state": 2, "alarm_code": 4711, "cycle_active": 1, "door_open": 0, "tool": 17, "spindle_speed": 8150,
    "spindle_load": 63.4, "feed_rate": 1845, "axis_load_x": 25.7, "axis_load_z": 38.9, "coolant_temperature": 24.3,
    "spindle_temperature": 41.2, "power": 14.27, "vibration": 1.93, "energy": 123456.78, "program": "O1001_HOUSING",
    "parts_total": 91234, "parts_scrap": 321,
}  # fmt: skip


def exception(request: Request, code: int) -> bytes:
    return struct.pack(">HHHBBB", request.transaction, 0, 3, request.unit, request.function | 0x80, code)


@pytest.fixture
def demo_tags(plant):
    return [tag for tag in plant.tags() if tag.source == "cnc"]


@pytest.fixture
def plant():
    from plant.config_file import load_plant

    return load_plant(DEMO / "plant.yaml", {})


async def test_the_simulators_register_map_is_found(demo_tags):
    """Every number of the documented map is found by its value alone, first or beside readings that fit as well."""
    server = ModbusServer("127.0.0.1", free_port(), {1: demo_tags})
    await server.start()
    try:
        await server.update("cnc-1", VALUES)
        tables = (Table.HOLDING, Table.INPUT)
        seen = await probed(server.port, tables=tables, range=Span(0, 200))
        assert re.search(r"holding\s+0…12\s+40001…40013\s+13", seen)
        assert re.search(r"input\s+0…17\s+30001…30018\s+18", seen)
        assert "Text at holding:0: “O1001_HOUSING”" in seen
        for tag in demo_tags:
            if tag.type is DataType.BOOL:
                continue
            shown = str(VALUES[tag.name])
            seen = await probed(server.port, tables=tables, range=Span(0, 30), expect=shown)
            order = tag.order.value if tag.order is not ByteOrder.ABCD else ".*"
            scale = "" if tag.type is DataType.STRING else rf".*\s{tag.scale:g}\s"
            assert re.search(rf"{tag.address}\b.*{tag.type.value if scale else 'text'}.*{order}{scale}", seen), seen
    finally:
        await server.stop()


async def test_the_best_candidate_of_a_long_number_is_the_right_one(demo_tags):
    server = ModbusServer("127.0.0.1", free_port(), {1: demo_tags})
    await server.start()
    try:
        await server.update("cnc-1", VALUES)
        for name, row in {
            "power": "{source: device, type: float32, address: input:12, order: CDAB}",
            "parts_total": "{source: device, type: uint32, address: holding:10, order: CDAB}",
            "coolant_temperature": "{source: device, type: uint16, scale: 0.1, address: input:9}",
        }.items():
            seen = await probed(server.port, tables=(Table.HOLDING, Table.INPUT), expect=str(VALUES[name]))
            assert row in seen
    finally:
        await server.stop()


async def test_a_device_that_refuses_gaps_and_long_blocks():
    async with serving(Islands({0: range(100, 112), 20: range(5), 60: [7]}, most=8)) as islands:
        async with device_at(islands.port) as device:
            found = await scan_table(device, 1, Table.HOLDING, Span(0, 100), 20)
            measured = await measure(device, found)
        assert [str(span) for span in found.spans] == ["0…11", "20…24", "60"]
        assert found.complete
        assert measured is not None
        assert measured.longest == 8
        advice = advise(measured)
        assert advice.max_registers == 8
        # The smallest gap is 10 wide: no request of 8 could reach across.
        assert measured.gap_refused is None


async def test_a_device_that_answers_for_whole_values_only():
    """Energy meters do so: two registers from an odd address are a float32, anything else is refused."""
    registers = [word for value in (230.1, 231.57, 229.8) for word, _ in words_of(value)]
    async with serving(Islands({7: registers}, whole=2)) as islands:
        seen = await probed(islands.port, range=Span(0, 30), expect="231.57")
    assert re.search(r"holding\s+7…12", seen)
    assert "type: float32, address: holding:9}" in seen
    assert "max_registers 2" in seen


async def test_a_refused_gap_is_advised():
    async with serving(Islands({0: range(10), 14: range(10)})) as islands:
        seen = await probed(islands.port)
    assert "max_gap 0" in seen
    assert "max_registers" not in seen


async def test_only_reads_are_sent():
    async with serving(Islands({0: range(300, 340)})) as islands:
        tables = (Table.HOLDING, Table.INPUT, Table.COIL, Table.DISCRETE)
        await probed(islands.port, tables=tables, units=Span(1, 4), expect="310", watch_s=0.5)
    assert islands.functions == {1, 2, 3, 4}


async def test_a_slow_device_gets_a_longer_time_out_and_interval_and_a_scan_ends_in_time():
    slow = Islands({0: range(4), 40: range(4), 80: range(4)}, delay_s=0.15)
    async with serving(slow) as islands, device_at(islands.port) as device:
        begun = time.monotonic()
        found = await scan_table(device, 1, Table.HOLDING, Span(0, 100), 0.3)
        assert time.monotonic() - begun < 1
        assert not found.complete
        found = await scan_table(device, 1, Table.HOLDING, Span(0, 4), 5)
        measured = await measure(device, found)
    assert measured is not None
    assert measured.median_ms > 140
    fields = advise(measured).fields
    assert fields["poll_s"] == 1.0
    assert fields["timeout_s"] in (1.0, 2.0)  # 2 where this computer itself was slow; a quick device gets 0.5


async def test_a_list_that_counts_from_1_is_recognised():
    registers = [word for word, _ in words_of(231.57)]
    async with serving(Islands({0: [0] * 12 + registers + [3] * 6})) as islands:
        from_1 = await probed(islands.port, expect="231.57", listed=Listed.parse("13"))
        from_0 = await probed(islands.port, expect="231.57", listed=Listed.parse("12"))
        elsewhere = await probed(islands.port, expect="231.57", listed=Listed.parse("70"))
    assert "Your list says 13; it stands at holding:12: the list counts from 1. Subtract 1" in from_1
    assert "the list counts from 0" in from_0
    assert "No candidate stands at 70 or beside it" in elsewhere


def words_of(value: float):
    from gateway.probe.readings import new_tag

    return words(new_tag(Table.HOLDING, 0, DataType.FLOAT32), value)


async def test_rtu_over_tcp():
    async with serving(Islands({0: [0] * 12 + [word for word, _ in words_of(231.57)]}), FramerType.RTU) as islands:
        seen = await probed(islands.port, timeout_s=0.3, kind="modbus-rtu-tcp", units=Span(1, 3), expect="231.57")
        assert "type: modbus-rtu-tcp" in seen
        assert "type: float32, address: holding:12}" in seen
        with pytest.raises(DeviceError) as caught:  # the same device, asked in Modbus TCP
            await probed(islands.port, timeout_s=0.2)
    assert "--rtu" in caught.value.next_step


async def test_units_behind_a_gateway():
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.unit == 1:
            writer.write(exception(request, 10))
        elif request.unit == 2:
            writer.write(exception(request, 11))
        elif request.unit == 4:
            writer.write(request.reply(*range(request.count)))

    async with raw_device(answer) as port:
        seen = await probed(port, timeout_s=0.1, units=Span(1, 6), range=Span(0, 10))
    for row in (
        r"1\s+gateway: no path\s+exception 10",
        r"2\s+gateway: device silent",
        r"4\s+answers",
        r"3, 5\s+silent",
    ):
        assert re.search(row, seen), seen


async def test_only_a_gateway_answers():
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(exception(request, 11))

    async with raw_device(answer) as port:
        with pytest.raises(DeviceError, match="A gateway answers") as caught:
            await probed(port, units=Span(1, 4))
    assert "baud rate" in caught.value.next_step


async def test_somebody_listens_but_no_unit_answers_in_bounded_time():
    async def answer(_request: Request, _writer: asyncio.StreamWriter) -> None:
        return

    begun = time.monotonic()
    async with raw_device(answer) as port:
        with pytest.raises(DeviceError, match="no unit of 1…5 answers") as caught:
            await probed(port, timeout_s=0.05, units=Span(1, 6))
    assert "--unit 255" in caught.value.next_step
    assert time.monotonic() - begun < 3


async def test_nobody_listens():
    with pytest.raises(ConnectionLostError, match="No connection") as caught:
        await probed(free_port())
    assert "Nobody listens there" in caught.value.next_step


async def test_no_address_and_no_value_are_told_apart():
    async with serving(Islands({500: range(3)})) as islands:
        with pytest.raises(DeviceError, match="none of the addresses 0…99 can be read"):
            await probed(islands.port)
    async with serving(Islands({0: [0] * 5})) as islands:
        with pytest.raises(DeviceError, match=r"No register holds 23\.5"):
            await probed(islands.port, expect="23.5")


@pytest.mark.system
async def test_the_command_its_file_and_its_exit_codes(tmp_path):
    file = tmp_path / "plant.yaml"
    async with running_device() as device:
        await device.set(12, *[word for word, _ in words_of(231.57)])
        place = f"127.0.0.1:{device.port}"

        async def run(*arguments: object):
            return await asyncio.to_thread(run_testbed, "probe", "modbus", *map(str, arguments))

        done = await run(place, "--unit", "1", "--expect", "231.57", "--table", "holding", "--save", file)
        assert done.returncode == 0, done.stderr
        assert "type: float32" in done.stdout
        assert "machine-1,holding-12,device,float32,holding:12" in done.stdout
        checked = await asyncio.to_thread(run_testbed, "check", file)
        assert "1 machine, 1 tag, 1 source" in checked.stdout
        again = await run(place, "--save", file)
        assert (again.returncode, "exists already" in again.stderr) == (2, True)
    gone = await run(place)
    assert (gone.returncode, "Nobody listens there" in gone.stderr) == (4, True)
    assert "Traceback" not in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plc:99999",), "is not a port"),
        (("plc", "--range", "9-3"), "is not a range for --range"),
        (("plc", "--unit", "1-300"), "within 0 … 255"),
        (("plc", "--choose", "input:1"), "is not a choice"),
        (("plc", "--address", "x"), "is not a Modbus address"),
        (("plc", "--watch", "3"), "--watch needs a value"),
    ],
)
def test_a_wrong_option_is_one_clear_sentence(arguments, told):
    from typer.testing import CliRunner

    from testbed.cli import app

    answer = CliRunner().invoke(app, ["probe", "modbus", *arguments])
    assert told in str(answer.exception) + getattr(answer.exception, "next_step", "")


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
async def test_mbpoll_reads_the_same_number_at_the_place_that_the_probe_names():
    registers = [word for word, _ in words_of(231.57)]
    async with serving(Islands({0: [0] * 12 + registers})) as islands:
        assert "type: float32, address: holding:12}" in await probed(islands.port, expect="231.57")
        command = ["mbpoll", "-0", "-1", "-q", "-B", "-t", "4:float", "-r", "12", "-p", str(islands.port), "127.0.0.1"]
        answer = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=10)
    assert "231.57" in answer.stdout
