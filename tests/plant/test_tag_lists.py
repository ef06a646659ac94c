"""Tag lists and templates: Excel is understood, every mistake is told at its cell, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from plant.config import PlantConfig
from plant.config_file import load_plant
from plant.errors import ConfigError, Mistake
from plant.tag_list import table_of
from plant.tag_list_file import write_table
from plant.tags import ByteOrder, DataType, Tag

HEAD = """\
plant: {enterprise: demo, site: hall, name: Verkstan}
sources:
  plc: {type: modbus-tcp, host: 10.0.0.5}
  broker: {type: mqtt, host: 10.0.0.6}
"""
PLANT = (
    HEAD
    + """\
machines:
  cnc-1:
    name: CNC
    area: machining
    line: line-1
    source: plc
    chart: [load]
    tag_list: tags/cnc-1.csv
"""
)
LIST = """\
name;type;address;scale;unit;label_en;label_sv;enum;decimals
state;uint16;40001;;;;;"0=off;1=running";
load;int16;40002;0,1;%;Spindle load;Spindellast, å;;2
"""


def load(folder: Path, text: str = PLANT, **lists: str | bytes) -> PlantConfig:
    path = folder / "plant.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "tags").mkdir(exist_ok=True)
    for name, content in lists.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / "tags" / f"{name.replace('_', '-')}.csv").write_bytes(data)
    return load_plant(path, {})


def mistakes(folder: Path, text: str = PLANT, **lists: str | bytes) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **lists)
    return caught.value.mistakes


def tags_of(config: PlantConfig) -> dict[str, Tag]:
    return {tag.id: tag for tag in config.tags()}


@pytest.mark.parametrize(
    "data",
    [
        LIST.encode(),
        LIST.encode("utf-8-sig"),
        LIST.encode("cp1252"),
        LIST.encode("utf-16"),
        LIST.replace("\n", "\r\n").encode() + b";;;;;;;;\r\n;;;;;;;;\r\n",
        b"sep=;\r\n" + LIST.encode(),
        LIST.replace('"0=off;1=running"', "0=off@1=running").replace(", å", "_ å").replace("0,1", '"0,1"')
        .replace(";", ",").replace("@", ";").replace("_ å", " å").encode(),
        LIST.replace(";", "\t").replace("0=off\t1", "0=off;1").encode("utf-16"),
        LIST.replace("40001;", "40001.0;").replace("40002;", "40002,0;").replace(";2\n", ";2,0\n").encode(),
        LIST.replace("name;type", "Name ; TYPE").replace("label_en;label_sv", "Label EN;label-sv").encode(),
        LIST.replace("state;uint16", "# the state of the machine\n\nstate;uint16").encode(),
    ],
    ids=["utf-8", "mark", "ansi", "utf-16", "crlf and empty rows", "sep=", "comma", "tab", "floats", "heads", "remark"],
)  # fmt: skip
def test_a_list_as_excel_saves_it(tmp_path: Path, data: bytes) -> None:
    tags = tags_of(load(tmp_path, cnc_1=data))
    assert list(tags) == ["cnc-1.state", "cnc-1.load"]
    state, power = tags.values()
    assert state.enum == {0: "off", 1: "running"}
    assert state.modbus_address[1] == 0
    assert (power.scale, power.unit, power.decimals, power.modbus_address[1]) == (0.1, "%", 2, 1)
    assert power.label["en"] == "Spindle load"
    assert power.label["sv"].startswith("Spindellast")
    assert power.label["sv"].endswith("å")


def test_a_workbook(tmp_path: Path) -> None:
    workbook = Workbook()
    sheet = workbook.worksheets[0]
    sheet.append(["name", "type", "address", "scale", "enum", "unit"])
    sheet.append(["state", "uint16", 40001.0, None, "0=off;1=running", 1.0])
    sheet.append([None, None, None, None, None, None])
    sheet.append(["load", "int16", "holding:1", 0.1, None, "%"])
    (tmp_path / "tags").mkdir()
    workbook.save(tmp_path / "tags" / "cnc-1.xlsx")
    tags = tags_of(load(tmp_path, PLANT.replace(".csv", ".xlsx")))
    assert tags["cnc-1.state"].address == 40001
    assert tags["cnc-1.state"].unit == "1"
    assert tags["cnc-1.load"].scale == 0.1


BAD = """\
name;tpye;type;adress;address;scale;enum;bit
state;;uint16;;90001;;0=off, 1=on;
load;;uint61;;40002;0,1x;;
load;;uint16;;40003;;;
bad name;;uint16;;40004;;;
;;uint16;;40005;;;
ok;;bool;;40006;;;
none;;uint16;;;;;
wide;;uint16;;40007;;;;extra
"""


def test_every_mistake_at_its_cell_and_in_one_report(tmp_path: Path) -> None:
    found = mistakes(tmp_path, PLANT.replace("area:", "aera:"), cnc_1=BAD)
    table = {(m.file.name, m.line, m.field): (m.wrong, m.right) for m in found}
    expected = {
        ("plant.yaml", 8, "machines.cnc-1.aera"): "Did you mean area?",
        ("plant.yaml", 6, "machines.cnc-1.area"): "Third level",
        ("cnc-1.csv", 1, "row 1, column B"): "Did you mean type?",
        ("cnc-1.csv", 1, "row 1, column D"): "Did you mean address?",
        ("cnc-1.csv", 2, "row 2, column E (address)"): "40001",
        ("cnc-1.csv", 2, "row 2, column G (enum)"): "0=off;1=idle",
        ("cnc-1.csv", 3, "row 3, column C (type)"): "uint16",
        ("cnc-1.csv", 3, "row 3, column F (scale)"): "value = raw × scale",
        ("cnc-1.csv", 4, "row 4, column A (name)"): "name of its own",
        ("cnc-1.csv", 5, "row 5, column A (name)"): "letters without accents",
        ("cnc-1.csv", 6, "row 6, column A (name)"): "empty the row",
        ("cnc-1.csv", 7, "row 7, column H (bit)"): "Add bit",
        ("cnc-1.csv", 8, "row 8, column E (address)"): "holding:0",
        ("cnc-1.csv", 9, "row 9, column I"): "double quotes",
    }
    assert table.keys() == expected.keys()
    for key, part in expected.items():
        assert part in table[key][1], key
    assert [m.file.name for m in found] == sorted((m.file.name for m in found), reverse=True)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "the tag list is empty"),
        (b"type;address\nuint16;40001\n", "no column “name”"),
        (b'name;type\n"a;uint16\n', "cannot be read"),
        (b"name;type;name\na;uint16;b\n", "stands twice"),
        (b"\x81\x8d\xff", "cannot be read"),
    ],
)
def test_what_is_no_list(tmp_path: Path, content: bytes, wrong: str) -> None:
    assert wrong in " ".join(m.wrong for m in mistakes(tmp_path, cnc_1=content))


def test_a_list_that_cannot_be_read_is_the_only_news(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, PLANT.replace("cnc-1.csv", "cnc-2.csv"), cnc_1=LIST)
    assert (found.line, found.field) == (12, "machines.cnc-1.tag_list")
    assert found.right == "Did you mean cnc-1.csv?"
    (tmp_path / "tags" / "cnc-1.xlsx").write_text("no workbook")
    (found,) = mistakes(tmp_path, PLANT.replace(".csv", ".xlsx"))
    assert "not an XLSX workbook" in found.wrong
    (tmp_path / "tags" / "cnc-1.ods").write_text("")
    (found,) = mistakes(tmp_path, PLANT.replace(".csv", ".ods"))
    assert "CSV or XLSX" in found.right


def test_a_name_in_the_list_and_under_tags(tmp_path: Path) -> None:
    text = PLANT + "    tags:\n      load: {address: 40009, type: uint16}\n      own: {address: 40010, type: uint16}\n"
    (found,) = mistakes(tmp_path, text, cnc_1=LIST)
    assert (found.file.name, found.field) == ("cnc-1.csv", "row 3, column A (name)")
    assert "elsewhere already" in found.wrong


def test_one_list_for_many_machines(tmp_path: Path) -> None:
    other = "  cnc-2: {name: Other, area: a, line: l}\n"
    text = PLANT.replace("    tag_list: tags/cnc-1.csv\n", "") + other + "tag_lists: [tags/all.csv]\n"
    rows = (
        "machine;name;source;type;address\ncnc-1;load;;int16;40001\ncnc-2;load;plc;int16;40002\ncnc-2;x;plc;int16;3x\n"
    )
    assert list(tags_of(load(tmp_path, text, all=rows.replace("3x", "40003")))) == [
        "cnc-1.load",
        "cnc-2.load",
        "cnc-2.x",
    ]
    found = mistakes(tmp_path, text, all=rows + "cnc-3;y;plc;int16;40003\n;z;plc;int16;40004\ncnc-2;w;;int16;40004\n")
    assert [(m.line, m.field) for m in found] == [
        (4, "row 4, column E (address)"),
        (5, "row 5, column A (machine)"),
        (6, "row 6, column A (machine)"),
        (7, "row 7, column C (source)"),
    ]


TEMPLATES = (
    HEAD
    + """\
  meter-1: {type: modbus-tcp, host: 10.0.0.7}
  meter-2: {type: modbus-tcp, host: 10.0.0.8, poll_s: 2}
