"""`testbed replay`: a recorded log into the historian, or played beside the running system."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.sources.replay import import_recording, play
from plant.config import PlantConfig
from plant.historian.base import Historian
from plant.historian.duckdb import DuckDbHistorian
from plant.points import PointBatch
from testbed.data_dir import prepare
from testbed.listen import listen
from testbed.system import HOST, serve


def import_log(log: Path, config: PlantConfig, data_dir: Path, plant_file: Path, console: Console) -> None:
    """Import under the log's own time stamps; the same log twice leaves the same points."""
    columns = TextColumn("Importing {task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
    with prepare(data_dir, config.plant) as folder, Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(log.name, total=None)
        historian = DuckDbHistorian(folder.historian)
        try:
            summary = import_recording(
                log, config, historian.write, lambda done, total: progress.update(task, completed=done, total=total)
            )
        finally:
            historian.close()
    console.print(str(summary), markup=False, soft_wrap=True)
    console.print(f"Look at it: testbed run {plant_file} --data-dir {data_dir}", markup=False, soft_wrap=True)


def play_log(log: Path, config: PlantConfig, data_dir: Path, speed: float, port: int, console: Console) -> None:
    """Play as if live, beside the system with its pages, until Ctrl-C."""

    async def player(historian: Historian) -> None:
        async def emit(batch: PointBatch) -> None:
            await asyncio.to_thread(historian.write, batch)

        summary = await play(log, config, emit, speed=speed)
        console.print(f"Played to its end: {summary}", markup=False, soft_wrap=True)

    with listen(HOST, port) as sock, prepare(data_dir, config.plant) as folder:
        asyncio.run(serve(config, folder, sock, console, player=player))
