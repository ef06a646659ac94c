"""Every error this system raises on purpose, grouped by who must act.

TestbedError
├── UserInputError          the person at the keyboard corrects what was asked for
│   ├── ConfigError         … in plant.yaml (carries every mistake found, not just the first)
│   └── RecordingError      … in a recorded log (file, line, what is wrong)
├── NotFoundError           a machine, tag or source of that name does not exist
├── EquipmentError          the automation engineer looks at a device, cable or address
│   ├── ConnectionLostError the link to the device is down
│   ├── DeviceError         the device answered, with an error or with something wrong
│   └── DecodeError         the answer does not fit the tag's type or path
└── ResourceError           the administrator of this computer: port, disk, memory, permissions
    └── HistorianError      the store cannot be read or written now
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class TestbedError(Exception):
    """The root: one plain sentence in `str(error)`, and in `next_step` what to do about it."""

    __test__ = False  # the name begins with "Test": pytest must not collect it

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class UserInputError(TestbedError):
    """Something asked for cannot be done as written."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file: where it is, what is wrong, what would be right. Lines count from 1."""

    file: Path
    line: int | None
    field: str
    wrong: str
    right: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else str(self.file)
        return f"{place}: {self.field}: {self.wrong} {self.right}".rstrip()


class ConfigError(UserInputError):
    """A plant.yaml that cannot be used, with every mistake in it."""

    def __init__(self, file: Path, mistakes: Sequence[Mistake]) -> None:
        self.file = file
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        super().__init__(
            f"{file} has {count} mistake{'s' if count != 1 else ''}: " + "; ".join(map(str, self.mistakes)),
            next_step=f"Correct it, then run: testbed check {file}",
        )


class RecordingError(UserInputError):
    """A recorded log that cannot be read."""


class NotFoundError(TestbedError):
    """No machine, tag or source has that name."""


class EquipmentError(TestbedError):
    """A device, its cable, its address or its settings need a look."""


class ConnectionLostError(EquipmentError):
    """The link to a device could not be opened or was lost."""


class DeviceError(EquipmentError):
    """The device answered with an error, or with an answer that is not to the question."""


class DecodeError(EquipmentError):
    """The answer does not fit the tag's type, byte order or path."""


class ResourceError(TestbedError):
    """This computer lacks something: a free port, a writable folder, space."""


class HistorianError(ResourceError):
    """The historian cannot be read or written at the moment."""
