"""The gateway and the historian without pages, as a process to be killed: `python -m bench.gateway_alone PLANT DATA`.

Every point is written to standard output after the gateway has acknowledged it (its commit has returned): what is
printed must survive. The historian takes its time before and after each write, so that kills meet those moments too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from gateway.gateway import Gateway
from plant.config_file import load_plant
from plant.historian.duckdb import DuckDbHistorian
from plant.points import PointBatch

_PAUSE_S = 0.1


class _Slow(DuckDbHistorian):
    def write(self, batch: PointBatch) -> None:
        time.sleep(_PAUSE_S)
        super().write(batch)
        time.sleep(_PAUSE_S)


async def main(plant_file: Path, data: Path) -> None:
    historian = _Slow(data / "historian.duckdb")
    gateway = Gateway(load_plant(plant_file), historian, data / "gateway")
    commit = gateway._committer.emit

    async def emit(batch: PointBatch) -> None:
        await commit(batch)
        told = "".join(f"{p.tag} {p.time_ns} {p.value!r}\n" for p in batch if isinstance(p.value, float))
        os.write(sys.stdout.fileno(), told.encode())

    gateway._committer.emit = emit  # type: ignore[method-assign]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with gateway:
        await stop.wait()
    historian.close()


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), folder))
