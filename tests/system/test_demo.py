"""`testbed demo` as a visitor runs it: real processes, real sockets, start, stop and start again."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.processes import Running, free_port, running

pytestmark = pytest.mark.system


@pytest.fixture
def ports() -> dict[str, str]:
    return {"TESTBED_MODBUS_PORT": str(free_port()), "TESTBED_MQTT_PORT": str(free_port())}


def demo(data: Path, *more: str) -> tuple[str | Path, ...]:
    return "demo", "--no-browser", "--data-dir", data, "--history-days", "1", *more


def living_since(system: Running, moment: datetime) -> bool:
    """Whether every machine has delivered a point that was read after the moment."""
    last = [machine["last_point"] for machine in system.get("/api/machines")["machines"]]
    return all(time is not None and datetime.fromisoformat(time) > moment for time in last)


def trend(system: Running, tag: str, start: datetime, end: datetime) -> list[float | None]:
    path = f"/api/tags/{tag}/trend?from={start:%Y-%m-%dT%H:%M:%SZ}&to={end:%Y-%m-%dT%H:%M:%SZ}&buckets=24"
    return list(system.get(path)["mean"])


def listening(family: list[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_start_look_stop_and_start_again(tmp_path, ports):
    data = tmp_path / "data"
    begun = datetime.now(UTC)
    with running(*demo(data), env=ports) as system:
        system.wait_for(lambda: living_since(system, begun), what="a living value of every machine")
        day = trend(system, "cnc-1.power", begun - timedelta(days=1), begun)
        assert sum(mean is not None for mean in day) >= 22, "the history is not there at once"
        assert listening(system.family()) == {"127.0.0.1"}
        # A Ctrl-C in a terminal reaches the child as well; here only the parent gets it, the harder case.
        assert system.stop(signal.SIGINT) < 3
        assert system.process.returncode == 0

    again = datetime.now(UTC)
    with running(*demo(data), env=ports) as system:
        system.wait_for(lambda: living_since(system, again), what="a living value of every machine")
        assert "Going on with the data" in "".join(system.output)
        assert trend(system, "cnc-1.power", begun - timedelta(days=1), begun) == day
        assert system.stop(signal.SIGTERM) < 3


def test_the_shop_floor_dies_with_a_killed_system(tmp_path, ports):
    with running("demo", "--no-browser", "--data-dir", tmp_path / "data", "--history-days", "0", env=ports) as system:
        system.wait_for(lambda: system.get("/api/health")["status"], what="the API")
        assert len(system.family()) >= 2
        assert system.stop(signal.SIGKILL, within=3) < 3


def test_a_taken_machine_port_is_one_clear_sentence(tmp_path, ports):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(ports["TESTBED_MODBUS_PORT"])))
        taken.listen()
        process = Running("demo", "--no-browser", "--data-dir", tmp_path / "d", "--history-days", "0", env=ports)
        process.process.wait(30)
        time.sleep(0.1)  # the reader of its output
    output = "".join(process.output)
    assert process.process.stderr is not None
    process.process.stderr.close()
    assert process.process.returncode == 3
    assert ports["TESTBED_MODBUS_PORT"] in output
    assert "Traceback" not in output


def test_history_ends_with_a_killed_parent_and_leaves_nothing(tmp_path, ports):
    """An orphan that went on would later move its files over those of the next start."""
    data = tmp_path / "data"
    process = Running("demo", "--no-browser", "--data-dir", data, "--history-days", "90", env=ports)
    try:
        deadline = time.monotonic() + 20
        while not list(data.glob("making-history-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(data.glob("making-history-*")), "no history was begun"
        assert process.stop(signal.SIGTERM) < 5
    finally:
        assert process.process.stderr is not None
        process.process.stderr.close()
    assert not (data / "historian.duckdb").exists()


def test_a_data_folder_belongs_to_one_plant(tmp_path):
    from tests.processes import run_testbed

    data = tmp_path / "data"
    data.mkdir()
    (data / "plant.txt").write_text("acme/ume\n")
    answer = run_testbed("demo", "--no-browser", "--port", str(free_port()), "--data-dir", data)
    assert answer.returncode == 2
    assert f"The data folder {data} holds the data of acme/ume; this plant is demo/hall-a." in answer.stderr


@pytest.mark.parametrize("after_s", [1.5, 2.5])
def test_a_stop_in_the_middle_of_the_start_is_quick_and_quiet(tmp_path, ports, after_s):
    process = Running("demo", "--no-browser", "--data-dir", tmp_path / "data", "--history-days", "0", env=ports)
    try:
        time.sleep(after_s)
        assert process.stop(signal.SIGINT) < 5  # the shop floor alone may take 2.5 s before it is killed
    finally:
        assert process.process.stderr is not None
        process.process.stderr.close()
    assert "Traceback" not in "".join(process.output)
