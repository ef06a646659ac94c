"""Starts the real command line for system tests: free ports, bounded waiting, ends only what it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def run_testbed(
    *arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a `testbed` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "testbed", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"COLUMNS": "200"} | (env or {}),
        check=False,
    )


class Running:
    """A `testbed` command that runs until it is told to stop."""

    def __init__(self, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "testbed", *map(str, arguments), "--port", str(self.port)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=os.environ | (env or {}),
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.output.append(line)

    def get(self, path: str) -> Any:
        """The JSON of an API path."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def wait_for(self, condition: Callable[[], Any], within: float = 60, what: str = "the condition") -> Any:
        """Poll until the condition gives something true; an unreachable server counts as not yet."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {''.join(self.output)}")
            with contextlib.suppress(OSError):
                if result := condition():
                    return result
            time.sleep(0.1)
        raise AssertionError(f"{what} did not come within {within} s: {''.join(self.output)}")

    def family(self) -> list[psutil.Process]:
        """This process and all that it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self, number: int = signal.SIGINT, within: float = 10) -> float:
        """Send the signal and wait; seconds until every process of the family is gone."""
        children = self.family()[1:]
        begun = time.monotonic()
        self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within)
        _, alive = psutil.wait_procs(children, timeout=max(0.1, within - (time.monotonic() - begun)))
        if self.process.poll() is None or alive:
            for process in alive:
                process.kill()
            self.process.kill()
            raise AssertionError(f"still running after {within} s: {alive or self.process.args}")
        return time.monotonic() - begun


@contextlib.contextmanager
def running(*arguments: str | Path, env: dict[str, str] | None = None) -> Iterator[Running]:
    """The running command; killed at the end of the block if it still lives."""
    process = Running(*arguments, env=env)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.stop(signal.SIGTERM)
        assert process.process.stderr is not None
        process.process.wait(10)
        process.process.stderr.close()
