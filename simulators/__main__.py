"""`python -m simulators PLANT.yaml --floor FILE`: the shop floor as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from plant.config_file import load_plant
from plant.errors import ResourceError, TestbedError
from simulators.broker import BrokerChoice
from simulators.floor import load_floor
from simulators.shopfloor import ShopFloor

PlantFile = Annotated[Path, typer.Argument(metavar="PLANT.yaml", help="The plant's configuration.")]
FloorOption = Annotated[
    Path | None, typer.Option("--floor", help="Which simulator backs which machine; default: shopfloor.yaml beside it.")
]
StateDir = Annotated[Path, typer.Option("--state-dir", help="Folder for the machines' state and the truth ledger.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same life.")]
BrokerOption = Annotated[BrokerChoice, typer.Option("--broker", help="Which MQTT broker to start.")]
UntilStdinCloses = Annotated[
    bool,
    typer.Option("--until-stdin-closes", help="End when standard input closes: with the parent, whatever kills it."),
]


def main(
    plant: PlantFile,
    state_dir: StateDir,
    floor: FloorOption = None,
    seed: Seed = 1,
    broker: BrokerOption = BrokerChoice.AUTO,
    until_stdin_closes: UntilStdinCloses = False,
) -> None:
    """Run simulated machines on real Modbus and MQTT until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        machines = load_floor(floor or plant.with_name("shopfloor.yaml"))
        asyncio.run(_run(ShopFloor(load_plant(plant), machines, seed, state_dir, broker=broker), until_stdin_closes))
    except TestbedError as error:
        typer.echo(f"{error} {error.next_step}".rstrip(), err=True)
        raise typer.Exit(3 if isinstance(error, ResourceError) else 2) from None


async def _run(floor: ShopFloor, until_stdin_closes: bool) -> None:  # noqa: FBT001  # straight from the option
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, asked.set)
    if until_stdin_closes:
        threading.Thread(target=_wait_for_stdin, args=(loop, asked), daemon=True).start()
    await floor.start()
    try:
        typer.echo(f"Shop floor ready: {', '.join(floor.machines)} on {', '.join(floor.endpoints)}")
        sys.stdout.flush()
        ends = [asyncio.create_task(asked.wait()), asyncio.create_task(floor.wait())]
        done, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()
    finally:
        await floor.stop()


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(asked.set)


if __name__ == "__main__":
    typer.run(main)
