"""The whole demo as a visitor runs it: start times, CPU, memory and points per second at rest."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

HISTORY_DAYS = 7
SETTLE_S = 15
WATCH_S = 20


def run() -> list[tuple[str, str]]:
    """First start with a week of history, then a second start that is measured at rest."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        begun = time.monotonic()
        with _demo(data) as (_, url):
            _living_value(url, since=time.time())
            first = time.monotonic() - begun
        started = time.time()
        with _demo(data) as (process, url):
            _living_value(url, since=started)
            second = time.time() - started
            page = _first_byte(url)
            rows = _rest(process, url)
            asked = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait(10)
            ended = time.monotonic() - asked
        size = sum(f.stat().st_size for f in data.rglob("*") if f.is_file()) / 1e6
    return [
        (f"first start, {HISTORY_DAYS} days of history made, to first living value", f"{first:.1f} s"),
        ("later start to first living value", f"{second:.2f} s"),
        ("page, first answer whole", f"{page * 1000:.0f} ms"),
        *rows,
        ("Ctrl-C to the end of every process", f"{ended:.2f} s"),
        ("data folder", f"{size:.0f} MB"),
    ]


def _rest(process: subprocess.Popen[bytes], url: str) -> list[tuple[str, str]]:
    time.sleep(SETTLE_S)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    before, rows_before, at = [p.cpu_times() for p in family], _rows(url), time.monotonic()
    time.sleep(WATCH_S)
    passed = time.monotonic() - at
    share: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for p, b in zip(family, before, strict=True):
        now = p.cpu_times()
        share[_role(p)] += 100 * (now.user + now.system - b.user - b.system) / passed
        memory[_role(p)] += p.memory_full_info().pss / 1e6
    figures = [(f"CPU at rest, {role}", f"{part:.1f} % of one core") for role, part in share.items()]
    figures.append(("CPU at rest, all processes", f"{share.total():.1f} % of one core"))
    figures += [(f"memory, {role}", f"{size:.0f} MB") for role, size in memory.items()]
    figures.append(("memory, all processes", f"{memory.total():.0f} MB"))
    figures.append(("points stored", f"{(_rows(url) - rows_before) / passed:.1f} points/s"))
    return figures


def _role(process: psutil.Process) -> str:
    """The processes as a reader knows them; helpers of the broker count with it."""
    command = process.cmdline()
    if "simulators" in command:
        return "shop floor"
    return "system" if "testbed" in command else "broker"


@contextmanager
def _demo(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    ports = [_free_port() for _ in range(3)]
    environment = os.environ | {"TESTBED_MODBUS_PORT": str(ports[1]), "TESTBED_MQTT_PORT": str(ports[2])}
    command = [sys.executable, "-m", "testbed", "demo", "--no-browser", "--port", str(ports[0])]
    command += ["--data-dir", str(data), "--history-days", str(HISTORY_DAYS)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process, f"http://127.0.0.1:{ports[0]}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _rows(url: str) -> int:
    return int(_get(f"{url}/api/health")["historian"]["rows"])


def _living_value(url: str, since: float, within: float = 120) -> None:
    """Wait until a point that was read after `since` can be asked for."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            times = [(m["last_point"] or "")[:23] for m in _get(f"{url}/api/machines")["machines"]]
            if any(t and datetime.fromisoformat(t + "+00:00").timestamp() > since for t in times):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.05)
    raise TimeoutError(f"no living value within {within:.0f} s")


def _first_byte(url: str) -> float:
    best = float("inf")
    for _ in range(3):
        begun = time.monotonic()
        urllib.request.urlopen(url, timeout=10).read()
        best = min(best, time.monotonic() - begun)
    return best


if __name__ == "__main__":
    for what, figure in run():
        print(f"{what}: {figure}")
