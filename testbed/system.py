"""The system process: gateway, historian, API and pages on one event loop, until someone says stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
from rich.console import Console

from plant.clock import system_clock
from plant.config import PlantConfig
from plant.config_file import load_plant
from plant.historian.base import Historian
from testbed.data_dir import DataDir, prepare
from testbed.listen import listen

HOST = "127.0.0.1"
_HISTORIAN_MEMORY_MB = 256

Player = Callable[[Historian], Awaitable[None]]
"""Something that runs beside the system and writes points, such as a recorded log that is played."""


def run_system(plant_file: Path, data_dir: Path, port: int, console: Console) -> None:
    """Run until Ctrl-C or SIGTERM. Raises ConfigError before anything is started."""
    load = partial(load_plant, plant_file)
    config = load()
    with listen(HOST, port) as sock, prepare(data_dir, config.plant) as folder:
        asyncio.run(serve(config, folder, sock, console, load=load))


async def serve(
    config: PlantConfig,
    folder: DataDir,
    sock: socket.socket,
    console: Console,
    *,
    open_browser: bool = False,
    before: Callable[[], object] | None = None,
    after: Callable[[], object] | None = None,
    player: Player | None = None,
    load: Callable[[], PlantConfig] | None = None,
) -> None:
    """Open the store, start the gateway, serve the pages on the bound socket; end all of it on a signal.

    `before` is waited for, in a thread, before the gateway connects; `after` is called when it is time to end. With
    `load` the configuration can be reloaded.
    """
    from api.app import create_app
    from dashboards.web import mount
    from gateway.gateway import Gateway
    from plant.historian.duckdb import DuckDbHistorian
    from plant.plant import Plant
    from testbed.reload import Reloader, reload_on_hangup

    historian = await asyncio.to_thread(DuckDbHistorian, folder.historian, memory_limit_mb=_HISTORIAN_MEMORY_MB)
    try:
        if before is not None:
            await _wait_for(before, after)
        plant = Plant(config, historian)
        gateway = Gateway(config, historian, folder.gateway, clock=system_clock)
        await gateway.start()
        try:
            reloader = None if load is None else Reloader(load, plant, gateway)
            app = create_app(plant, gateway, None if reloader is None else partial(reloader.reload, "POST /api/reload"))
            mount(app, plant, gateway)
            url = f"http://{HOST}:{sock.getsockname()[1]}/"
            server = _Server(_uvicorn_config(app), lambda: _announce(url, config, console, open_browser=open_browser))
            on_hangup = reload_on_hangup(reloader, console, server.stop) if reloader else contextlib.nullcontext()
            async with _beside(player, historian, server.stop):
                with on_hangup:
                    await server.serve(sockets=[sock])
        finally:
            if after is not None:
                after()
            await gateway.stop()
    finally:
        await asyncio.to_thread(historian.close)


async def _wait_for(before: Callable[[], object], after: Callable[[], object] | None) -> None:
    """Wait in a thread; when we are told to end meanwhile, `after` ends the thread's waiting too."""
    try:
        await asyncio.to_thread(before)
    except asyncio.CancelledError:
        if after is not None:
            after()
        raise


@contextlib.asynccontextmanager
async def _beside(player: Player | None, historian: Historian, stop: Callable[[], None]) -> AsyncIterator[None]:
    """Run the player while the block runs; when it fails, stop and raise what it raised."""
    if player is None:
        yield
        return
    task = asyncio.ensure_future(player(historian))
    task.add_done_callback(lambda done: stop() if not done.cancelled() and done.exception() else None)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _uvicorn_config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        # Browsers keep their sockets open for ever: do not wait for them when it is time to stop.
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
        # Live values are short: deflating each costs more than it saves on one computer.
        ws_per_message_deflate=False,
    )


class _Server(uvicorn.Server):
    """uvicorn that stops on a signal, says when it listens, and does not raise the signal again afterwards."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            # From here on the parts close down in order; a second Ctrl-C must not tear that apart.
            for number in previous:
                signal.signal(number, signal.SIG_IGN)

    def stop(self) -> None:
        """End as on a signal."""
        self.should_exit = True

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.handle_exit(number, frame)


def _announce(url: str, config: PlantConfig, console: Console, *, open_browser: bool) -> None:
    console.print(f"[bold]{config.plant.name}[/] is ready: [bold]{url}[/]   (Ctrl-C ends it)")
    if open_browser and _has_screen():
        webbrowser.open(url)


def _has_screen() -> bool:
    """Without a screen `webbrowser` would start a text browser in this terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
