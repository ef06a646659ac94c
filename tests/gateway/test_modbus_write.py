"""Writes: impossible unless allowed with a range; read back; on record."""

from __future__ import annotations

import ast
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.constants import ExcCodes

import gateway.gateway
from gateway.decode import decode_tag
from gateway.encode import encode_tag
from gateway.gateway import Gateway
from plant.connections import Link
from plant.errors import ConnectionLostError, DeviceError, NotFoundError, UserInputError
from plant.tags import ByteOrder
from tests.gateway.devices import running_device
from tests.gateway.support import RecordingHistorian, eventually, plant, tag
from tests.processes import free_port

RANGE = {"low": -100, "high": 1000}
TAGS = {
    "speed": {"source": "plc", "type": "int16", "address": "holding:3", "scale": 0.5, "write": RANGE},
    "ratio": {"source": "plc", "type": "float32", "order": "CDAB", "address": "holding:4", "write": RANGE},
    "read_only": {"source": "plc", "type": "uint16", "address": "holding:9"},
    "unsigned": {"source": "plc", "type": "uint16", "address": "holding:10", "write": RANGE},
}


@asynccontextmanager
async def writing(port: int, folder: Path, tags: dict[str, Any] | None = None) -> AsyncIterator[Gateway]:
    source = {"type": "modbus-tcp", "host": "127.0.0.1", "port": port, "poll_s": 0.1, "timeout_s": 0.2}
    historian: Any = RecordingHistorian()
    async with Gateway(plant({"plc": source}, tags or TAGS), historian, folder) as running:
        await eventually(lambda: running.sources()[0].link in (Link.CONNECTED, Link.DISCONNECTED))
        yield running


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "writes.jsonl").read_text().splitlines()]


async def test_written_read_back_and_on_record(tmp_path: Path) -> None:
    async with running_device() as device, writing(device.port, tmp_path) as gw:
        await device.set(3, 20)
        assert await gw.write("m.speed", -12.5, who="anna") == -12.5
        assert await gw.write("m.ratio", 3.5, who="anna") == 3.5
        assert device.writes == [(6, 3, 1), (16, 4, 2)]
    begun, written = records(tmp_path)[:2]
    assert (begun["who"], begun["tag"], begun["new"], begun["result"]) == ("anna", "m.speed", -12.5, "begun")
    assert (written["old"], written["new"], written["result"]) == (10.0, -12.5, "written")
    assert written["time"] >= begun["time"]


async def test_a_coil_is_written_with_function_5(tmp_path: Path) -> None:
    coil = {"run": {"source": "plc", "type": "bool", "address": "coil:5", "write": {"low": 0, "high": 1}}}
    async with running_device() as device, writing(device.port, tmp_path, coil) as gw:
        assert await gw.write("m.run", 1, who="bo") == 1
        assert device.writes == [(5, 5, 1)]


@pytest.mark.parametrize(
    ("name", "value", "error", "said"),
    [
        ("m.read_only", 1, UserInputError, "may not be written"),
        ("m.speed", 1000.5, UserInputError, "outside the range"),
        ("m.speed", float("nan"), UserInputError, "outside the range"),
        ("m.unsigned", -1, UserInputError, "cannot hold -1"),
        ("m.nothing", 1, NotFoundError, "no tag m.nothing"),
    ],
)
async def test_what_is_not_allowed_never_reaches_the_device(
    name: str, value: float, error: type[Exception], said: str, tmp_path: Path
) -> None:
    async with running_device() as device, writing(device.port, tmp_path) as gw:
        with pytest.raises(error, match=said) as caught:
            await gw.write(name, value, who="eve")
        assert caught.value.next_step  # type: ignore[attr-defined]
        assert device.writes == []
    if error is UserInputError:
        assert said in records(tmp_path)[-1]["result"]


async def test_a_device_that_keeps_its_own_value_is_an_error(tmp_path: Path) -> None:
    async with running_device() as device, writing(device.port, tmp_path) as gw:
        device.takes_writes = False
        with pytest.raises(DeviceError, match=r"written with 7, but the device now holds 0"):
            await gw.write("m.speed", 7, who="anna")
    assert "now holds 0" in records(tmp_path)[-1]["result"]


async def test_a_device_that_refuses_is_an_error(tmp_path: Path) -> None:
    async with running_device() as device, writing(device.port, tmp_path) as gw:
        device.refuses_writes = ExcCodes.ILLEGAL_VALUE
        with pytest.raises(DeviceError, match=r"refused to write m\.speed: exception 3"):
            await gw.write("m.speed", 7, who="anna")


async def test_without_a_device_nothing_is_written(tmp_path: Path) -> None:
    async with writing(free_port(), tmp_path) as gw:
        with pytest.raises(ConnectionLostError, match="nothing was written"):
            await gw.write("m.speed", 7, who="anna")


def test_only_one_module_calls_what_writes() -> None:
    folder = Path(gateway.gateway.__file__).parent
    callers = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith(("write_coil", "write_register", "mask_write")):
                callers.add(file.name)
            if isinstance(node, ast.Attribute) and node.attr.startswith("readwrite_"):
                callers.add(file.name)
    assert callers == {"writing.py"}


NUMBERS = {
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "int64": st.integers(-(2**53), 2**53),
    "uint64": st.integers(0, 2**53),
    "float16": st.floats(-60_000, 60_000, width=16),
    "float32": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
}


@pytest.mark.parametrize("order", list(ByteOrder))
@given(data=st.data(), kind=st.sampled_from(sorted(NUMBERS)))
def test_decode_of_encode_is_the_value(order: ByteOrder, data: st.DataObject, kind: str) -> None:
    value = data.draw(NUMBERS[kind])
    one = tag(type=kind, order=order, address="holding:0")
    assert decode_tag(one, encode_tag(one, value))[0] == value
