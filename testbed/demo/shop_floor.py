"""The demo's second process: simulated machines and broker. It ends with its parent, even after a kill -9."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from plant.errors import ResourceError

_READY_WITHIN_S = 20.0
_ENDS_WITHIN_S = 2.5


class ShopFloorProcess:
    """`python -m simulators` as a child whose standard input stays open for as long as it shall live."""

    def __init__(self, plant_file: Path, floor_file: Path, state_dir: Path, seed: int) -> None:
        self._ready = threading.Event()
        self._ending = False
        command = [sys.executable, "-m", "simulators", str(plant_file), "--floor", str(floor_file)]
        command += ["--state-dir", str(state_dir), "--seed", str(seed), "--until-stdin-closes"]
        # A session of its own: Ctrl-C in the terminal is the parent's to handle, in order.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.ready_line = ""
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_ready(self) -> str:
        """The line the shop floor says when all its servers listen. It prints the reason itself when it cannot."""
        self._ready.wait(_READY_WITHIN_S)
        if not self.ready_line:
            raise ResourceError(
                "The demo's shop floor did not start.",
                next_step="The reason stands above.",
            )
        return self.ready_line

    def on_end(self, report: Callable[[int], None]) -> None:
        """Call `report` with the exit code when the shop floor, once ready, ends before it was asked to."""

        def wait() -> None:
            code = self._process.wait()
            if not self._ending and self.ready_line:
                report(code)

        threading.Thread(target=wait, daemon=True).start()

    def end(self) -> None:
        """Close its standard input, which ends it; does not wait. One that is still starting is ended at once."""
        self._ending = True
        if not self.ready_line:
            self._process.terminate()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def stop(self) -> None:
        """End it, and kill it when it does not within its time."""
        self.end()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.ready_line = self.ready_line or line.strip()
            self._ready.set()
        self._ready.set()


@contextlib.contextmanager
def shop_floor(plant_file: Path, floor_file: Path, state_dir: Path, seed: int) -> Iterator[ShopFloorProcess]:
    """The running shop floor; it ends with the block."""
    process = ShopFloorProcess(plant_file, floor_file, state_dir, seed)
    try:
        yield process
    finally:
        process.stop()
