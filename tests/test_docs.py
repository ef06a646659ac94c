"""Follows docs/connect-a-plc.md as its reader would: its commands, in its order, against the simulated machines.

What the guide shows as output must come (numbers aside). Ports are free ones in place of those that it names.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, free_port

GUIDE = (REPOSITORY / "docs" / "connect-a-plc.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(sh|text|yaml)\n(.*?)```", GUIDE, re.DOTALL)
LASTING = ("-m simulators", "testbed run")

pytestmark = pytest.mark.system


class Command:
    """A command of the guide, in a folder where it finds what it names."""

    def __init__(self, line: str, folder: Path, environment: dict[str, str]) -> None:
        self.line, self.output = line, ""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.output += text

    def succeed(self) -> None:
        assert self.process.wait(60) == 0, f"{self.line}\n{self.output}"
        self._reader.join(5)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(15)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    person = Reader(tmp_path)
    try:
        yield person
    finally:
        for command in reversed(person.commands):
            command.end()


class Reader:
    """Types the commands, puts the file where the guide says, and compares what comes with what is shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "testbed").symlink_to(REPOSITORY / "testbed")
        (folder / ".venv").symlink_to(sys.prefix)
        self.ports = {number: str(free_port()) for number in ("15020", "11883", "8080")}
        self.environment = os.environ | {
            "TESTBED_MODBUS_PORT": self.ports["15020"],
            "TESTBED_MQTT_PORT": self.ports["11883"],
            "COLUMNS": "120",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
        }
        self.commands: list[Command] = []

    def here(self, text: str) -> str:
        """The guide's text with this computer's free ports."""
        for shown, free in self.ports.items():
            text = re.sub(rf"\b{shown}\b", free, text)
        return text

    def type(self, line: str) -> None:
        command = Command(self.here(line), self.folder, self.environment)
        self.commands.append(command)
        if not any(lasting in line for lasting in LASTING):
            command.succeed()

    def see(self, shown: str) -> None:
        """Waits until every line that is shown has come from the last commands."""
        wanted = {line for line in map(without_numbers, self.here(shown).splitlines()) if line}
        deadline = time.monotonic() + 30
        while missing := {line for line in wanted if line not in self._output()}:
            last = self.commands[-1]
            assert last.process.poll() is None, f"{missing}\n{last.output}"
            assert time.monotonic() < deadline, f"{missing}\n{last.output}"
            time.sleep(0.1)

    def _output(self) -> str:
        return "\n".join(without_numbers(line) for c in self.commands[-2:] for line in c.output.splitlines())

    def page(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.ports['8080']}{path}"
        deadline = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(urllib.error.URLError, ConnectionError),
                urllib.request.urlopen(url, timeout=5) as answer,
            ):
                return str(answer.read().decode())
            assert time.monotonic() < deadline, self.commands[-1].output
            time.sleep(0.2)


def without_numbers(line: str) -> str:
    """Measured numbers, and the empty space of tables, differ from run to run.

    >>> without_numbers(" 1  input:9   0.1 …"), without_numbers(" ──── ")
    ('# input:# # …', '')
    """
    return " ".join(re.sub(r"-?\d+(\.\d+)?", "#", re.sub(r"[─│]", " ", line)).split())


def test_the_guide_from_the_cable_to_the_dashboard(reader):
    for kind, text in BLOCKS:
        if kind == "yaml":
            saved = (reader.folder / "my-plant.yaml").read_text(encoding="utf-8")
            assert "order: CDAB" in saved, "the probe has saved the choices"
            (reader.folder / "my-plant.yaml").write_text(reader.here(text), encoding="utf-8")
        elif kind == "text":
            reader.see(text)
        else:
            for line in text.splitlines():
                reader.type(line)
                if "testbed run" in line:
                    the_machine_is_seen(reader)


def the_machine_is_seen(reader: Reader) -> None:
    deadline = time.monotonic() + 30
    while '"link":"connected"' not in (sources := reader.page("/api/sources").replace(" ", "")):
        assert time.monotonic() < deadline, sources
        time.sleep(0.2)
    assert "Mill 7" in reader.page("/api/machines")
    assert "<title>Connections" in reader.page("/connections")


def test_every_option_that_the_guide_mentions_exists():
    from typer.main import get_command

    from testbed.cli import app

    probes = get_command(app).commands["probe"].commands.values()
    known = {option for command in probes for parameter in command.params for option in parameter.opts}
    mentioned = {
        option for line in GUIDE.splitlines() if "mbpoll" not in line for option in re.findall(r"--[a-z]+", line)
    }
    assert mentioned - known <= {"--state", "--port"}  # of the simulators (--state-dir) and of testbed run


def test_the_readme_leads_here():
    assert "docs/connect-a-plc.md" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
