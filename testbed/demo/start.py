"""`testbed demo`: history on the first start, the shop floor as a child process, then the same system as `run`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from importlib import resources
from pathlib import Path

from rich.console import Console

from plant.config_file import load_plant
from plant.errors import ResourceError
from testbed.data_dir import DataDir, prepare
from testbed.demo.shop_floor import shop_floor
from testbed.listen import listen
from testbed.system import HOST, serve


def demo_file(name: str) -> Path:
    """A file of the demo's configuration."""
    return Path(str(resources.files("testbed.demo") / name))


def run_demo(data_dir: Path, port: int, history_days: int, seed: int, *, open_browser: bool, console: Console) -> None:
    """Run the demo until Ctrl-C or SIGTERM."""
    load = partial(load_plant, demo_file("plant.yaml"))
    config = load()
    with listen(HOST, port) as sock, prepare(data_dir) as folder:
        if folder.is_new and history_days > 0:
            _make_history(folder, history_days, seed)
        else:
            console.print(f"Going on with the data in {folder.root}.")
        with shop_floor(demo_file("plant.yaml"), demo_file("shopfloor.yaml"), folder.shopfloor, seed) as floor:
            floor.on_end(lambda code: console.print(f"[red]The shop floor ended by itself (exit code {code}).[/]"))
            asyncio.run(
                serve(config, folder, sock, console, open_browser=open_browser, before=floor.wait_ready, load=load)
            )


def _make_history(folder: DataDir, days: int, seed: int) -> None:
    """In a process of its own: what it needs of memory is gone when the demo runs."""
    command = [sys.executable, "-m", "testbed.demo.history", str(folder.root), str(days), str(seed)]
    if subprocess.run(command, check=False).returncode:
        raise ResourceError(
            "The history could not be made; nothing was kept of it.",
            next_step="The reason stands above. Start without one: --history-days 0",
        )
