"""Simulated machines as Modbus TCP devices: one server per port, several units on it.

All registers of a machine change together, between two requests: a block read never sees half a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from plant.tags import Table, Tag
from simulators.encode import words
from simulators.machines.base import Value
from simulators.ports import check_port

_READABLE_GAP = 125  # unused registers between two tags answer 0, as in most devices; a wider hole is illegal
_FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}


@dataclass(slots=True)
class _Run:
    """Registers (or bits) without a hole."""

    table: Table
    start: int
    cells: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.cells)


class UnitImage:
    """The registers of one unit, filled from the values of its tags."""

    def __init__(self, unit: int, tags: Sequence[Tag]) -> None:
        self.unit = unit
        self.runs: list[_Run] = []
        spans = sorted((table, at, at + _size(tag)) for tag in tags for table, at in (tag.modbus_address,))
        for table, start, end in spans:
            run = self.runs[-1] if self.runs else None
            if run is None or run.table is not table or start - run.end > _READABLE_GAP:
                run = _Run(table, start)
                self.runs.append(run)
            run.cells += [0] * (end - run.end)
        self.machines = {tag.machine for tag in tags}
        self._places = {tag.id: (tag, *self._place(tag)) for tag in tags}

    def put(self, machine: str, values: Mapping[str, Value]) -> None:
        """Write a machine's values; tags of other machines and values without a tag stay out of it."""
        for name, value in values.items():
            if (place := self._places.get(f"{machine}.{name}")) is None:
                continue
            tag, run, at = place
            if run.table.is_bits:
                run.cells[at] = int(bool(value))
                continue
            for offset, (bits, mask) in enumerate(words(tag, value)):
                run.cells[at + offset] = run.cells[at + offset] & ~mask | bits

    def device(self) -> SimDevice:
        def block(table: Table) -> list[SimData]:
            runs = [run for run in self.runs if run.table is table]
            if table.is_bits:
                cells = [SimData(run.start, values=list(map(bool, run.cells)), datatype=SimType.BITS) for run in runs]
                return cells or [SimData(0, values=[False], datatype=SimType.BITS)]
            cells = [SimData(run.start, values=list(run.cells), datatype=SimType.REGISTERS) for run in runs]
            return cells or [SimData(0, datatype=SimType.INVALID)]

        tables = (block(Table.COIL), block(Table.DISCRETE), block(Table.HOLDING), block(Table.INPUT))
        return SimDevice(id=self.unit, simdata=tables)

    def _place(self, tag: Tag) -> tuple[_Run, int]:
        table, address = tag.modbus_address
        run = next(run for run in self.runs if run.table is table and run.start <= address < run.end)
        return run, address - run.start


class ModbusServer:
    """One listening port. `start` raises ResourceError when the port is taken."""

    def __init__(self, host: str, port: int, units: Mapping[int, Iterable[Tag]]) -> None:
        self.host, self.port = host, port
        self._images = [UnitImage(unit, list(tags)) for unit, tags in units.items()]
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        check_port(self.host, self.port, "Modbus server")
        devices = [image.device() for image in self._images]
        self._server = ModbusTcpServer(devices, address=(self.host, self.port))
        await self._server.serve_forever(background=True)

    def serves(self, machine: str) -> bool:
        return any(machine in image.machines for image in self._images)

    async def update(self, machine: str, values: Mapping[str, Value]) -> None:
        """A machine's new values, into every unit that holds tags of it."""
        if self._server is None:
            return
        for image in self._images:
            if machine not in image.machines:
                continue
            image.put(machine, values)
            for run in image.runs:
                cells: list[int] | list[bool] = list(map(bool, run.cells)) if run.table.is_bits else run.cells
                # Not a real wait: pymodbus stores without giving up the loop, so no request comes between.
                await self._server.async_setValues(image.unit, _FUNCTION[run.table], run.start, cells)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus
            self._server = None


def _size(tag: Tag) -> int:
    """Registers (or bits) that the tag occupies."""
    table, _ = tag.modbus_address
    return 1 if table.is_bits else len(words(tag, "" if tag.type.is_text else 0))
