"""The command line. Heavy parts are imported inside the commands: `--help` and a wrong option answer at once."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from plant.errors import ConfigError, EquipmentError, ResourceError, TestbedError
from testbed.probe.cli import app as probe_app
from testbed.report import print_mistakes

app = typer.Typer(
    name="testbed",
    help="A digitalisation test bed: machine signals to OEE, condition and energy, offline.",
    epilog="Exit codes: 0 done · 1 a fault of the program · 2 something you wrote needs correcting · "
    "3 this computer lacks something (port, disk, permission) · 4 a device or its cable needs a look.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(probe_app)
console = Console(stderr=True, highlight=False)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder for stored data; made when it is missing.", show_default=False)
]
PortOption = Annotated[int, typer.Option("--port", min=1, max=65_535, help="Port of the pages on 127.0.0.1.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Do not open the page in a browser.")]
PlantFile = Annotated[Path, typer.Argument(metavar="PLANT.yaml", help="The plant's configuration.", show_default=False)]


@app.command()
def demo(
    port: PortOption = 8080,
    data_dir: DataDir = None,
    history_days: Annotated[int, typer.Option(min=0, max=366, help="Days of history that the first start makes.")] = 7,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same history.")] = 1,
    no_browser: NoBrowser = False,
) -> None:
    """Run the demo: simulated machines on real Modbus and MQTT, a week of history, the pages.

    The data stay in the data folder (default data/demo): a later start goes on with them. Ctrl-C ends everything.
    """
    from testbed.demo.start import run_demo

    run_demo(data_dir or Path("data/demo"), port, history_days, seed, open_browser=not no_browser, console=console)


@app.command()
def run(
    plant_file: PlantFile,
    port: PortOption = 8080,
    data_dir: DataDir = None,
) -> None:
    """Run gateway, historian and pages for a plant of your own. Ctrl-C ends everything.

    SIGHUP and POST /api/reload read the file again: a bad one changes nothing, an unchanged source is not interrupted.
    """
    from testbed.system import run_system

    run_system(plant_file, _data_dir(data_dir, plant_file), port, console)


@app.command()
def check(plant_file: PlantFile) -> None:
    """Check a plant.yaml and list every mistake with file, line, field and the right form."""
    from plant.config_file import load_plant

    config = load_plant(plant_file)
    typer.echo(
        f"{plant_file} is in order: {_count(len(config.machines), 'machine')}, "
        f"{_count(len(config.tags()), 'tag')}, {_count(len(config.sources), 'source')}."
    )


tags_app = typer.Typer(help="Tag lists: the tags of a plant as a table for Excel.", no_args_is_help=True)
app.add_typer(tags_app, name="tags")


@tags_app.command("export")
def export_tags(
    plant_file: PlantFile,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where to: tags.csv or tags.xlsx.", show_default=False),
    ],
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="ID", help="Only this machine.", show_default=False)
    ] = None,
) -> None:
    """Write the tags of a plant, or of one machine, as a tag list: CSV or XLSX.

    The file can be given back to the plant: tag_list: for one machine, tag_lists: for all. See docs/tag-lists.md.
    """
    from plant.config_file import load_plant
    from testbed.tag_export import export

    config = load_plant(plant_file)
    typer.echo(f"{_count(export(config, output, machine), 'tag')} written to {output}.")


@app.command()
def replay(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="Recorded log: MTConnect SHDR or CSV.", show_default=False)
    ],
    plant_file: Annotated[
        Path, typer.Option("--plant", metavar="PLANT.yaml", help="Plant with a source of type replay.")
    ],
    data_dir: DataDir = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.01, max=10_000, help="Play it as if live, so many times faster, and show the pages."),
    ] = None,
    port: PortOption = 8080,
) -> None:
    """Import a recorded log under its own time stamps, or play it as if live.

    Importing the same log again changes nothing. Then look at it: testbed run PLANT.yaml --data-dir DIR.
    """
    from plant.config_file import load_plant
    from testbed.replay import import_log, play_log

    config = load_plant(plant_file)
    folder = _data_dir(data_dir, plant_file)
    if speed is None:
        import_log(log, config, folder, plant_file, console)
    else:
        play_log(log, config, folder, speed, port, console)


def _data_dir(given: Path | None, plant_file: Path) -> Path:
    """Beside the demo's data, named after the plant's own folder or file."""
    stem = plant_file.resolve().parent.name if plant_file.stem == "plant" else plant_file.stem
    return given or Path("data") / stem


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _report(error: TestbedError) -> int:
    """Say what is wrong and what to do next; the exit code tells who must act."""
    if isinstance(error, ConfigError):
        print_mistakes(error, console)
        console.print(f"{_count(len(error.mistakes), 'mistake')}.", end=" ")
    else:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
    if error.next_step:
        console.print(escape(error.next_step), soft_wrap=True)
    if isinstance(error, ResourceError):
        return 3
    return 4 if isinstance(error, EquipmentError) else 2


def main() -> None:
    """Entry point of the `testbed` command."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("testbed.audit").setLevel(logging.INFO)
    try:
        app()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except TestbedError as error:
        code = _report(error)
    except KeyboardInterrupt:
        code = 130
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is closed in order by now. Leaving the usual way makes DuckDB's binding print forty lines about functions of
    # its own that it calls leaked: it looks like a crash.
    os._exit(code)
