"""The course of a Modbus probe: units, ranges, limits, registers, candidates, and what to write in plant.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter
from rich.console import Console
from rich.markup import escape

from gateway.probe.advice import Measured, advise
from gateway.probe.device import Device
from gateway.probe.expected import Expected
from gateway.probe.hints import Listed, base_hint, texts
from gateway.probe.modbus import Found, Presence, Unit, measure, read_window, scan_table, scan_units, watch
from gateway.probe.ranges import Span
from gateway.probe.ranking import Candidate, find_text, rank
from gateway.probe.readings import Readings
from plant.config import AnyModbusSource
from plant.errors import DeviceError, UserInputError
from plant.tags import Table, Tag
from testbed.probe.output import check_new, print_tags
from testbed.probe.tables import candidates_table, found_table, narrow_table, units_table, wide_table

_SOURCE: TypeAdapter[AnyModbusSource] = TypeAdapter(Annotated[AnyModbusSource, Field(discriminator="type")])
_SHOWN = 16
_BEST = 10
_MANY = 3  # units that all answer: then the device does not look at the unit id
_AROUND = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    units: Span
    range: Span
    tables: Sequence[Table]
    within_s: float
    expect: str | None = None
    tolerance: float | None = None
    listed: Listed | None = None
    watch_s: float = 0.0
    show: Span | None = None
    every: bool = False
    choices: Sequence[Tag] = field(default_factory=tuple)
    save: Path | None = None


async def probe(source: Mapping[str, object], timeout_s: float, wanted: Wanted, out: Console, err: Console) -> None:
    """Runs the probe. `source`: what stands in plant.yaml for the connection (type, host, port …).

    Raises ConnectionLostError when nobody listens, DeviceError when nobody answers.
    """
    async with Device(_SOURCE.validate_python({**source, "timeout_s": timeout_s})) as device:
        out.print(f"[bold]{escape(device.endpoint)}[/] listens.")
        unit = await _units(device, wanted, out, err)
        found = await _ranges(device, unit, wanted, out, err)
        widest = max(found, key=lambda one: (not one.table.is_bits, max(span.count for span in one.spans)))
        measured = await measure(device, widest)
        settings = _advice(measured, out)
        at_once = (measured and measured.longest) or 1
        if wanted.expect is not None:
            chosen = await _expected(device, found, wanted, at_once, out)
        else:
            await _windows(device, found, wanted, at_once, out)
            chosen = []
    tags = [*wanted.choices, *chosen]
    if tags:
        print_tags(tags, {"device": {**source, "unit": unit, **settings}}, {}, wanted.save, out, err)
    elif wanted.expect is None:
        out.print("\nNext: read a number off the machine's display and let the probe find it: --expect 23.5")


async def _units(device: Device, wanted: Wanted, out: Console, err: Console) -> int:
    """The unit to go on with."""
    units: list[Unit] = []
    with _progress(err, "Units", wanted.units.count) as step:
        async for unit in scan_units(device, range(wanted.units.start, wanted.units.end), wanted.range.start):
            units.append(unit)
            step(f"unit {unit.number}")
    out.print(units_table(units))
    good = [unit.number for unit in units if unit.presence is Presence.ANSWERS]
    there = good or [unit.number for unit in units if unit.presence is Presence.ERROR]
    if not there:
        raise _nobody(device, units, wanted.units)
    if len(good) == len(units) >= _MANY:
        out.print(f"Every unit id is answered: the device does not look at it. Going on with unit {there[0]}.")
    elif len(there) > 1:
        out.print(f"Going on with unit {there[0]}; look at the others with --unit {there[1]} …")
    return there[0]


def _nobody(device: Device, units: Sequence[Unit], asked: Span) -> DeviceError:
    if any(unit.presence in (Presence.GATEWAY_PATH, Presence.GATEWAY_TARGET) for unit in units):
        return DeviceError(
            f"A gateway answers at {device.endpoint}, but none of the devices {asked} behind it.",
            next_step="Check that the devices are on, their unit ids (switches, display), baud rate, parity and the "
            "two wires A and B of the bus; try more ids: --unit 1-247.",
        )
    if any(unit.presence is Presence.WRONG for unit in units):
        return DeviceError(
            f"{device.endpoint} answers, but not in Modbus TCP ({units[0].detail}).",
            next_step="Is it another service's port? Behind a plain serial converter devices speak RTU over TCP: "
            "--rtu.",
        )
    return DeviceError(
        f"{device.endpoint} listens, but no unit of {asked} answers within {device.timeout_s:g} s.",
        next_step="Try other ids (--unit 0, --unit 255, --unit 1-247), more time (--timeout 3) and, behind a "
        "serial converter, --rtu. Some devices talk to one master at a time: stop the other one.",
    )


async def _ranges(device: Device, unit: int, wanted: Wanted, out: Console, err: Console) -> list[Found]:
    with _progress(err, "Addresses", None) as step:
        found = [await scan_table(device, unit, table, wanted.range, wanted.within_s, step) for table in wanted.tables]
    out.print(found_table(found))
    if not any(one.spans for one in found):
        raise DeviceError(
            f"Unit {unit} answers, but none of the addresses {wanted.range} can be read.",
            next_step="Look into the device's list for the addresses it has, and try them: --range 1000-1200.",
        )
    return [one for one in found if one.spans]


def _advice(measured: Measured | None, out: Console) -> dict[str, float]:
    if measured is None:
        return {}
    advice = advise(measured)
    for reason in advice.reasons:
        out.print(f"• {reason}")
    return advice.fields


async def _windows(device: Device, found: Sequence[Found], wanted: Wanted, at_once: int, out: Console) -> None:
    for one in found:
        if one.table.is_bits:
            await _bits(device, one, wanted, out)
            continue
        for span in one.spans[:3]:
            shown = _within(wanted.show, span) if wanted.show else Span(span.start, min(span.end, span.start + _SHOWN))
            if shown is not None and (registers := await read_window(device, one.unit, one.table, shown, at_once)):
                _print_window(one.table, shown, registers, wanted, out)
                if shown.end < span.end and wanted.show is None:
                    out.print(f"[dim]… to {span.end - 1}: see more with --show {shown.end}-{span.end - 1}[/]")


async def _bits(device: Device, found: Found, wanted: Wanted, out: Console) -> None:
    for span in found.spans:
        shown = _within(wanted.show, span) if wanted.show else Span(span.start, min(span.end, span.start + 64))
        if shown is not None and (bits := await read_window(device, found.unit, found.table, shown, shown.count)):
            on = [str(shown.start + i) for i, bit in enumerate(bits) if bit]
            out.print(f"{found.table.value} {shown}: on are {', '.join(on) or 'none'}")


def _print_window(table: Table, span: Span, registers: Sequence[int], wanted: Wanted, out: Console) -> None:
    readings = Readings(table, span.start, span.count)
    out.print(f"\n[bold]{table.value} {span}[/]")
    out.print(narrow_table(readings, registers))
    wide, left_out = wide_table(readings, registers, every=wanted.every)
    if wide.row_count:
        out.print(wide)
    if left_out:
        out.print(f"[dim]{left_out} rows without a likely number left out; --every shows them.[/]")
    for at, text in texts(registers):
        out.print(f"Text at {table.value}:{span.start + at}: “{escape(text)}”")


async def _expected(device: Device, found: Sequence[Found], wanted: Wanted, at_once: int, out: Console) -> list[Tag]:
    assert wanted.expect is not None
    expected = Expected.parse(wanted.expect, wanted.tolerance)
    candidates: list[Candidate] = []
    strings: list[Tag] = []
    for one in found:
        for span in () if one.table.is_bits else one.spans:
            first = await read_window(device, one.unit, one.table, span, at_once)
            if first is None:
                continue
            if expected is None:
                strings += find_text(one.table, span.start, first, wanted.expect)
                continue
            rows = [first]
            if wanted.watch_s:
                rows = await watch(device, one.unit, one.table, span, at_once, wanted.watch_s, first)
            candidates += rank(Readings(one.table, span.start, span.count), rows, expected)
    best = sorted(candidates, key=lambda candidate: (not _as_listed(candidate.tag, wanted), candidate.key))[:_BEST]
    chosen = [candidate.tag for candidate in best] or strings
    if not chosen:
        raise DeviceError(
            f"No register holds {wanted.expect} under any type, order or scale.",
            next_step="Read the value again and give it more room (--tolerance 5), look at more addresses "
            "(--range 0-1000), the other tables (--table all) or another unit.",
        )
    await _explain(device, found, wanted, best, chosen, out)
    return chosen[:1]


async def _explain(
    device: Device,
    found: Sequence[Found],
    wanted: Wanted,
    best: Sequence[Candidate],
    chosen: Sequence[Tag],
    out: Console,
) -> None:
    table, at = chosen[0].modbus_address
    out.print(f"\n[bold]Where {escape(wanted.expect or '')} may stand[/], the most likely first:")
    if best:
        out.print(candidates_table(best))
    else:
        for tag in chosen:
            out.print(f"{tag.address}: a text, order {tag.order.value}, {tag.length} registers")
    out.print(_hint(wanted, best, chosen))
    for one in found:
        for span in one.spans if one.table is table else ():
            shown = _within(Span(max(0, at - _AROUND), at + _AROUND + 1), span)
            if shown is not None and span.start <= at < span.end:
                registers = await read_window(device, one.unit, table, shown, shown.count)
                if registers:
                    _print_window(table, shown, registers, wanted, out)


def _hint(wanted: Wanted, best: Sequence[Candidate], chosen: Sequence[Tag]) -> str:
    table, at = chosen[0].modbus_address
    if wanted.listed is not None:
        return base_hint(wanted.listed, [candidate.tag for candidate in best] or chosen)
    return (
        f"Is your device's list 1-based? Then it calls {table.value}:{at} number {at + 1}. "
        "Say what it calls it (--address) and the probe tells which."
    )


def _as_listed(tag: Tag, wanted: Wanted) -> bool:
    """Whether it stands where the device's list says, give or take one: that is as good as a digit that fits."""
    return wanted.listed is None or wanted.listed.distance(tag) in (-1, 0, 1)


def _within(one: Span, other: Span) -> Span | None:
    start, end = max(one.start, other.start), min(one.end, other.end)
    return Span(start, end) if start < end else None


@contextmanager
def _progress(console: Console, what: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """A line that lives while something takes time; nothing of it stays, and none of it goes to a file."""
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def step(detail: str) -> None:
            bar.update(task, advance=1, description=f"{what}: {detail}")

        yield step


def check_wanted(wanted: Wanted) -> None:
    """Raises UserInputError for options that make no sense together."""
    if wanted.watch_s and wanted.expect is None:
        raise UserInputError("--watch needs a value to look for.", next_step="Add --expect 23.5, for example.")
    if wanted.listed and wanted.expect is None:
        raise UserInputError("--address needs a value to look for.", next_step="Add --expect 23.5, for example.")
    check_new(wanted.save)