templates:
  energy-meter:
    states:
      tag: power
      threshold: {running_above: 5, running_below: 3}
    tags:
      power: {type: float32, address: "holding:0", unit: kW, label: {sv: Effekt}}
      energy: {type: uint32, address: 40011, unit: kWh}
  sensor:
    tags:
      temperature: {topic: temperature, unit: °C}
machines:
  m1: {name: M1, area: a, line: l, template: energy-meter, source: meter-1}
  m2:
    name: M2
    area: a
    line: l
    template: energy-meter
    source: meter-2
    address_offset: 100
    tag_defaults: {poll_s: 5}
    tags:
      power: {unit: W, scale: 1000, poll_s: 1}
      extra: {type: uint16, address: 40001}
  m3: {name: M3, area: a, line: l, template: sensor, source: broker, topic_prefix: hall/m3}
"""
)


def test_templates(tmp_path: Path) -> None:
    config = load(tmp_path, TEMPLATES)
    tags = tags_of(config)
    assert list(tags) == ["m1.power", "m1.energy", "m2.power", "m2.energy", "m2.extra", "m3.temperature"]
    assert (tags["m1.power"].source, tags["m1.power"].address) == ("meter-1", "holding:0")
    power, energy, extra = tags["m2.power"], tags["m2.energy"], tags["m2.extra"]
    assert (power.modbus_address[1], power.unit, power.scale, power.poll_s) == (100, "W", 1000, 1)
    assert power.label == {"sv": "Effekt"}
    assert (energy.modbus_address[1], energy.poll_s, energy.source) == (110, 5, "meter-2")
    assert extra.modbus_address[1] == 0, "the offset is the template's"
    assert tags["m3.temperature"].topic == "hall/m3/temperature"
    assert config.machines["m1"].states == config.machines["m2"].states is not None
    assert config.machines["m3"].states is None


@pytest.mark.parametrize(
    ("old", "new", "line_of", "field", "part"),
    [
        ("type: float32", "type: float23", "float23", "templates.energy-meter.tags.power.type", "float32"),
        ("unit: kWh}", "low: 2, high: 1}", "high: 1", "templates.energy-meter.tags.energy", "swap|Swap"),
        ("tag: power", "tag: pover", "pover", "templates.energy-meter.states.tag", "Did you mean power?"),
        ("template: energy-meter, source", "template: energymeter, source", "energymeter", "machines.m1.template",
         "Did you mean energy-meter?"),
        ("source: meter-2", "source: meter-9", "meter-9", "machines.m2.source", "Did you mean meter"),
        ("address_offset: 100", "address_offset: 65530", "65530", "machines.m2.address_offset", "difference"),
        ("poll_s: 5}", "pol_s: 5}", "pol_s", "machines.m2.tag_defaults.pol_s", "poll_s"),
        ("poll_s: 5}", "poll_s: x}", "poll_s: x", "machines.m2.tag_defaults.poll_s", "Poll interval"),
        ("scale: 1000", "scale: x", "scale: x", "machines.m2.tags.power.scale", "raw × scale"),
        ("    tags:\n      temperature", "    tgas:\n      temperature", "tgas:", "templates.sensor.tgas", "tags"),
        ("topic_prefix: hall/m3", "topic_prefix: hall/#", "hall/#", "machines.m3.topic_prefix", ""),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template_is_told_once_where_it_is(
    tmp_path: Path, old: str, new: str, line_of: str, field: str, part: str
) -> None:
    text = TEMPLATES.replace(old, new, 1)
    found = [m for m in mistakes(tmp_path, text) if m.field != "machines.m3.tags"]
    line = next(n for n, row in enumerate(text.splitlines(), 1) if line_of in row)
    assert [(m.field, m.line) for m in found] == [(field, line)]
    assert any(word in found[0].wrong + found[0].right for word in part.split("|"))


def test_a_template_with_a_list(tmp_path: Path) -> None:
    text = TEMPLATES.replace("  sensor:\n", "    tag_list: tags/meter.csv\n  sensor:\n")
    tags = tags_of(load(tmp_path, text, meter="name;type;address\nfrequency;float32;holding:20\n"))
    assert tags["m1.frequency"].modbus_address[1] == 20
    assert tags["m2.frequency"].modbus_address[1] == 120
    (found,) = mistakes(tmp_path, text, meter="name;type;address\nfrequency;float23;holding:20\n")
    assert (found.file.name, found.field) == ("meter.csv", "row 2, column B (type)")


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=12).filter(
    lambda text: not text.startswith("#")
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@st.composite
def tag_fields(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "source": "plc",
        "type": draw(st.sampled_from([DataType.UINT16, DataType.FLOAT32, DataType.INT64])),
        "address": draw(st.one_of(st.integers(40001, 49999), st.integers(0, 65535).map(lambda n: f"input:{n}"))),
    }
    optional = {
        "unit": WORDS.filter(bool),
        "label": st.dictionaries(st.sampled_from(["en", "sv", "de"]), WORDS.filter(bool), max_size=3),
        "scale": NUMBERS.filter(bool),
        "offset": NUMBERS,
        "low": NUMBERS,
        "enum": st.dictionaries(st.integers(-9, 99), WORDS.filter(bool), min_size=1, max_size=4),
        "decimals": st.integers(0, 9),
        "order": st.sampled_from(ByteOrder),
        "poll_s": st.floats(0.05, 86_400),
        "stale_after_s": st.floats(0.001, 1e9),
        "path": WORDS.filter(bool),
        "key": WORDS.filter(bool),
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        fields[name] = draw(optional[name])
    return fields


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,9}", fullmatch=True).filter(lambda n: n[0] != "_"),
                    tag_fields(), min_size=1, max_size=5),
    st.sampled_from([".csv", ".xlsx"]),
    st.booleans(),
)  # fmt: skip
def test_what_is_exported_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    tags: dict[str, dict[str, Any]],
    kind: str,
    with_machine: bool,  # noqa: FBT001
) -> None:
    folder = tmp_path_factory.mktemp("list")
    written = [Tag(machine="m", name=name, **fields) for name, fields in tags.items()]
    write_table(folder / f"list{kind}", table_of(written, with_machine=with_machine))
    where = ("", f"tag_lists: [list{kind}]\n") if with_machine else (f", tag_list: list{kind}", "")
    text = HEAD + f"machines:\n  m: {{name: M, area: a, line: l{where[0]}}}\n{where[1]}"
    assert list(load(folder, text).tags()) == written


TEMPLATED = (
    HEAD
    + """\
