"""Recorded logs: grammar, times, values, stale beginnings, and a real machining centre's day."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sources.recording import Tally, parse_time
from gateway.sources.recording_csv import read_csv
from gateway.sources.recording_shdr import read_shdr
from gateway.sources.replay import END_AFTER_NS, import_recording, play
from plant.clock import HOUR, MINUTE, SECOND, Window, iso, parse_iso
from plant.config import PlantConfig
from plant.config_file import load_plant
from plant.errors import RecordingError, UserInputError
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import Point, PointBatch, Quality
from plant.states import State
from plant.tags import DataType, Tag

ROOT = Path(__file__).parents[3]
MAZAK_LOG = ROOT / "../shared/data/nist_mazak/Mazak01-20180509-20180510.txt"
T0 = "2026-03-04T06:00:00Z"


def tag(name: str, kind: DataType = DataType.NUMBER, **fields: object) -> Tag:
    return Tag.model_validate({"machine": "m", "name": name, "source": "log", "key": name, "type": kind, **fields})


EXECUTION = tag("execution", DataType.TEXT)
ALARM = tag("alarm", DataType.TEXT)
LOAD = tag("load")
TAGS = (EXECUTION, ALARM, LOAD)


def shdr(*lines: str, tags: tuple[Tag, ...] = TAGS) -> tuple[list[Point], Tally]:
    tally = Tally()
    points = [point for batch in read_shdr(lines, tags, tally) for point in batch]
    return points, tally


def csv_log(*lines: str, tags: tuple[Tag, ...] = TAGS) -> tuple[list[Point], Tally]:
    tally = Tally()
    points = [point for batch in read_csv([f"{line}\n" for line in lines], tags, "time", tally) for point in batch]
    return points, tally


def values(points: list[Point]) -> list[tuple[str, object, Quality]]:
    return [(point.tag.removeprefix("m."), point.value, point.quality) for point in points]


GOOD, ABSENT = Quality.GOOD, Quality.BAD_NOT_AVAILABLE


class TestShdrGrammar:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("execution|ACTIVE", [("execution", "ACTIVE", GOOD)]),
            ("execution|ACTIVE\r\n", [("execution", "ACTIVE", GOOD)]),
            ("execution|ACTIVE|load|12.5", [("execution", "ACTIVE", GOOD), ("load", 12.5, GOOD)]),
            ("load|1|execution|READY|other|x", [("load", 1.0, GOOD), ("execution", "READY", GOOD)]),
            ("load|7|", [("load", 7.0, GOOD)]),
            ("mazak:load|7", [("load", 7.0, GOOD)]),
            ("execution|UNAVAILABLE", [("execution", None, ABSENT)]),
            ("execution|Unavailable", [("execution", None, ABSENT)]),
            ("load|unavailable|execution|x", [("load", None, ABSENT), ("execution", "x", GOOD)]),
            ("load|NaN", [("load", None, ABSENT)]),
            ("load|", [("load", None, ABSENT)]),
            ("execution|", [("execution", "", GOOD)]),
            ("load|1 2 3", [("load", None, Quality.BAD_DECODE)]),
            ("load|ACTIVE", [("load", None, Quality.BAD_DECODE)]),
            ("load|1_000", [("load", None, Quality.BAD_DECODE)]),
            ("load|-1.5e3", [("load", -1500.0, GOOD)]),
            ("alarm|Normal||||", [("alarm", "Normal", GOOD)]),
            ("alarm|Unavailable||||", [("alarm", None, ABSENT)]),
            ("alarm|Warning|209|||TEXT", [("alarm", "Warning 209: TEXT", GOOD)]),
            ("alarm|FAULT|E1|100|HIGH|too hot", [("alarm", "FAULT E1: too hot", GOOD)]),
            ("alarm|CODE7|door open", [("alarm", "CODE7: door open", GOOD)]),
            ("alarm||UNAVAILABLE", [("alarm", None, ABSENT)]),
            (r"alarm|a\|b", [("alarm", "a|b", GOOD)]),
            ("alarm|åäö", [("alarm", "åäö", GOOD)]),
            # As long as a condition, but three pairs: the fourth field is a key.
            ("alarm|Normal|load|3|x|y", [("alarm", "Normal", GOOD), ("load", 3.0, GOOD)]),
            ("alarm|UNAVAILABLE|load|3|x|y", [("alarm", None, ABSENT), ("load", 3.0, GOOD)]),
        ],
    )  # fmt: skip
    def test_lines(self, line: str, expected: list[tuple[str, object, Quality]]) -> None:
        points, tally = shdr(f"{T0}|{line}")
        assert values(points) == expected
        assert (tally.lines, tally.skipped) == (1, 0)
        assert {point.time_ns for point in points} == {parse_iso(T0)}

    @pytest.mark.parametrize(
        "line",
        ["hello", "a|b|c", "2026-13-04T06:00:00Z|load|1", f"{T0}", f"{T0}|load", f"{T0}||1", f"{T0}|x|1|load",
         f"{T0}|x|3|100|1 2 3", "|load|1", "1234567890123|load|1", "3000-01-01T00:00:00Z|load|1", "\x00\xff|\x01|2"],
    )  # fmt: skip
    def test_odd_lines_are_counted_with_their_number_and_stop_nothing(self, line: str) -> None:
        points, tally = shdr(f"{T0}|load|1", line, f"{T0}|load|2")
        assert values(points) == [("load", 1.0, GOOD), ("load", 2.0, GOOD)]
        assert tally.skipped == 1
        assert tally.examples[0].startswith("line 2: ")

    def test_only_the_first_examples_are_kept(self) -> None:
        _, tally = shdr(*["nonsense"] * 100)
        assert tally.skipped == 100
        assert len(tally.examples) == 5

    def test_comments_commands_blank_lines_and_assets_are_not_mistakes(self) -> None:
        block = [
            f"{T0}|@ASSET@|T1|CuttingTool|--multiline--AB12",
            "<Tool>",
            "text | bars",
            "</Tool>",
            "--multiline--AB12",
        ]
        points, tally = shdr("* PONG 10000", "", "# x", f"{T0}|@REMOVE_ASSET@|T1", *block, f"{T0}|load|2")
        assert values(points) == [("load", 2.0, GOOD)]
        assert (tally.skipped, tally.ignored) == (0, 9)

    def test_a_block_that_never_ends_does_not_swallow_the_log(self) -> None:
        points, tally = shdr(f"{T0}|@ASSET@|T1|Tool|--multiline--X", "<Tool>", f"{T0}|load|2", f"{T0}|load|3")
        assert [point.value for point in points] == [2.0, 3.0]
        assert tally.examples == ["line 1: a text of several lines that never ends"]

    def test_a_duration_after_the_time_is_left_off(self) -> None:
        points, _ = shdr("2026-03-04T06:00:00.5@100.25|load|1")
        assert points[0].time_ns == parse_iso(T0) + SECOND // 2

    def test_out_of_order_lines_are_kept(self) -> None:
        points, _ = shdr("2026-03-04T06:00:02Z|load|2", "2026-03-04T06:00:01Z|load|1")
        assert [point.value for point in points] == [2.0, 1.0]

    @given(st.lists(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("|@:-TZ0123456789\\* "))), max_size=8))
    def test_no_line_whatever_crashes_the_reader(self, lines: list[str]) -> None:
        _, tally = shdr(*lines)
        assert tally.lines + tally.skipped + tally.ignored == len(lines)

    @given(
        st.lists(
            st.lists(
                st.sampled_from(["", "load", "alarm", "Warning", "UNAVAILABLE", "1", "x", "@A", "--multiline--Q"]),
                max_size=8,
            ),
            max_size=6,
        )
    )
    def test_no_combination_of_fields_crashes_the_reader(self, lines: list[list[str]]) -> None:
        _, tally = shdr(*("|".join([T0, *fields]) for fields in lines))
        assert tally.lines + tally.skipped + tally.ignored >= len(lines)


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "ns"),
        [
            ("2018-05-09T13:20:39.178Z", 1525872039178000000),
            ("2018-05-09T13:20:39.123456789Z", 1525872039123456789),
            ("2018-05-09T13:20:39.1234567891Z", 1525872039123456789),
            ("2018-05-09T15:20:39.000000001+02:00", 1525872039000000001),
            ("2018-05-09T13:20:39Z", 1525872039000000000),
            ("2018-05-09 13:20:39,5+0000", 1525872039500000000),
        ],
    )
    def test_exact(self, text: str, ns: int) -> None:
        assert parse_time(text) == ns

    @given(st.integers(0, 4_000_000_000), st.integers(0, 999_999_999))
    def test_nine_digits_survive(self, second: int, fraction: int) -> None:
        whole = iso(second * SECOND)[:19]
        assert parse_time(f"{whole}.{fraction:09}Z") == second * SECOND + fraction

    @pytest.mark.parametrize("text", ["", "now", "2018-05-09T13:20:39", "2018-05-09", "12:00Z", "2018-05-09T25:00:00Z"])
    def test_no_time(self, text: str) -> None:
        assert parse_time(text) is None

    def test_without_offset_shdr_is_utc(self) -> None:
        assert parse_time("2018-05-09T13:20:39.178", utc=True) == 1525872039178000000


class TestValues:
    def test_scale_offset_range_and_enumeration(self) -> None:
        scaled = tag("t", scale=0.1, offset=-5.0, low=0.0, high=40.0)
        mode = tag("mode", enum={1: "AUTO", 2: "MANUAL"})
        points, _ = shdr(*(f"{T0}|t|{raw}" for raw in ("100", "10", "451", "9007199254740994")), tags=(scaled,))
        assert values(points)[:3] == [
            ("t", 5.0, GOOD),
            ("t", -4.0, Quality.UNCERTAIN_OUT_OF_RANGE),
            ("t", pytest.approx(40.1), Quality.UNCERTAIN_OUT_OF_RANGE),
        ]
        points, _ = shdr(f"{T0}|mode|MANUAL", f"{T0}|mode|1", f"{T0}|mode|OTHER", tags=(mode,))
        assert [point.value for point in points] == [2.0, 1.0, None]

    def test_one_item_may_feed_several_tags(self) -> None:
        also = tag("also", key="load")
        points, _ = shdr(f"{T0}|load|3", tags=(LOAD, also))
        assert [point.tag for point in points] == ["m.load", "m.also"]

    @given(st.text())
    def test_a_number_or_nothing(self, text: str) -> None:
        points, _ = shdr(f"{T0}|load|{text}".replace("\n", " ").replace("\r", " "))
        for point in points:
            if point.tag == "m.load" and point.quality >= Quality.UNCERTAIN:
                assert isinstance(point.value, float)
                assert math.isfinite(point.value)


class TestStaleBeginning:
    """An agent's dump of old values makes no states over weeks in which nothing was recorded."""

    DUMP = ("2026-02-10T08:00:00Z|execution|ACTIVE", "2026-03-01T08:00:00Z|load|5", "2026-02-20T08:00:00Z|alarm|x")

    def test_it_is_left_out_and_counted(self) -> None:
        points, tally = shdr(*self.DUMP, f"{T0}|load|1", "2026-03-04T06:10:00Z|execution|READY")
        assert values(points) == [("load", 1.0, GOOD), ("execution", "READY", GOOD)]
        assert (tally.stale, tally.lines) == (3, 5)
        assert tally.first_ns == parse_iso(T0)

    def test_what_is_from_within_the_day_before_holds(self) -> None:
        points, tally = shdr(self.DUMP[0], "2026-03-03T22:00:00Z|alarm|y", self.DUMP[1], f"{T0}|load|1", f"{T0}|load|2")
        assert [point.value for point in points] == ["y", 1.0, 2.0]
        assert tally.stale == 2

    def test_a_silent_weekend_in_a_recording_is_no_dump(self) -> None:
        lines = ["2026-03-06T14:00:00Z|load|1", "2026-03-06T15:00:00Z|load|2", "2026-03-09T06:00:00Z|load|3"]
        points, tally = shdr(*lines)
        assert len(points) == 3
        assert tally.stale == 0

    def test_a_short_log_of_one_day_is_kept_whole(self) -> None:
        points, _ = shdr("2026-03-04T06:00:00Z|execution|ACTIVE", "2026-03-04T14:00:00Z|execution|READY")
        assert len(points) == 2

    def test_no_state_over_the_weeks(self, tmp_path: Path, historian: DuckDbHistorian) -> None:
        log = tmp_path / "a.txt"
        log.write_text("\n".join([*self.DUMP, f"{T0}|load|1", "2026-03-04T06:10:00Z|execution|READY"]))
        config = small_plant("shdr")
        import_recording(log, config, historian.write)
        plant = Plant(config, historian)
        window = Window(parse_iso("2026-02-01T00:00:00Z"), parse_iso("2026-04-01T00:00:00Z"))
        durations = plant.states("m", window).durations_ns()
        assert durations[State.RUNNING] == 0
        assert durations[State.IDLE] == END_AFTER_NS
        assert plant.recorded("m") == Window(parse_iso(T0), parse_iso("2026-03-04T06:10:00Z") + END_AFTER_NS + 1)


