"""Makes the demo's history in a process of its own: `python -m testbed.demo.history FOLDER DAYS SEED`."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from plant.clock import DAY, SECOND, Window, system_clock
from plant.config_file import load_plant
from plant.errors import ResourceError, TestbedError
from plant.historian.duckdb import DuckDbHistorian
from simulators.floor import load_floor
from simulators.history import generate_history
from testbed.data_dir import DataDir
from testbed.demo.start import demo_file

_parent_ended = threading.Event()


def make_history(folder: DataDir, days: int, seed: int, console: Console) -> None:
    """Fill an empty data folder with the days before now: all of it, or nothing when it is interrupted."""
    now = system_clock() // SECOND * SECOND
    config, machines = load_plant(demo_file("plant.yaml")), load_floor(demo_file("shopfloor.yaml"))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with (
        tempfile.TemporaryDirectory(dir=folder.root, prefix="making-history-") as scratch,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        made = DataDir(Path(scratch))
        made.shopfloor.mkdir()
        task = progress.add_task(f"Making {days} days of history", total=1.0)

        def step(fraction: float) -> None:
            if _parent_ended.is_set():
                raise KeyboardInterrupt
            progress.update(task, completed=fraction)

        historian = DuckDbHistorian(made.historian)
        try:
            generate_history(
                config,
                machines,
                seed,
                Window(now - days * DAY, now),
                historian.write,
                step,
                made.shopfloor,
            )
        finally:
            historian.close()
        if not folder.is_new:
            raise ResourceError(f"The data folder {folder.root} was filled by another testbed meanwhile.")
        # The historian moves last: with it the folder counts as filled.
        shutil.rmtree(folder.shopfloor)
        made.shopfloor.rename(folder.shopfloor)
        made.historian.rename(folder.historian)


def _end_with_parent() -> None:
    """Standard input closes with the parent, however it ends: then nobody holds the folder for us any more."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    _parent_ended.set()  # the main thread stops at its next step and tidies up the folder and the terminal
    time.sleep(2)
    os._exit(130)


def main() -> None:
    """The arguments come from `testbed demo`."""
    logging.basicConfig(level=logging.WARNING)
    root, days, seed = sys.argv[1:]
    console = Console(stderr=True, highlight=False)
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        make_history(DataDir(Path(root)), int(days), int(seed), console)
    except TestbedError as error:
        console.print(f"[red]{error}[/] {error.next_step}", soft_wrap=True)
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
