"""`python -m simulators` as its parent sees it: ready line, ends on signals, dies with its parent, exit codes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import REPOSITORY
from tests.simulators.conftest import DEMO

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    floor = ["--floor", str(DEMO / "shopfloor.yaml"), "--state-dir", str(tmp_path), "--seed", "1"]
    return [sys.executable, "-m", "simulators", str(DEMO / "plant.yaml"), *floor]


@pytest.fixture
def environment(modbus_port: int, mqtt_port: int) -> dict[str, str]:
    ports = {"TESTBED_MODBUS_PORT": str(modbus_port), "TESTBED_MQTT_PORT": str(mqtt_port)}
    return os.environ | ports | {"PYTHONPATH": str(REPOSITORY)}


@pytest.fixture
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*command, "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline().startswith("Shop floor ready: cnc-1, imm-1, lathe-1 on Modbus TCP 127.0.0.1:")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_on_a_signal(running: subprocess.Popen[str], number: int) -> None:
    family = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(number)
    assert running.wait(3) == 0
    assert not psutil.wait_procs(family, timeout=1)[1]


def test_ends_when_its_standard_input_closes(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.close()
    assert running.wait(3) == 0


def test_its_broker_dies_with_it(running: subprocess.Popen[str]) -> None:
    family = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    assert not psutil.wait_procs(family, timeout=3)[1]


def test_dies_with_its_parent(command: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    told = tmp_path / "child.pid"
    parent_code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "child.stdout.readline()\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", parent_code, str(told), *command, "--until-stdin-closes"]
    parent = subprocess.Popen(arguments, env=environment)
    try:
        deadline = time.monotonic() + 15
        while not (told.exists() and told.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child = psutil.Process(int(told.read_text()))
        family = [child, *child.children(recursive=True)]
    finally:
        parent.kill()
        parent.wait()
    assert not psutil.wait_procs(family, timeout=3)[1]


def test_a_taken_port_ends_with_3_and_one_sentence(
    command: list[str], environment: dict[str, str], modbus_port: int
) -> None:
    with socket.create_server(("127.0.0.1", modbus_port)):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20, check=False)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith(f"Port {modbus_port} on 127.0.0.1 is taken by another program")
    assert "Traceback" not in done.stderr


def test_a_missing_file_ends_with_2(command: list[str], environment: dict[str, str]) -> None:
    command[command.index("--floor") + 1] = "nowhere.yaml"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20, check=False)
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr
