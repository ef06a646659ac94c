"""The data folder: what stands where in it, one user at a time, and a clear word when it cannot be used."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from plant.config import PlantSection
from plant.errors import ResourceError, UserInputError


@dataclass(frozen=True, slots=True)
class DataDir:
    """The places inside one data folder."""

    root: Path

    @property
    def historian(self) -> Path:
        return self.root / "historian.duckdb"

    @property
    def gateway(self) -> Path:
        return self.root / "gateway"

    @property
    def shopfloor(self) -> Path:
        return self.root / "shopfloor"

    @property
    def is_new(self) -> bool:
        """Nothing is stored here yet."""
        return not self.historian.exists()


@contextlib.contextmanager
def prepare(root: Path, plant: PlantSection) -> Iterator[DataDir]:
    """The folder, made if it is missing, and this plant's alone while the block runs.

    Raises ResourceError when it cannot be used, UserInputError when it holds another plant's data.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
        folder = DataDir(root)
        folder.gateway.mkdir(exist_ok=True)
        folder.shopfloor.mkdir(exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ResourceError(
            f"The data folder {root} cannot be written to: {reason}.",
            next_step="Give another one with --data-dir, or correct the permissions.",
        ) from None
    try:
        with FileLock(root / "in-use.lock", timeout=0):
            _belongs_to(folder, plant)
            yield folder
    except Timeout:
        raise ResourceError(
            f"The data folder {root} is in use by another testbed.",
            next_step="Stop that one, or give another folder with --data-dir.",
        ) from None


def _belongs_to(folder: DataDir, plant: PlantSection) -> None:
    """Points of two plants in one store could never be told apart again."""
    owner = folder.root / "plant.txt"
    name = f"{plant.enterprise}/{plant.site}"
    if not owner.exists():
        owner.write_text(name + "\n", encoding="utf-8")
    elif (found := owner.read_text(encoding="utf-8").strip()) != name:
        raise UserInputError(
            f"The data folder {folder.root} holds the data of {found}; this plant is {name}.",
            next_step="Give this plant a folder of its own with --data-dir.",
        )