class TestCsv:
    def test_columns_cells_and_gaps(self) -> None:
        points, tally = csv_log("time,load,execution,x", f"{T0},1.5,ACTIVE,9", f"{T0},,READY,9")
        assert values(points) == [
            ("execution", "ACTIVE", GOOD), ("load", 1.5, GOOD), ("execution", "READY", GOOD), ("load", None, ABSENT),
        ]  # fmt: skip
        assert (tally.lines, tally.skipped) == (2, 0)

    @pytest.mark.parametrize("separator", [";", "\t"])
    def test_semicolon_and_tab_allow_a_decimal_comma(self, separator: str) -> None:
        points, _ = csv_log(separator.join(("time", "load")), separator.join((T0, "12,5")), tags=(LOAD,))
        assert values(points) == [("load", 12.5, GOOD)]

    def test_quotes_and_text_over_lines(self) -> None:
        points, tally = csv_log("time,execution,load", f'{T0},"a, b', 'c",2')
        assert values(points) == [("execution", "a, b\nc", GOOD), ("load", 2.0, GOOD)]
        assert tally.skipped == 0

    @pytest.mark.parametrize("row", ["x,1,2", "2026-03-04T06:00:00,1,2", f"{T0},1", f"{T0},1,2,3", "junk"])
    def test_broken_rows_are_counted_with_their_line(self, row: str) -> None:
        points, tally = csv_log("time,load,x", f"{T0},1,2", row, f"{T0},3,4", tags=(LOAD,))
        assert [point.value for point in points] == [1.0, 3.0]
        assert tally.examples[0].startswith("line 3: ")

    def test_without_the_time_column_it_is_no_such_log(self) -> None:
        with pytest.raises(RecordingError, match="no column “time”; it has: Zeit, load"):
            csv_log("Zeit,load", f"{T0},1")

    @given(st.lists(st.text(), max_size=6))
    def test_no_row_whatever_crashes_the_reader(self, rows: list[str]) -> None:
        csv_log("time,load,execution", *rows)

    @given(st.text())
    def test_no_header_whatever_crashes_the_reader(self, header: str) -> None:
        try:
            csv_log(header, f"{T0},1")
        except RecordingError:
            return


