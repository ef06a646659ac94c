"""Which simulated machine stands behind which machine of plant.yaml: the floor file, the kinds, building one."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from plant.clock import DAY, Window
from plant.config import Name, PlantConfig
from plant.errors import UserInputError
from plant.shifts import ShiftCalendar
from simulators.machines.base import BreakEnd, Machine
from simulators.machines.cnc_mill import CncMill, CncMillParams
from simulators.machines.injection_moulding import InjectionMoulding, InjectionMouldingParams
from simulators.machines.retrofit_lathe import RetrofitLathe, RetrofitLatheParams
from simulators.truth import Entry

Build = Callable[[str, Any, np.random.Generator, int, Callable[[Entry], None], BreakEnd], Machine]

KINDS: Mapping[str, tuple[Build, type]] = {
    CncMill.kind: (CncMill, CncMillParams),
    InjectionMoulding.kind: (InjectionMoulding, InjectionMouldingParams),
    RetrofitLathe.kind: (RetrofitLathe, RetrofitLatheParams),
}
"""Every kind of machine with the class of its parameters."""


class FloorMachine(BaseModel):
    """What stands behind one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: str = Field(description="cnc-mill, injection-moulding or retrofit-lathe")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Parameters of the kind that differ")


class FloorFile(BaseModel):
    """The whole floor file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    machines: dict[Name, FloorMachine] = Field(min_length=1, description="Machines by their id in plant.yaml")


def load_floor(path: Path) -> dict[str, FloorMachine]:
    """The machines of a floor file. Raises UserInputError that says what is wrong."""
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return FloorFile.model_validate(tree).machines
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(f"{path} cannot be read: {error}.", next_step="Give the path of a floor file.") from None
    except YAMLError as error:
        raise UserInputError(f"{path} is not YAML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserInputError(f"{path}: {place}: {first['msg']}.") from None


def build_machine(
    config: PlantConfig, machine_id: str, entry: FloorMachine, seed: int, start_ns: int, record: Callable[[Entry], None]
) -> Machine:
    """A new machine, checked against the machine's tags. Same seed and id, same life."""
    if entry.kind not in KINDS:
        raise UserInputError(
            f"{machine_id}: “{entry.kind}” is not a kind of machine.", next_step=f"Write one of {', '.join(KINDS)}."
        )
    if machine_id not in config.machines:
        raise UserInputError(
            f"The floor has a machine {machine_id}, the plant has none.",
            next_step=f"The plant's machines are {', '.join(config.machines)}.",
        )
    build, params_type = KINDS[entry.kind]
    params = _params(machine_id, entry, params_type)
    rng = np.random.default_rng([seed, zlib.crc32(machine_id.encode())])
    machine = build(machine_id, params, rng, start_ns, record, Breaks(config))
    _check_tags(config, machine, entry.kind)
    return machine


def _params(machine_id: str, entry: FloorMachine, params_type: type) -> Any:
    known = [field.name for field in fields(params_type)]
    for name in entry.parameters:
        if name not in known:
            raise UserInputError(
                f"{machine_id}: a {entry.kind} has no parameter “{name}”.", next_step=f"Known: {', '.join(known)}."
            )
    try:
        return TypeAdapter(params_type).validate_python(entry.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserInputError(f"{machine_id}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def _check_tags(config: PlantConfig, machine: Machine, kind: str) -> None:
    signals = [signal for group in machine.groups for signal in group.signals]
    for name in config.machines[machine.id].tags:
        if name not in signals:
            raise UserInputError(
                f"{machine.id}: a {kind} has no signal for the tag “{name}”.",
                next_step=f"Its signals are {', '.join(signals)}.",
            )


@dataclass(slots=True)
class Breaks:
    """Tells when the planned break that is on at a time ends; looks the calendar up once a day."""

    config: PlantConfig
    _from_ns: int = 0
    _to_ns: int = 0
    _breaks: list[Window] = field(default_factory=list)

    def __call__(self, time_ns: int) -> int | None:
        if not self._from_ns <= time_ns < self._to_ns:
            self._from_ns, self._to_ns = time_ns, time_ns + DAY
            calendar = ShiftCalendar(self.config.shifts, self.config.plant.timezone)
            shifts = calendar.shifts(Window(self._from_ns, self._to_ns))
            self._breaks = [pause for shift in shifts for pause in shift.breaks]
        ends = (pause.end_ns for pause in self._breaks if pause.start_ns <= time_ns < pause.end_ns)
        return next(ends, None)
