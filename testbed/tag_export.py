"""`testbed tags export`: a plant's tags as a table."""

from __future__ import annotations

from pathlib import Path

from plant.config import PlantConfig
from plant.errors import NotFoundError
from plant.tag_list import table_of
from plant.tag_list_file import write_table


def export(config: PlantConfig, file: Path, machine: str | None) -> int:
    """Writes the list and gives how many tags are in it. Raises NotFoundError, UserInputError."""
    if machine is not None and machine not in config.machines:
        raise NotFoundError(
            f"There is no machine “{machine}”.", next_step=f"Known machines: {', '.join(config.machines)}."
        )
    tags = [tag for tag in config.tags() if machine in (None, tag.machine)]
    write_table(file, table_of(tags, with_machine=machine is None))
    return len(tags)