def small_plant(form: str) -> PlantConfig:
    return PlantConfig.model_validate(
        {
            "plant": {"enterprise": "e", "site": "s", "name": "P"},
            "sources": {"log": {"type": "replay", "format": form}},
            "machines": {
                "m": {
                    "name": "M",
                    "area": "a",
                    "line": "l",
                    "states": {"tag": "execution", "map": {"ACTIVE": "running", "READY": "idle"}},
                    "tags": {
                        "execution": {"source": "log", "type": "text", "key": "execution"},
                        "load": {"source": "log", "key": "load"},
                    },
                }
            },
        }
    )


@pytest.fixture
def historian(tmp_path: Path) -> Iterator[DuckDbHistorian]:
    store = DuckDbHistorian(tmp_path / "h.duckdb")
    yield store
    store.close()


class TestImport:
    LOG = f"{T0}|execution|ACTIVE|load|3\n2026-03-04T07:00:00Z|execution|READY\nbroken\n"

    def test_summary_and_end_mark(self, tmp_path: Path, historian: DuckDbHistorian) -> None:
        log = tmp_path / "a.txt"
        log.write_bytes(self.LOG.replace("\n", "\r\n").encode())
        config, calls = small_plant("shdr"), []
        summary = import_recording(log, config, historian.write, lambda done, size: calls.append((done, size)))
        assert (summary.points, summary.lines, summary.skipped, summary.missing) == (5, 2, 1, ())
        assert "line 3: not time|item|value" in str(summary)
        assert calls[-1] == (log.stat().st_size,) * 2
        end = parse_iso("2026-03-04T07:00:00Z") + END_AFTER_NS
        last = historian.last(["m.execution", "m.load"])
        assert {(p.time_ns, p.value, p.quality) for p in last.values()} == {(end, None, Quality.BAD_END_OF_RECORDING)}
        states = Plant(config, historian).states("m", Window(parse_iso(T0), parse_iso(T0) + 8 * HOUR))
        assert [(i.state, i.end_ns - i.start_ns) for i in states] == [
            (State.RUNNING, HOUR), (State.IDLE, END_AFTER_NS), (State.UNKNOWN, 7 * HOUR - END_AFTER_NS),
        ]  # fmt: skip

    def test_western_european_bytes_and_a_byte_order_mark(self, tmp_path: Path) -> None:
        log, batches = tmp_path / "a.txt", []
        log.write_bytes(b"\xef\xbb\xbf" + f"{T0}|load|1\n".encode() + f"{T0}|execution|STÄNGD\n".encode("latin-1"))
        import_recording(log, small_plant("shdr"), batches.append)
        assert [point.value for point in batches[0]] == [1.0, "STÄNGD"]

    @pytest.mark.parametrize(
        ("content", "form", "said"),
        [
            (b"", "shdr", "nothing in it could be read"),
            (b"\x89PNG\r\n\x1a\n\x00\x00" * 50, "shdr", "no shdr log"),
            (b"\x89PNG\r\n\x1a\n\x00\x00" * 50, "csv", "no column “time”"),
            (b"time,load\n", "csv", "nothing in it could be read"),
            (f"{T0}|Xabs|1\n".encode(), "shdr", "none of the plant's keys; it holds Xabs"),
            (f"time,X\n{T0},1\n".encode(), "csv", "none of the plant's keys; it holds X, time"),
        ],
    )
    def test_no_such_log(self, tmp_path: Path, content: bytes, form: str, said: str) -> None:
        log = tmp_path / "a.txt"
        log.write_bytes(content)
        with pytest.raises(RecordingError, match=said) as caught:
            import_recording(log, small_plant(form), lambda _: None)
        assert str(log) in str(caught.value)
        assert caught.value.next_step

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.txt", tmp_path):
            with pytest.raises(RecordingError, match="cannot be read"):
                import_recording(path, small_plant("shdr"), lambda _: None)

    def test_the_source_must_be_clear(self, tmp_path: Path) -> None:
        raw = small_plant("shdr").model_dump(mode="json")
        raw["sources"]["other"] = {"type": "replay", "format": "csv"}
        two = PlantConfig.model_validate(raw)
        with pytest.raises(UserInputError, match="several recordings: log, other"):
            import_recording(tmp_path / "a", two, lambda _: None)
        with pytest.raises(UserInputError, match="no replay source “x”"):
            import_recording(tmp_path / "a", two, lambda _: None, source="x")
        with pytest.raises(UserInputError, match="No tag names the source “other”"):
            import_recording(tmp_path / "a", two, lambda _: None, source="other")

    def test_large_logs_come_in_batches(self, tmp_path: Path) -> None:
        log, batches = tmp_path / "a.txt", []
        start = parse_iso(T0)
        log.write_text("".join(f"{iso(start + i * SECOND)}|load|{i}\n" for i in range(120_000)))
        summary = import_recording(log, small_plant("shdr"), batches.append)
        assert [len(batch) for batch in batches] == [50_000, 50_000, 20_000, 2]
        assert summary.points == 120_002


