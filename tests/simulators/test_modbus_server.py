"""The Modbus server as clients see it: pymodbus, and mbpoll where it is installed."""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient

from plant.config import PlantConfig
from plant.errors import ResourceError
from plant.tags import Tag
from simulators.modbus_server import ModbusServer, UnitImage


def tag(name: str, address: str, kind: str, machine: str = "m", **more: object) -> Tag:
    fields = {"machine": machine, "name": name, "source": "s", "address": address, "type": kind, **more}
    return Tag.model_validate(fields)


UNIT_1 = [
    tag("speed", "holding:10", "uint16"),
    tag("power", "holding:12", "float32", order="CDAB"),
    tag("temperature", "input:5", "int16", scale=0.1),
    tag("running", "input:6", "bool", bit=3),
    tag("ready", "input:6", "bool", bit=0),
    tag("far", "input:4000", "uint16"),
    tag("door", "discrete:37", "bool"),
    tag("lamp", "coil:2", "bool"),
    tag("name", "holding:20", "string", length=4),
]
UNIT_7 = [tag("speed", "holding:0", "uint16", machine="other")]
VALUES = {
    "speed": 1500,
    "power": 7.25,
    "temperature": -4.24,
    "running": True,
    "ready": False,
    "far": 9,
    "door": True,
    "lamp": True,
    "name": "O1001",
    "unknown": 5,
}


@pytest.fixture
async def client(modbus_port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    server = ModbusServer("127.0.0.1", modbus_port, {1: UNIT_1, 7: UNIT_7})
    await server.start()
    await server.update("m", VALUES)
    await server.update("other", {"speed": 77})
    client = AsyncModbusTcpClient("127.0.0.1", port=modbus_port, timeout=1, retries=0)
    await client.connect()
    yield client
    client.close()
    await server.stop()


async def test_holding_registers(client: AsyncModbusTcpClient) -> None:
    reply = await client.read_holding_registers(10, count=14, device_id=1)
    low, high = reply.registers[2:4]
    assert reply.registers[0] == 1500
    assert struct.unpack(">f", struct.pack(">HH", high, low)) == (7.25,)
    assert struct.pack(">4H", *reply.registers[10:14]) == b"O1001\0\0\0"


async def test_input_registers_with_bits(client: AsyncModbusTcpClient) -> None:
    assert (await client.read_input_registers(5, count=2, device_id=1)).registers == [65536 - 42, 0b1000]
    assert (await client.read_input_registers(4000, count=1, device_id=1)).registers == [9]


async def test_discrete_inputs_and_coils(client: AsyncModbusTcpClient) -> None:
    assert (await client.read_discrete_inputs(37, count=1, device_id=1)).bits[0] is True
    assert (await client.read_coils(2, count=1, device_id=1)).bits[0] is True


async def test_several_units_on_one_port(client: AsyncModbusTcpClient) -> None:
    assert (await client.read_holding_registers(0, count=1, device_id=7)).registers == [77]


@pytest.mark.parametrize(("address", "count"), [(0, 1), (400, 2), (3990, 20)])
async def test_what_no_tag_holds_is_an_illegal_address(client: AsyncModbusTcpClient, address: int, count: int) -> None:
    reply = await client.read_input_registers(address, count=count, device_id=1)
    assert reply.isError()
    assert reply.exception_code == 2


async def test_a_block_never_shows_half_a_step(modbus_port: int) -> None:
    tags = [tag(f"v{i}", f"holding:{i}", "uint16") for i in range(100)]
    server = ModbusServer("127.0.0.1", modbus_port, {1: tags})
    await server.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=modbus_port, timeout=1, retries=0)
    await client.connect()
    try:
        for step in range(200):
            read = asyncio.create_task(client.read_holding_registers(0, count=100, device_id=1))
            await server.update("m", {f"v{i}": step for i in range(100)})
            await asyncio.sleep(0)
            await server.update("m", {f"v{i}": step + 1 for i in range(100)})
            assert len(set((await read).registers)) == 1
    finally:
        client.close()
        await server.stop()


async def test_the_port_is_free_after_stop_and_taken_before(modbus_port: int) -> None:
    server = ModbusServer("127.0.0.1", modbus_port, {1: UNIT_1})
    await server.start()
    with pytest.raises(ResourceError, match=f"Port {modbus_port} .* is taken"):
        await ModbusServer("127.0.0.1", modbus_port, {1: UNIT_1}).start()
    await server.stop()
    again = ModbusServer("127.0.0.1", modbus_port, {1: UNIT_1})
    await again.start()
    await again.stop()


def test_tags_that_share_a_register_share_its_image() -> None:
    image = UnitImage(1, UNIT_1)
    image.put("m", {"running": True, "ready": True})
    image.put("m", {"running": False})
    run = next(run for run in image.runs if run.start == 5)
    assert run.cells[1] == 0b0001


@pytest.mark.system
@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
async def test_mbpoll_reads_the_demo_mill(plant: PlantConfig, modbus_port: int) -> None:
    tags = [each for each in plant.tags() if each.source == "cnc"]
    server = ModbusServer("127.0.0.1", modbus_port, {1: tags})
    await server.start()
    await server.update("cnc-1", {"spindle_speed": 4200, "power": 11.5, "parts_total": 70_001})
    options = ["-m", "tcp", "-p", str(modbus_port), "-a", "1", "-0", "-1"]

    async def mbpoll(*more: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "mbpoll", *options, *more, "127.0.0.1", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()

    try:
        assert "4200" in await mbpoll("-t", "3", "-r", "4", "-c", "1")
        assert "11.5" in await mbpoll("-t", "3:float", "-r", "12", "-c", "1")
        assert "70001" in await mbpoll("-t", "4:int", "-r", "10", "-c", "1")
    finally:
        await server.stop()
