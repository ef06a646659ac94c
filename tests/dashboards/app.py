"""The pages on a small plant, as a process of its own: `python -m tests.dashboards.app PORT FOLDER`.

NiceGUI lives once per process, so the browser's tests start this one beside them.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from dashboards.web import mount
from plant.clock import SECOND, system_clock
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import Point, PointBatch, Quality
from tests.dashboards.factory import FakeConnections, config, fill, record


def main(port: int, folder: Path) -> None:
    now_ns = system_clock()
    historian = DuckDbHistorian(folder / "pages.duckdb")
    fill(historian, now_ns)
    record(historian)
    plant = Plant(config(), historian)
    app = FastAPI()
    app.add_api_route("/alive", lambda: {"alive": True})
    mount(app, plant, FakeConnections(historian, now_ns))
    threading.Thread(target=_deliver, args=(historian,), daemon=True).start()
    uvicorn.run(app, port=port, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1)


def _deliver(historian: DuckDbHistorian) -> None:
    """New values twice a second: the load counts 10.0, 10.1, 10.2 …"""
    for n in range(100_000):
        now_ns = time.time_ns()
        values = {"load": 10 + n % 800 / 10, "temperature": 60.0, "power": 7.5}
        points = [Point(f"mill-1.{name}", now_ns, value, Quality.GOOD) for name, value in values.items()]
        historian.write(PointBatch.of([*points, Point("mill-1.state", now_ns, "execute", Quality.GOOD)]))
        time.sleep(SECOND / 2e9)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
