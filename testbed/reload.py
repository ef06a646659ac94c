"""Reads plant.yaml again while the system runs: all of it or nothing. Asked for with SIGHUP or POST /api/reload."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape

from gateway.gateway import Gateway
from plant.config import PlantConfig
from plant.errors import ConfigError, TestbedError
from plant.plant import Plant
from plant.reload import ReloadResult
from testbed.report import print_mistakes

audit = logging.getLogger("testbed.audit")


class Reloader:
    """One reload at a time. Every try leaves a line in the log, told or refused."""

    def __init__(self, load: Callable[[], PlantConfig], plant: Plant, gateway: Gateway) -> None:
        self._load, self._plant, self._gateway = load, plant, gateway
        self._one_at_a_time = asyncio.Lock()

    async def reload(self, asked_by: str) -> ReloadResult:
        """Raises ConfigError or UserInputError, and then everything is as it was."""
        async with self._one_at_a_time:
            try:
                config = await asyncio.to_thread(self._load)
                sources = await self._gateway.apply(config)
            except TestbedError as error:
                audit.warning("reload (%s) refused, nothing changed: %s", asked_by, _in_short(error))
                raise
            result = await asyncio.to_thread(ReloadResult.of, self._plant.config, config, sources)
            await asyncio.to_thread(self._plant.apply, config)
            audit.info("reload (%s) applied: %s", asked_by, result)
            return result


def _in_short(error: TestbedError) -> str:
    """One line for the log; whoever asked gets all of it."""
    if isinstance(error, ConfigError) and len(error.mistakes) > 1:
        return f"{error.file} has {len(error.mistakes)} mistakes, the first: {error.mistakes[0]}"
    return str(error)


@contextlib.contextmanager
def reload_on_hangup(reloader: Reloader, console: Console, stop: Callable[[], None]) -> Iterator[None]:
    """SIGHUP reloads while the block runs; one that comes because the terminal was closed stops instead."""
    number = getattr(signal, "SIGHUP", None)
    if number is None:  # Windows
        yield
        return
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    has_terminal = sys.stdin is not None and sys.stdin.isatty()

    def asked() -> None:
        if has_terminal and not _terminal_is_there():
            stop()
            return
        task = loop.create_task(_reload_and_tell(reloader, console), name="reload on SIGHUP")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
        for task in tasks:
            task.cancel()


def _terminal_is_there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _reload_and_tell(reloader: Reloader, console: Console) -> None:
    try:
        result = await reloader.reload("SIGHUP")
    except ConfigError as error:
        print_mistakes(error, console)
        console.print("Not reloaded: everything goes on as before.", soft_wrap=True)
    except TestbedError as error:
        console.print(f"[red]{escape(str(error))}[/] Not reloaded: everything goes on as before.", soft_wrap=True)
    except Exception:  # noqa: BLE001 — the supervisor of this task: nobody waits for it
        audit.exception("reload (SIGHUP) failed")
    else:
        console.print(f"Reloaded. {escape(str(result))}.", soft_wrap=True)