class TestPlay:
    """A clock that only sleep moves: nothing here waits."""

    def run(
        self, log: Path, speed: float, stop_after: int | None = None
    ) -> tuple[list[tuple[int, Point]], list[float]]:
        now, got, slept = [10**18], [], []

        async def emit(batch: PointBatch) -> None:
            got.extend((now[0], point) for point in batch)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if stop_after is not None and len(slept) > stop_after:
                raise asyncio.CancelledError
            now[0] += round(seconds * SECOND)

        asyncio.run(play(log, small_plant("shdr"), emit, speed, lambda: now[0], sleep))
        return got, slept

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.txt"
        path.write_text(
            "2026-01-01T00:00:00Z|load|99\n2026-03-04T06:01:00Z|load|2\n2026-03-04T06:00:00Z|load|1\n"
            "2026-03-04T06:02:00Z|execution|ACTIVE\n"
        )
        return path

    def test_spacing_is_divided_by_speed_and_nothing_comes_before_its_time(self, log: Path) -> None:
        got, _ = self.run(log, 60)
        start = 10**18
        assert [((p.time_ns - start) / SECOND, p.value) for _, p in got if p.quality == GOOD] == [
            (0.0, 1.0), (1.0, 2.0), (2.0, "ACTIVE"),
        ]  # fmt: skip
        assert all(0 <= arrived - point.time_ns < 2_000_000 for arrived, point in got)
        assert [p.quality for _, p in got[-2:]] == [Quality.BAD_END_OF_RECORDING] * 2

    def test_stopping_early_ends_the_states(self, log: Path) -> None:
        now: list[Point] = []

        async def emit(batch: PointBatch) -> None:
            now.extend(batch)

        async def sleep(_: float) -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(play(log, small_plant("shdr"), emit, 1, lambda: 10**18, sleep))
        assert [p.quality for p in now] == [GOOD, Quality.BAD_END_OF_RECORDING, Quality.BAD_END_OF_RECORDING]

    @pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf])
    def test_a_speed_that_is_none(self, log: Path, speed: float) -> None:
        with pytest.raises(UserInputError, match="cannot be played"):
            self.run(log, speed)


