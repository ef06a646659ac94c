"""The course of an MQTT probe: listen, list the topics, propose tags."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from gateway.probe.mqtt import BrokerProbe
from gateway.probe.payloads import Shape, is_time
from gateway.probe.topics import Listened, Topic, propose, rate_per_s
from plant.clock import system_clock
from plant.errors import DeviceError
from testbed.probe.output import print_tags

_PATHS = 8


async def probe(
    broker: BrokerProbe, seconds: float, source: dict[str, Any], save: Path | None, out: Console, err: Console
) -> None:
    """Listens so many seconds. Raises DeviceError when nothing was heard."""
    heard = Listened()
    async with broker:
        with err.status(f"Listening to {escape(broker.pattern)} for {seconds:g} s …"):
            await broker.listen(seconds, heard.hear)
    if not heard.topics:
        raise DeviceError(
            f"Nothing was published under “{broker.pattern}” on {broker.endpoint} within {seconds:g} s.",
            next_step="Listen longer (--seconds 60), to everything (--topic '#'), and check that the machine is "
            "connected to this very broker and that this user may read its topics.",
        )
    now_ns = system_clock()
    out.print(topics_table(heard.topics.values(), seconds, now_ns))
    if broker.missed:
        out.print(f"{broker.missed} messages came faster than they could be looked at; the counts are too low.")
    tags, areas = propose(heard.topics.values(), now_ns)
    if any(Shape.SPARKPLUG in topic.shapes for topic in heard.topics.values()):
        out.print(
            "Sparkplug B names its signals in the birth messages of its nodes; their payloads are not shown here."
        )
    if tags:
        out.print(f"{len(tags)} tags are proposed. Units only where the name is clear; check every one.")
        print_tags(tags, {"broker": source}, areas, save, out, err)


def topics_table(topics: Iterable[Topic], seconds: float, now_ns: int) -> RichTable:
    """One row per topic: how often, how large, and what is in it."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("Topic", overflow="fold")
    table.add_column("Messages", justify="right")
    table.add_column("Per second", justify="right")
    table.add_column("Retained")
    table.add_column("Payload")
    table.add_column("Holds (last value)", overflow="fold")
    for topic in sorted(topics, key=lambda topic: topic.name):
        shapes = " or ".join(shape.value for shape in topic.shapes)
        row = (str(topic.count), f"{rate_per_s(topic, seconds):.2g}", "yes" if topic.retained else "", shapes)
        table.add_row(Text(topic.name), *row, Text(_content(topic, now_ns)))
    return table


def _content(topic: Topic, now_ns: int) -> str:
    if not topic.leaves:
        return "" if topic.last is None else f"{len(topic.last.payload)} bytes"
    shown = [
        f"{leaf.path or 'value'} {'time' if is_time(leaf, now_ns) else leaf.kind.value} {str(leaf.value)[:24]}"
        for leaf in list(topic.leaves.values())[:_PATHS]
    ]
    more = len(topic.leaves) - len(shown)
    return "\n".join([*shown, *([f"… and {more} more"] if more > 0 else [])])
