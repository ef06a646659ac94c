"""`testbed probe modbus|mqtt`: options and help. What they do is imported inside, so that `--help` answers at once."""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    name="probe",
    help="Look at a machine before you connect it: read-only, bounded in time, with advice.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


class Tables(StrEnum):
    """A table to look at."""

    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"
    ALL = "all"


_LOOK, _FIND, _WRITE = "What to look at", "What to find", "What to write"

_MODBUS_EXAMPLES = """[bold]Examples[/]

testbed probe modbus 192.168.0.10

testbed probe modbus 192.168.0.10:1502 --unit 3 --range 100-300 --table input

testbed probe modbus 192.168.0.10 --expect 23.5 --watch 10 --address 30010

testbed probe modbus 192.168.0.10 --choose input:9,int16,ABCD,0.1 --save plant.yaml
"""


@app.command(epilog=_MODBUS_EXAMPLES)
def modbus(
    device: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The device; port 502 unless given.")],
    unit: Annotated[str, typer.Option(metavar="1-10", help="Unit ids to ask.", rich_help_panel=_LOOK)] = "1-10",
    range_: Annotated[
        str, typer.Option("--range", metavar="0-200", help="Addresses to look at, from 0.", rich_help_panel=_LOOK)
    ] = "0-200",
    table: Annotated[Tables, typer.Option(help="Table to look at.", rich_help_panel=_LOOK)] = Tables.ALL,
    show: Annotated[
        str | None, typer.Option(metavar="0-15", help="Registers to show.", rich_help_panel=_LOOK, show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="Show unlikely numbers too.", rich_help_panel=_LOOK)] = False,
    rtu: Annotated[
        bool, typer.Option("--rtu", help="RTU over TCP: behind a plain serial converter.", rich_help_panel=_LOOK)
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.05, max=60, help="Seconds to wait for an answer.", rich_help_panel=_LOOK)
    ] = 1.0,
    within: Annotated[
        float, typer.Option(min=1, max=3600, help="Most seconds for the addresses of a table.", rich_help_panel=_LOOK)
    ] = 30.0,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="23.5",
            help="A value that the machine shows now, with all its digits (or a text): where does it stand?",
            rich_help_panel=_FIND,
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="How far off it may be; default: half of its last digit.",
            rich_help_panel=_FIND,
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to watch how candidates live.", rich_help_panel=_FIND)
    ] = 0.0,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="30010",
            help="What the device's list calls it: tells whether the list counts from 0 or 1.",
            rich_help_panel=_FIND,
            show_default=False,
        ),
    ] = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS,TYPE[,ORDER[,SCALE]]",
            help="Print this as a tag; may be repeated.",
            rich_help_panel=_WRITE,
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the plant.yaml there.", rich_help_panel=_WRITE, show_default=False),
    ] = None,
) -> None:
    """Find out how to read a Modbus device: units, addresses, limits, types and byte orders.

    Only reads (function codes 1 to 4): nothing in the device changes. Stop with Ctrl-C at any moment.
    """
    from testbed.probe import parse
    from testbed.probe.modbus import Wanted, check_wanted, probe

    host, port = parse.endpoint(device, 502)
    wanted = Wanted(
        units=parse.span(unit, "--unit", 255),
        range=parse.span(range_, "--range"),
        tables=parse.tables(table.value),
        within_s=within,
        expect=expect,
        tolerance=tolerance,
        listed=None if address is None else parse.listed(address),
        watch_s=watch,
        show=None if show is None else parse.span(show, "--show"),
        every=every,
        choices=[parse.choice(text) for text in choose or ()],
        save=save,
    )
    check_wanted(wanted)
    source: dict[str, object] = {"type": "modbus-rtu-tcp" if rtu else "modbus-tcp", "host": host, "port": port}
    asyncio.run(probe(source, timeout, wanted, Console(highlight=False), Console(stderr=True)))


_MQTT_EXAMPLES = """[bold]Examples[/]

testbed probe mqtt 192.168.0.20

testbed probe mqtt 192.168.0.20:1883 --topic 'hall-a/#' --seconds 60 --save plant.yaml

MQTT_PASSWORD=… testbed probe mqtt broker.local --user reader
"""


@app.command(epilog=_MQTT_EXAMPLES)
def mqtt(
    broker: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The broker; port 1883 unless given.")],
    topic: Annotated[str, typer.Option(metavar="'#'", help="Topics to listen to; + and # are allowed.")] = "#",
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="How long to listen.")] = 10.0,
    user: Annotated[
        str | None,
        typer.Option(help="User name; its password comes from the environment: MQTT_PASSWORD.", show_default=False),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the plant.yaml there.", show_default=False)
    ] = None,
) -> None:
    """Find out what a broker carries: topics, payloads, and the tags that follow from them.

    Only subscribes: nothing is published, no session stays behind. Stop with Ctrl-C at any moment.
    """
    from gateway.probe.mqtt import BrokerProbe, Login
    from testbed.probe import mqtt as steps
    from testbed.probe import parse
    from testbed.probe.output import check_new

    host, port = parse.endpoint(broker, 1883)
    check_new(save)
    source: dict[str, object] = {"type": "mqtt", "host": host, "port": port}
    if user is not None:
        source |= {"username": user, "password": "${MQTT_PASSWORD}"}
    listener = BrokerProbe(host, port, topic, Login(user, os.environ.get("MQTT_PASSWORD") if user else None))
    asyncio.run(steps.probe(listener, seconds, source, save, Console(highlight=False), Console(stderr=True)))
