"""plant.yaml: every mistake at once, on its line, with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.config import ModbusTcpSource, MqttSource, PlantConfig, StateConfig
from plant.config_file import load_plant
from plant.errors import ConfigError, Mistake, UserInputError
from plant.states import State

GOOD = """\
plant: {enterprise: demo, site: hall, name: Verkstan}
sources:
  plc: {type: modbus-tcp, host: 10.0.0.5}
  broker:
    type: mqtt
    host: 10.0.0.6
machines:
  cnc-1:
    name: CNC
    area: machining
    line: line-1
    states:
      tag: state
      map: {1: running, 2: off}
    parts: {total: count, ideal_cycle_s: 30}
    chart: [load]
    tags:
      state: {source: plc, address: 40001, type: uint16}
      count: {source: plc, address: holding:2, type: uint32, order: CDAB}
      load: {source: broker, topic: cnc/load, path: $.value}
      note: {source: broker, topic: cnc/note, type: text}
shifts:
  - {name: A, days: [mon, tue], start: 06:00, end: 14:00, breaks: [{start: 09:00, minutes: 15}]}
"""


def load(tmp_path: Path, text: str, **environment: str) -> PlantConfig:
    path = tmp_path / "plant.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plant(path, environment)


def mistakes(tmp_path: Path, text: str, **environment: str) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environment)
    assert caught.value.next_step
    return caught.value.mistakes


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_a_file_that_is_fine(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert [tag.id for tag in config.tags()] == ["cnc-1.state", "cnc-1.count", "cnc-1.load", "cnc-1.note"]
    states = config.machines["cnc-1"].states
    assert states is not None
    assert states.map == {"1": State.RUNNING, "2": State.OFF}, "off stays a text"
    assert config.shifts[0].start == "06:00", "a time stays a text"
    plc = config.sources["plc"]
    assert isinstance(plc, ModbusTcpSource)
    assert plc.port == 502


@pytest.mark.parametrize(
    ("old", "new", "field", "wrong", "right"),
    [
        ("enterprise: demo", "enterprise: åre", "plant.enterprise", "right form", "without accents"),
        ("name: Verkstan", "name: V, nam: W", "plant.nam", "not known", "Did you mean name?"),
        ("name: Verkstan", "timezone: Europe/Stokholm, name: V", "plant.timezone", "not a time zone", "IANA"),
        ("type: modbus-tcp", "type: modbus", "sources.plc", "“modbus” is not known", "modbus-tcp"),
        ("type: modbus-tcp, host", "host", "sources.plc", "has no type", "Add type"),
        ("type: modbus-tcp, host: 10.0.0.5", "type: modbus-tcp", "sources.plc.host", "is missing", "Host name"),
        ("host: 10.0.0.5", "host: x, prot: 5020", "sources.plc.prot", "not known", "Did you mean port?"),
        ("host: 10.0.0.5", "host: x, port: 99999", "sources.plc.port", "99999", "TCP port"),
        ("type: modbus-tcp, host: 10.0.0.5", "type: modbus-rtu", "sources.plc.device", "is missing", "/dev/ttyUSB0"),
        ("type: modbus-tcp, host: 10.0.0.5", "type: modbus-rtu, device: /dev/ttyS0, parity: evn", "sources.plc.parity",
         "not one of the choices", "even"),
        ("type: modbus-tcp,", "unit: 0, type: modbus-rtu-tcp,", "sources.plc.unit", "cannot answer", "1 … 247"),
        ("area: machining", "", "machines.cnc-1.area", "is missing", "Third level"),
        ("tag: state", "tag: stat", "machines.cnc-1.states.tag", "no tag “stat”", "Did you mean state?"),
        ("1: running", "1: runing", "machines.cnc-1.states.map.1", "not one of the choices", "running"),
        ("total: count", "total: cont", "machines.cnc-1.parts.total", "no tag “cont”", "Did you mean count?"),
        ("total: count", "total: note", "machines.cnc-1.parts.total", "is a text", "numeric"),
        ("total: count, ", "", "machines.cnc-1.parts", "name the tag that counts parts: total or good", ""),
        ("ideal_cycle_s: 30", "ideal_cycle_s: 0", "machines.cnc-1.parts.ideal_cycle_s", "0", "Planned run time"),
        ("chart: [load]", "chart: [lod]", "machines.cnc-1.chart.0", "no tag “lod”", "Did you mean load?"),
        ("source: plc, address: 40001", "source: plcc, address: 40001", "machines.cnc-1.tags.state.source",
         "no source “plcc”", "Did you mean plc?"),
        ("address: 40001, ", "", "machines.cnc-1.tags.state", "needs an address", "holding:0"),
        ("address: 40001", "address: 90001", "machines.cnc-1.tags.state", "not a Modbus address", "40001"),
        ("type: uint32", "type: uint32, report: {deadband: 1, deadband_percent: 1}", "machines.cnc-1.tags.count.report",
         "exclude each other", "Keep one"),
        ("type: uint32", "type: uint32, report: {deadband_percent: 1}", "machines.cnc-1.tags.count", "valid range",
         "low and high"),
        ("type: uint32", "type: uint32, write: {low: 2, high: 1}", "machines.cnc-1.tags.count.write", "above high",
         "Swap"),
        ("type: uint32", "type: bcd32, write: {low: 1, high: 2}", "machines.cnc-1.tags.count", "whole numbers",
         "Remove write"),
        ("holding:2", "input:2, write: {low: 1, high: 2}", "machines.cnc-1.tags.count", "only be read", "holding"),
        ("topic: cnc/load,", "topic: cnc/load, write: {low: 1, high: 2},", "machines.cnc-1.tags.load",
         "only a Modbus tag", "Remove write"),
        ("order: CDAB", "order: ABDC", "machines.cnc-1.tags.count.order", "not one of the choices", "CDAB"),
        ("topic: cnc/load, ", "", "machines.cnc-1.tags.load", "needs a topic", "hall/cnc-1"),
        ("path: $.value", "low: 3, high: 1", "machines.cnc-1.tags.load", "above high", "Swap them"),
        ("[mon, tue]", "[mon, tus]", "shifts.0.days.1", "not one of the choices", "tue"),
        ("host: 10.0.0.5", "host: x, unit: 300", "sources.plc.unit", "300", "Unit id"),
        ("host: 10.0.0.5", "host: x, poll_s: .inf", "sources.plc.poll_s", "not a finite number", "of its tags"),
        ("type: mqtt", "tls: {kye: k}\n    type: mqtt", "sources.broker.tls.kye", "not known", "Did you mean key?"),
        ("type: mqtt", "pol_s: 1\n    type: mqtt", "sources.broker.pol_s", "not known", "Remove it"),
        ("order: CDAB", "poll_s: .inf", "machines.cnc-1.tags.count.poll_s", "finite", "Poll interval of this tag"),
        ("order: CDAB", "scale: .nan", "machines.cnc-1.tags.count.scale", "“nan” is not a finite", "raw × scale"),
        ("order: CDAB", "high: .inf", "machines.cnc-1.tags.count.high", "“inf” is not a finite", "Highest valid"),
        ("order: CDAB", "write: {low: 0, high: .inf}", "machines.cnc-1.tags.count.write.high", "finite",
         "may be written"),
        ("order: CDAB", "report: {deadband: .inf}", "machines.cnc-1.tags.count.report.deadband", "finite", "change"),
        ("ideal_cycle_s: 30", "ideal_cycle_s: .inf", "machines.cnc-1.parts.ideal_cycle_s", "finite", "Planned run"),
        ("area: machining", "tag_lst: a\n    area: machining", "machines.cnc-1.tag_lst", "not known", "tag_list"),
        ("path: $.value", "metric: foo", "machines.cnc-1.tags.load.metric", "right form", "Node:Metric"),
        ("start: 06:00", "start: 6:00", "shifts.0.start", "right form", "such as 06:00"),
        ("minutes: 15", "minutes: 0", "shifts.0.breaks.0.minutes", "0", "How long it lasts"),
    ],
)  # fmt: skip
def test_each_mistake(tmp_path: Path, old: str, new: str, field: str, wrong: str, right: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    (found,) = mistakes(tmp_path, text)
    assert found.field == field
    assert wrong in found.wrong
    assert right in found.right
    assert found.line is not None
    if new:
        assert abs(found.line - line_of(GOOD, old)) <= (1 if "missing" in wrong else 0)


@pytest.mark.parametrize(
    ("sources", "field", "wrong"),
    [
        ("{a: {type: modbus-tcp, host: h}, plc: {type: modbus-rtu-tcp, host: h, unit: 2}}", "type", "modbus-tcp"),
        ("{a: {type: modbus-rtu, device: COM1}, plc: {type: modbus-rtu, device: COM1, baudrate: 9600}}", "baudrate",
         "19200"),
    ],
)  # fmt: skip
def test_sources_of_one_endpoint_agree(tmp_path: Path, sources: str, field: str, wrong: str) -> None:
    both = f"sources: {sources[:-1]}, broker: {{type: mqtt, host: 10.0.0.6}}}}\nmachines:"
    text = GOOD[: GOOD.index("sources:")] + both + GOOD[GOOD.index("machines:") + len("machines:") :]
    (found,) = mistakes(tmp_path, text)
    assert found.field == f"sources.plc.{field}"
    assert f"{wrong} in “a”" in found.wrong
    assert "share one connection" in found.right


def test_staleness_follows_the_heartbeat(tmp_path: Path) -> None:
    text = GOOD.replace("type: uint32", "type: uint32, report: {heartbeat_s: 30}")
    config = load(tmp_path, text)
    tags = {tag.name: config.stale_after_s(tag) for tag in config.tags()}
    assert tags == {"state": 5, "count": 35, "load": None, "note": None}


def test_states_by_threshold_need_a_number(tmp_path: Path) -> None:
    text = GOOD.replace(
        "tag: state\n      map: {1: running, 2: off}",
        "tag: note\n      threshold: {running_above: 8, running_below: 4}",
    )
    (found,) = mistakes(tmp_path, text)
    assert (found.field, found.line) == ("machines.cnc-1.states.tag", line_of(text, "tag: note"))
    assert "needs a number" in found.wrong


@pytest.mark.parametrize(
    "states", ["{tag: state}", "{tag: state, map: {1: running}, threshold: {running_above: 2, running_below: 1}}"]
)
def test_states_need_one_way(tmp_path: Path, states: str) -> None:
    text = GOOD.replace("states:\n      tag: state\n      map: {1: running, 2: off}", f"states: {states}")
    assert "either map" in mistakes(tmp_path, text)[0].wrong


def test_several_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD
    for old, new in (("10.0.0.6", "x\n    prot: 1"), ("1: running", "1: go"), ("address: 40001, ", ""), ("06:00", "6")):
        text = text.replace(old, new)
    found = mistakes(tmp_path, text)
    assert [m.line for m in found] == sorted(m.line or 0 for m in found)
    assert {m.field for m in found} == {
        "sources.broker.prot", "machines.cnc-1.states.map.1", "machines.cnc-1.tags.state", "shifts.0.start",
    }  # fmt: skip
    assert all(str(tmp_path / "plant.yaml") in str(m) for m in found)


def test_every_key_given_twice(tmp_path: Path) -> None:
    text = GOOD.replace("    line: line-1\n", "    line: line-1\n    name: Other\n") + "sources: {}\n"
    second = len(text.splitlines())
    assert [(m.line, m.wrong) for m in mistakes(tmp_path, text)] == [
        (line_of(text, "name: Other"), f"the key “name” stands in line {line_of(text, 'name: CNC')} already."),
        (second, "the key “sources” stands in line 2 already."),
    ]


def test_keys_that_are_one_number(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, GOOD.replace("2: off", "0x1: off"))
    assert found.wrong == 'found duplicate key "1".'


def test_aliases_that_blow_up(tmp_path: Path) -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    text = "\n".join(["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]", *levels, GOOD])
    (found,) = mistakes(tmp_path, text)
    assert found.line == 6, "9 to the sixth: the first that is too much"
    assert "more than 100000 values" in found.wrong
    assert "template" in found.right


def test_an_alias_inside_what_it_names(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, GOOD + "x: &x\n  y: *x\n")
    assert found.line is not None
    assert "inside what it names" in found.wrong


def test_what_is_nested_too_deep(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, f"x: {'[' * 500}{']' * 500}\n{GOOD}")
    assert "nested too deep" in found.wrong


def test_a_file_that_is_too_big(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"holds 5\.1 MB; at most 5 MB") as caught:
        load(tmp_path, "#" * 5_100_000)
    assert "tag lists" in caught.value.next_step


@pytest.mark.parametrize("value", ["2024-13-45", "9" * 5000, "!!int x", "!!bool x"])
def test_a_value_that_is_none(tmp_path: Path, value: str) -> None:
    (found,) = mistakes(tmp_path, GOOD.replace("type: uint32", f"type: uint32, decimals: {value}"))
    assert found.line == line_of(GOOD, "type: uint32")
    assert "looks like a number or a date" in found.wrong
    assert "in quotes" in found.right


@pytest.mark.parametrize("beside", ["", ", unit: V"])
def test_a_mistake_in_what_a_section_takes_in(tmp_path: Path, beside: str) -> None:
    text = GOOD.replace("state: {source: plc", "state: &base {scal: 2, source: plc")
    text = text.replace("      note:", f"      more: {{<<: [*base]{beside}}}\n      note:")
    found = mistakes(tmp_path, text)
    assert {(m.line, m.field) for m in found} == {
        (line_of(text, "&base"), "machines.cnc-1.tags.state.scal"),
        (line_of(text, "&base"), "machines.cnc-1.tags.more.scal"),
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [("plant: [", 1), ("a: b: c", 1), ("plant:\n\tx: 1\n", 2), ("- 1\n", 1), ("", 1), ("# x\n", 1), ("text", 1)],
)
def test_what_is_no_plant(tmp_path: Path, text: str, line: int) -> None:
    (found,) = mistakes(tmp_path, text)
    assert found.line is not None
    assert abs(found.line - line) <= 1
    assert found.right


def test_environment(tmp_path: Path) -> None:
    text = GOOD.replace("host: 10.0.0.6", "host: ${HOST:-10.0.0.9}\n    port: ${PORT}\n    password: ${SECRET}")
    config = load(tmp_path, text, PORT="1884", SECRET="p:ä{}#")
    broker = config.sources["broker"]
    assert isinstance(broker, MqttSource)
    assert (broker.host, broker.port) == ("10.0.0.9", 1884)
    assert broker.password is not None
    assert broker.password.get_secret_value() == "p:ä{}#"
    assert "p:ä" not in repr(config)
    found = mistakes(tmp_path, text, PORT="1884")
    assert [(m.field, m.line) for m in found] == [("sources.broker.password", line_of(text, "${SECRET}"))]
    assert "no SECRET" in found[0].wrong


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="There is no file"):
        load_plant(tmp_path / "none.yaml")
    with pytest.raises(UserInputError, match="cannot be read"):
        load_plant(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("namn: Åre".encode("latin-1"))
    with pytest.raises(UserInputError, match="cannot be read") as caught:
        load_plant(tmp_path / "latin.yaml")
    assert "UTF-8" in caught.value.next_step


@given(st.text(max_size=60))
def test_no_file_whatever_gives_anything_but_a_mistake(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "plant.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(UserInputError):
        load_plant(path, {})


@given(st.sampled_from(GOOD.splitlines()), st.sampled_from(["", "x", "[", "{a: 1}", "- 1", "null", "1.5", "&a *a"]))
def test_any_broken_line_is_a_mistake_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, line: str, new: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "plant.yaml"
    indent = line[: len(line) - len(line.lstrip())]
    for broken in (indent + new, line.partition(":")[0] + ": " + new):
        path.write_text(GOOD.replace(line, broken, 1), encoding="utf-8")
        try:
            load_plant(path, {})
        except ConfigError as error:
            assert error.mistakes  # noqa: PT017


def test_examples_are_in_order() -> None:
    for path in (Path(__file__).parents[2] / "examples").glob("*/plant.yaml"):
        assert load_plant(path, {}).machines


def test_a_break_outside_its_shift_is_a_mistake(tmp_path: Path) -> None:
    night = GOOD + '  - {name: N, days: [mon], start: "22:00", end: "06:00", breaks: [{start: "BREAK", minutes: 30}]}\n'
    for inside in ("02:00", "22:00", "05:30"):
        load(tmp_path, night.replace("BREAK", inside))
    for outside in ("05:31", "12:00", "21:59"):
        with pytest.raises(ConfigError, match=f"the break at {outside} is not inside the shift 22:00–06:00"):
            load(tmp_path, night.replace("BREAK", outside))


def test_true_names_the_state_of_a_bool() -> None:
    assert StateConfig.model_validate({"tag": "x", "map": {True: "running", False: "off", 2.0: "idle"}}).map == {
        "1": "running",
        "0": "off",
        "2": "idle",
    }


BROKERS = GOOD.replace(
    "machines:\n",
    "  edge: {type: sparkplug, host: h, group: g}\n"
    "outputs:\n  uns: {type: mqtt, host: h, version: 5, tls: {}}\nmachines:\n",
).replace("    states:\n", "    alive: {source: broker, topic: cnc/status}\n    states:\n", 1)


def test_brokers_outputs_and_last_wills(tmp_path: Path) -> None:
    text = BROKERS.replace("      note:", '      oil: {source: edge, metric: "Edge1/Press:Oil"}\n      note:')
    config = load(tmp_path, text)
    assert config.outputs["uns"].version == "5", "YAML reads a number"
    alive = config.machines["cnc-1"].alive
    assert alive is not None
    assert "offline" in alive.offline


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("alive: {source: broker", "alive: {source: borker", "there is no source “borker”"),
        ("alive: {source: broker", "alive: {source: plc", "“plc” is not an MQTT source"),
        ("note: {source: broker, topic: cnc/note", "note: {source: edge", "a tag of a Sparkplug source needs a metric"),
        ("tls: {}", "tls: {cert: c.pem}", "cert and key belong together"),
    ],
)
def test_mistakes_about_brokers(tmp_path: Path, old: str, new: str, wrong: str) -> None:
    assert old in BROKERS
    [mistake] = mistakes(tmp_path, BROKERS.replace(old, new))
    assert wrong in str(mistake)
    assert mistake.line is not None
