"""What to write in plant.yaml, printed and, when asked for, saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from gateway.probe.snippet import plant_yaml, tag_list_csv
from plant.errors import ResourceError, UserInputError
from plant.tags import Tag


def print_tags(
    tags: Sequence[Tag],
    sources: Mapping[str, Mapping[str, Any]],
    areas: Mapping[str, str],
    save: Path | None,
    out: Console,
    err: Console,
) -> None:
    """A plant.yaml and the rows of a tag list. `save`: the plant.yaml goes there as well."""
    text = plant_yaml(sources, tags, areas)
    out.print("\n[bold]For plant.yaml[/] (give plant, machine and tags the names that they shall keep):\n")
    _plain(out, text)
    out.print("[bold]The same as rows of a tag list[/] (CSV):\n")
    _plain(out, tag_list_csv(tags))
    if save is not None:
        try:
            with save.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ResourceError(f"{save} cannot be written: {error}.", next_step="Give another --save.") from None
        err.print(f"Saved. Next: testbed check {escape(str(save))}")


def check_new(save: Path | None) -> None:
    """Raises UserInputError when the file is there: the probe overwrites nothing. To be asked before the work."""
    if save is not None and save.exists():
        raise UserInputError(f"{save} exists already; nothing is overwritten.", next_step="Give another --save.")


def _plain(out: Console, text: str) -> None:
    """Not wrapped, not coloured: to be copied."""
    out.print(text, soft_wrap=True, markup=False, highlight=False)
