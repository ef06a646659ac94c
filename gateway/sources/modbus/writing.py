"""The only code that writes to a device: one tag, allow-listed with a range, confirmed by reading it back."""

from __future__ import annotations

import math

from pymodbus.pdu import ModbusPDU

from gateway.blocks import Block, Limits, plan_blocks
from gateway.decode import BlockDecoder
from gateway.encode import encode_tag
from gateway.sources.modbus.bus import Bus, Member
from gateway.sources.modbus.connection import Connection
from gateway.sources.modbus.replies import Expected, Failure
from plant.errors import ConnectionLostError, DeviceError, EquipmentError, UserInputError
from plant.points import Quality
from plant.tags import Table, Tag


def check_allowed(tag: Tag, value: float) -> None:
    """Raises UserInputError unless the tag may be written with this value."""
    allowed = tag.write
    if allowed is None:
        raise UserInputError(
            f"{tag.id} may not be written.",
            next_step="Allow it in plant.yaml with a range, such as write: {low: 0, high: 100}.",
        )
    if not (math.isfinite(value) and allowed.low <= value <= allowed.high):
        raise UserInputError(
            f"{value:g} is outside the range in which {tag.id} may be written, {allowed.low:g} … {allowed.high:g}.",
            next_step="Choose a value inside the range.",
        )


async def write_tag(bus: Bus, member: Member, tag: Tag, value: float) -> tuple[float | None, float]:
    """Writes the value (in the tag's unit) and reads it back; gives what stood there before, and what does now.

    Functions 5 (coil), 6 (one register) and 16 (several). Raises UserInputError, ConnectionLostError (nothing was
    written, or nobody knows) or DeviceError (refused, or the read-back differs).
    """
    check_allowed(tag, value)
    cells = encode_tag(tag, value)
    (block,) = plan_blocks([tag], Limits(), unit=member.unit, poll_s=member.poll_s)
    before = await _read(bus, member, block)
    if isinstance(before, Failure):
        raise _error(before, f"{tag.id} could not be read before writing, so nothing was written")
    written = await bus.ask(member, lambda connection: _write(connection, block, cells, member.timeout_s))
    if isinstance(written, Failure) and written.code:
        raise _error(written, f"The device refused to write {tag.id}")
    after = await _read(bus, member, block)
    if isinstance(after, Failure):
        raise _error(after, f"{tag.id} may have been written, but could not be read back")
    if [int(cell) for cell in after] != list(cells):
        raise DeviceError(
            f"{tag.id} was written with {value:g}, but the device now holds {_shown(block, after)}.",
            next_step="Look at the machine: it may limit the value, hold it back, or another program may write too.",
        )
    now = _value(block, after)
    return _value(block, before), math.nan if now is None else now


async def _read(bus: Bus, member: Member, block: Block) -> list[int] | list[bool] | Failure:
    return await bus.read(member, block)


async def _write(connection: Connection, block: Block, cells: tuple[int, ...], timeout_s: float) -> ModbusPDU | Failure:
    client, at, unit = connection.client, block.start, block.unit
    if block.table is Table.COIL:
        return await connection.ask(
            lambda: client.write_coil(at, bool(cells[0]), device_id=unit), Expected(unit, 5, None), timeout_s
        )
    if len(cells) == 1:
        return await connection.ask(
            lambda: client.write_register(at, cells[0], device_id=unit), Expected(unit, 6, None), timeout_s
        )
    return await connection.ask(
        lambda: client.write_registers(at, list(cells), device_id=unit), Expected(unit, 16, None), timeout_s
    )


def _value(block: Block, cells: list[int] | list[bool]) -> float | None:
    decoded = BlockDecoder(block)(cells)
    return None if decoded.quality[0] < Quality.UNCERTAIN else float(decoded.value[0])


def _shown(block: Block, cells: list[int] | list[bool]) -> str:
    value = _value(block, cells)
    return "no value" if value is None else f"{value:g}"


def _error(failure: Failure, what: str) -> EquipmentError:
    kind = DeviceError if failure.code else ConnectionLostError
    return kind(
        f"{what}: {failure.detail}.", next_step="See the source's state on the page Connections, then try again."
    )
