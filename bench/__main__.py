"""`make bench`: measures speed and memory and prints a table. ARGS="historian demo" chooses."""

from __future__ import annotations

import importlib
import sys

from rich.console import Console
from rich.table import Table

AREAS = ("historian", "gateway", "simulators", "demo", "durability")


def main(chosen: list[str]) -> None:
    console = Console()
    unknown = set(chosen) - set(AREAS)
    if unknown:
        sys.exit(f"There is no bench {', '.join(sorted(unknown))}; choose from {', '.join(AREAS)}.")
    table = Table("area", "what", "measured")
    for area in chosen or AREAS:
        with console.status(f"Measuring {area} …"):
            rows = importlib.import_module(f"bench.{area}").run()
        for what, figure in rows:
            table.add_row(area, what, figure)
            area = ""
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
