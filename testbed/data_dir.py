"""The data folder: what stands where in it, one user at a time, and a clear word when it cannot be used."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from plant.errors import ResourceError


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
def prepare(root: Path) -> Iterator[DataDir]:
    """The folder, made if it is missing, and ours alone while the block runs; raises ResourceError."""
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
            yield folder
    except Timeout:
        raise ResourceError(
            f"The data folder {root} is in use by another testbed.",
            next_step="Stop that one, or give another folder with --data-dir.",
        ) from None