templates:
  pump:
    tags:
      load:
        address: 40001
        type: int16
        unit: [A]
        scale: .inf
        report: {heartbeat: 5}
    chrt: [load]
machines:
  p1: {name: P1, area: a, line: l, source: plc, template: pump}
tag_list: [x.csv]
"""
)


def test_mistakes_in_a_template_are_explained_by_the_model_of_their_place(tmp_path: Path) -> None:
    found = {(m.line, m.field): m.right for m in mistakes(tmp_path, TEMPLATED)}
    tag = "templates.pump.tags.load"
    expected = {
        (11, f"{tag}.unit"): "Engineering unit after scaling",
        (12, f"{tag}.scale"): "value = raw × scale",
        (13, f"{tag}.report.heartbeat"): "Did you mean heartbeat_s?",
        (14, "templates.pump.chrt"): "Did you mean chart?",
        (17, "tag_list"): "Did you mean tag_lists?",
    }
    assert found.keys() == expected.keys()
    for key, part in expected.items():
        assert part in found[key], key


@pytest.mark.parametrize(
    ("row", "field", "right"),
    [
        ("load;nan;;;", "row 2, column B (scale)", "value = raw × scale"),
        ("load;;inf;;", "row 2, column C (high)", "Highest valid value"),
        ("load;;;inf;", "row 2, column D (poll_s)", "Poll interval of this tag"),
        ('load;;;;"{""heartbeat"": 5}"', "row 2, column E (report)", "Did you mean heartbeat_s?"),
    ],
)
def test_mistakes_in_a_list_are_explained_by_the_model_of_a_tag(
    tmp_path: Path, row: str, field: str, right: str
) -> None:
    text = PLANT.replace("source: plc", "source: plc\n    tag_defaults: {type: int16, address: 40001}")
    (found,) = mistakes(tmp_path, text, cnc_1=f"name;scale;high;poll_s;report\n{row}\n")
    assert (found.file.name, found.line, found.field) == ("cnc-1.csv", 2, field)
    assert right in found.right
