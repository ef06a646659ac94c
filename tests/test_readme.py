"""Runs the commands that the README shows, as a reader would type them, in a folder with the repository's files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import testbed
from tests.processes import REPOSITORY, free_port

COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands find what they name; what they write stays here."""
    for name in ("examples", "testbed"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_the_readme_shows_the_two_commands_first():
    assert COMMANDS[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(".venv/bin/testbed")])
def test_a_testbed_command_of_the_readme_works(command, folder):
    answer = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr


def test_every_command_of_the_readme_is_tried_here():
    tried = {"make demo", "make test"}
    assert [c for c in COMMANDS if c not in tried and not c.startswith(".venv/bin/testbed")] == []


def _is_up_to_date() -> bool:
    """Whether make has nothing to install: else it would point this environment at another checkout."""
    made = Path(sys.prefix) / "run.ok"
    sources = (REPOSITORY / "requirements.lock", REPOSITORY / "pyproject.toml")
    installed = Path(testbed.__file__).is_relative_to(REPOSITORY)
    return installed and made.exists() and all(source.stat().st_mtime <= made.stat().st_mtime for source in sources)


needs_make = pytest.mark.skipif(
    shutil.which("make") is None or not _is_up_to_date(),
    reason="this environment was not made by make, or is not up to date: running it would install into it",
)


@needs_make
def test_make_test_runs_the_tests():
    """Only shown, not run: it would run itself."""
    answer = subprocess.run(
        ["make", "-n", "test", f"VENV={sys.prefix}"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "-m pytest" in answer.stdout


@needs_make
@pytest.mark.system
def test_make_demo_opens_a_living_page(tmp_path):
    port, environment = free_port(), os.environ.copy()
    environment |= {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}
    environment["VENV"] = sys.prefix
    environment["ARGS"] = f"--no-browser --port {port} --history-days 1 --data-dir {tmp_path / 'data'}"
    process = subprocess.Popen(
        ["make", "demo"], cwd=REPOSITORY, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        page = _page(f"http://127.0.0.1:{port}/", process, within=90)
        assert "<html" in page
    finally:
        # What Ctrl-C in a terminal does: the signal goes to make and to everything that it started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(15)
        assert process.stderr is not None
        process.stderr.close()
    assert (tmp_path / "data" / "historian.duckdb").exists()


def _page(url: str, process: subprocess.Popen[str], within: float) -> str:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(url, timeout=5) as page,
        ):
            return str(page.read().decode())
        time.sleep(0.2)
    raise AssertionError(f"no page within {within} s")
