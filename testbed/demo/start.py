"""`testbed demo`: history on the first start, the shop floor as a child process, then the same system as `run`."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from functools import partial
from importlib import resources
from pathlib import Path

from rich.console import Console

from plant.config import ModbusTcpSource, MqttSource, PlantConfig
from plant.config_file import load_plant
from plant.errors import ResourceError
from testbed.data_dir import DataDir, prepare
from testbed.demo.shop_floor import shop_floor
from testbed.listen import is_free, listen
from testbed.system import HOST, serve


def demo_file(name: str) -> Path:
    """A file of the demo's configuration."""
    return Path(str(resources.files("testbed.demo") / name))


def run_demo(data_dir: Path, port: int, history_days: int, seed: int, *, open_browser: bool, console: Console) -> None:
    """Run the demo until Ctrl-C or SIGTERM."""
    load = partial(load_plant, demo_file("plant.yaml"))
    config = load()
    with listen(HOST, port) as sock, prepare(data_dir, config.plant) as folder:
        _require_machine_ports(config)
        if not folder.is_new:
            console.print(f"Going on with the data in {folder.root}.")
        elif history_days > 0:
            _make_history(folder, history_days, seed)
        with shop_floor(demo_file("plant.yaml"), demo_file("shopfloor.yaml"), folder.shopfloor, seed) as floor:
            floor.on_end(lambda code: console.print(f"[red]The shop floor ended by itself (exit code {code}).[/]"))
            system = serve(
                config,
                folder,
                sock,
                console,
                open_browser=open_browser,
                before=floor.wait_ready,
                after=floor.end,
                load=load,
            )
            asyncio.run(system)


def _require_machine_ports(config: PlantConfig) -> None:
    """Before a minute of history is made, not after."""
    for source in config.sources.values():
        match source:
            case ModbusTcpSource():
                variable = "TESTBED_MODBUS_PORT"
            case MqttSource():
                variable = "TESTBED_MQTT_PORT"
            case _:
                continue
        if not is_free(source.host, source.port):
            raise ResourceError(
                f"Port {source.port} on {source.host}, which the demo's machines need, is taken by another program.",
                next_step=f"Stop that program, or choose another port: {variable}={source.port + 1}",
            )


def _make_history(folder: DataDir, days: int, seed: int) -> None:
    """In a process of its own: what it needs of memory is gone when the demo runs. It ends with this one."""
    for left in folder.root.glob("making-history-*"):
        shutil.rmtree(left, ignore_errors=True)
    command = [sys.executable, "-m", "testbed.demo.history", str(folder.root), str(days), str(seed)]
    # Leaving the block, for whatever reason, closes the child's standard input, which ends it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        code = process.wait()
    if code:
        raise ResourceError(
            "The history could not be made; nothing was kept of it.",
            next_step="The reason stands above. Start without one: --history-days 0",
        )
