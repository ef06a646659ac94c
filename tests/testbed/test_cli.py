"""The command line as a user meets it: help, wrong input, taken ports, folders that cannot be used."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from tests.processes import REPOSITORY, run_testbed

GOOD = """
plant: {enterprise: acme, site: ume, name: Acme}
sources:
  plc: {type: modbus-tcp, host: 127.0.0.1, port: 1502}
machines:
  cnc-1:
    name: CNC
    area: machining
    line: mill
    tags:
      load: {source: plc, address: 40001, type: uint16}
"""


@pytest.fixture
def plant_file(tmp_path: Path) -> Path:
    path = tmp_path / "plant.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["run"], ["check"], ["replay"], ["probe"], ["probe", "modbus"], ["probe", "mqtt"], ["tags"],
     ["tags", "export"]],
)  # fmt: skip
def test_every_command_has_help(command):
    answer = run_testbed(*command, "--help")
    assert answer.returncode == 0
    assert "Usage:" in answer.stdout


def test_check_of_a_good_file_counts_what_is_in_it(plant_file):
    answer = run_testbed("check", plant_file)
    assert answer.returncode == 0
    assert "1 machine, 1 tag, 1 source" in answer.stdout


def test_check_lists_every_mistake_with_line_and_field(plant_file):
    plant_file.write_text(GOOD.replace("source: plc", "source: pcl").replace("host", "hots").replace("area:", "aera:"))
    answer = run_testbed("check", plant_file)
    assert answer.returncode == 2
    for expected in (
        f"{plant_file}:4  sources.plc.hots: “hots” is not known here. Did you mean host?",
        f"{plant_file}:4  sources.plc.host: is missing.",
        f"{plant_file}:8  machines.cnc-1.aera: “aera” is not known here. Did you mean area?",
        f"{plant_file}:11  machines.cnc-1.tags.load.source: there is no source “pcl”. Did you mean plc?",
    ):
        assert expected in answer.stderr
    assert "5 mistakes." in answer.stderr


def test_tags_go_out_as_a_list_and_come_back(plant_file, tmp_path):
    answer = run_testbed("tags", "export", plant_file, "--machine", "cnc-1", "-o", tmp_path / "cnc.csv")
    assert answer.returncode == 0
    assert "1 tag written" in answer.stdout
    plant_file.write_text(GOOD[: GOOD.index("    tags:")] + "    tag_list: cnc.csv\n")
    assert "1 machine, 1 tag, 1 source" in run_testbed("check", plant_file).stdout
    with (tmp_path / "cnc.csv").open("a") as stream:
        stream.write("speed;plc;uint61;40002\n")
    answer = run_testbed("check", plant_file)
    assert answer.returncode == 2
    assert f"{tmp_path / 'cnc.csv'}:3  row 3, column C (type): “uint61” is not one of the choices." in answer.stderr
    answer = run_testbed("tags", "export", plant_file.with_name("none.yaml"), "-o", tmp_path / "x.csv")
    assert answer.returncode == 2


def test_an_unknown_machine_or_kind_of_file_is_one_clear_sentence(plant_file, tmp_path):
    answer = run_testbed("tags", "export", plant_file, "--machine", "cnc", "-o", tmp_path / "cnc.csv")
    assert (answer.returncode, "Known machines: cnc-1" in answer.stderr) == (2, True)
    answer = run_testbed("tags", "export", plant_file, "-o", tmp_path / "cnc.ods")
    assert (answer.returncode, "tags.csv or tags.xlsx" in answer.stderr) == (2, True)


def test_a_missing_file_is_one_clear_sentence(tmp_path):
    answer = run_testbed("run", tmp_path / "none.yaml")
    assert answer.returncode == 2
    assert f"There is no file {tmp_path}/none.yaml." in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_broken_plant_file_starts_nothing(plant_file, tmp_path):
    plant_file.write_text(GOOD + "shift: []\n")
    answer = run_testbed("run", plant_file, "--data-dir", tmp_path / "data")
    assert answer.returncode == 2
    assert "Did you mean shifts?" in answer.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["demo", "run"])
def test_a_taken_port_is_one_clear_sentence(command, plant_file, tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        what = ["demo", "--no-browser"] if command == "demo" else ["run", plant_file]
        answer = run_testbed(*what, "--port", str(port), "--data-dir", tmp_path / "data")
    assert answer.returncode == 3
    assert f"Port {port} on 127.0.0.1 is taken by another program." in answer.stderr
    assert "--port" in answer.stderr
    assert not (tmp_path / "data").exists()


def test_an_unwritable_data_folder_is_one_clear_sentence(plant_file, tmp_path):
    folder = tmp_path / "data"
    if os.geteuid() == 0:  # root may write anywhere: a file in the folder's place stands in for a closed door
        folder.write_text("in the way")
    else:
        folder.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    answer = run_testbed("run", plant_file, "--data-dir", folder)
    assert answer.returncode == 3
    assert f"The data folder {folder} cannot be written to:" in answer.stderr
    assert "--data-dir" in answer.stderr


def test_a_data_folder_in_use_is_left_alone(plant_file, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    with FileLock(folder / "in-use.lock"):
        answer = run_testbed("run", plant_file, "--data-dir", folder)
    assert answer.returncode == 3
    assert "is in use by another testbed" in answer.stderr


def test_the_fields_page_is_up_to_date():
    from testbed.plant_yaml_doc import document

    page = (REPOSITORY / "docs" / "plant-yaml.md").read_text(encoding="utf-8")
    assert page == document(), "run: python -m testbed.plant_yaml_doc > docs/plant-yaml.md"