class TestExamples:
    def test_csv(self, historian: DuckDbHistorian) -> None:
        config = load_plant(ROOT / "examples/csv/plant.yaml")
        summary = import_recording(ROOT / "examples/csv/saw.csv", config, historian.write)
        assert (summary.lines, summary.skipped, summary.missing) == (46, 0, ())
        plant = Plant(config, historian)
        figures = plant.oee("saw-1", Window(parse_iso("2026-03-04T06:00:00Z"), parse_iso("2026-03-04T10:00:00Z")))
        assert figures.produced == 46
        assert figures.states_ns[State.FAULT] == 15 * MINUTE


@pytest.mark.skipif(not MAZAK_LOG.exists(), reason=f"the real Mazak log is absent: {MAZAK_LOG}")
class TestMazak:
    """SOURCE.txt: ACTIVE + INTERRUPTED last 4 763 s; the first lines are stale; UNAVAILABLE is not downtime."""

    WINDOW = Window(parse_iso("2018-05-09T00:00:00-04:00"), parse_iso("2018-05-10T00:00:00-04:00"))

    @pytest.fixture
    def plant(self, historian: DuckDbHistorian) -> Plant:
        config = load_plant(ROOT / "examples/mazak/plant.yaml")
        self.summary = import_recording(MAZAK_LOG, config, historian.write)
        return Plant(config, historian)

    def test_every_line_is_understood(self, plant: Plant) -> None:
        assert (self.summary.lines, self.summary.skipped, self.summary.ignored) == (30_086, 0, 0)
        assert (self.summary.stale, self.summary.missing) == (86, ())

    def test_running_time(self, plant: Plant) -> None:
        durations = plant.states("mazak01", self.WINDOW).durations_ns()
        assert durations[State.RUNNING] / SECOND == pytest.approx(4763, abs=1)
        assert sum(durations.values()) == self.WINDOW.length_ns

    def test_active_and_interrupted_are_both_to_be_seen(self, plant: Plant) -> None:
        series = plant.points("mazak01.execution", self.WINDOW)
        assert series.text is not None
        lasting = {"ACTIVE": 0, "INTERRUPTED": 0}
        ends = [*series.time_ns[1:].tolist(), self.WINDOW.end_ns]
        for text, start, end in zip(series.text, series.time_ns.tolist(), ends, strict=True):
            if text in lasting:
                lasting[text] += end - start
        assert lasting["ACTIVE"] / SECOND == pytest.approx(4704, abs=1)
        assert lasting["INTERRUPTED"] / SECOND == pytest.approx(58, abs=1)

    def test_unknown_is_not_downtime(self, plant: Plant) -> None:
        figures = plant.oee("mazak01", self.WINDOW)
        assert figures.down_ns / SECOND == pytest.approx(6208.6 + 2352.5, abs=1)  # STOPPED + READY, no UNAVAILABLE
        assert figures.availability == pytest.approx(4762.4 / (4762.4 + 6208.6 + 2352.5), abs=1e-3)
        assert figures.coverage is not None
        assert figures.coverage < 0.16
        assert figures.oee is None

    def test_the_lines_of_april_make_no_state(self, plant: Plant) -> None:
        before = Window(parse_iso("2018-04-01T00:00:00Z"), self.WINDOW.start_ns)
        assert [interval.state for interval in plant.states("mazak01", before)] == [State.UNKNOWN]
        recorded = plant.recorded("mazak01")
        assert recorded is not None
        assert iso(recorded.start_ns) == "2018-05-09T13:11:50.616Z"

    def test_absurd_values_are_uncertain(self, plant: Plant) -> None:
        series = plant.points("mazak01.spindle_temperature", self.WINDOW)
        absurd = series.value > 1e9
        assert series.quality[absurd].tolist() == [Quality.UNCERTAIN_OUT_OF_RANGE]

    def test_twice_leaves_the_same(self, plant: Plant) -> None:
        def everything() -> list[object]:
            found: list[object] = [plant.health().rows]
            for each in plant.tags():
                series = plant.points(each.id, self.WINDOW)
                found.append(
                    (series.time_ns.tolist(), series.quality.tolist(), str(series.value.tolist()), series.text)
                )
            return found

        before = everything()
        import_recording(MAZAK_LOG, plant.config, plant.historian.write)
        assert everything() == before
