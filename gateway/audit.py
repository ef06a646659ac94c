"""Who wrote what to which machine: one JSON line for each attempt, appended and never changed."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from plant.errors import ResourceError


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """One attempt. `old` and `new` in the tag's unit; `result` is "begun", then "written" or why not."""

    time: str
    who: str
    tag: str
    old: float | None
    new: float
    result: str


class Audit:
    """The file `writes.jsonl` in the data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "writes.jsonl"

    def append(self, record: WriteRecord) -> None:
        """On disk when it returns. Raises ResourceError; what cannot be audited must not be written."""
        try:
            with self.path.open("ab") as file:
                file.write(orjson.dumps(asdict(record)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ResourceError(
                f"The record of writes {self.path} cannot be written: {error}.",
                next_step="Check the disk and the permissions of the data folder; nothing is written to a machine.",
            ) from error
