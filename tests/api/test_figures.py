"""Every route's figures on the small plant of conftest.py, worked out by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant.clock import MINUTE, iso
from tests.api.conftest import NOW, START

SHIFT = {"from": "2026-03-02T06:00:00+01:00", "to": "2026-03-02T10:00:00+01:00"}


def get(client: TestClient, path: str, **params: object) -> dict[str, object]:
    answer = client.get(path, params={key.rstrip("_"): value for key, value in params.items()})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_machines(client: TestClient) -> None:
    body = get(client, "/api/machines")
    assert (body["plant"], body["simulated"]) == ("Verkstan", True)
    cnc, bare = body["machines"]
    assert cnc["path"] == ["demo", "hall", "machining", "line-1"]
    assert (cnc["state"], cnc["since"]) == ("fault", "2026-03-02T08:50:00.000Z")
    assert cnc["last_point"] == "2026-03-02T08:50:00.000Z"  # the BAD one after it is no sign of life
    assert cnc["shift"] == {
        "name": "Day", "day": "2026-03-02", "start": "2026-03-02T05:00:00.000Z", "end": "2026-03-02T13:00:00.000Z",
    }  # fmt: skip
    assert cnc["oee"] == {k: get(client, "/api/machines/cnc/oee")[k] for k in cnc["oee"]}
    assert (bare["state"], bare["oee"], bare["last_point"]) == ("unknown", None, None)


def test_states(client: TestClient) -> None:
    body = get(client, "/api/machines/cnc/states", **SHIFT)
    assert [(i["start"][11:16], i["end"][11:16], i["state"], i["seconds"]) for i in body["intervals"]] == [
        ("05:00", "07:00", "running", 7200), ("07:00", "07:30", "idle", 1800), ("07:30", "08:00", "unknown", 1800),
        ("08:00", "08:50", "running", 3000), ("08:50", "09:00", "fault", 600),
    ]  # fmt: skip
    assert body["seconds"] == {
        "running": 10200, "idle": 1800, "stopped": 0, "setup": 0, "fault": 600, "off": 0, "unknown": 1800,
    }  # fmt: skip
    assert body["coverage"] == 0.875
    assert body["window"] == {"start": iso(START), "end": iso(NOW), "seconds": 14400}


def test_oee(client: TestClient) -> None:
    """Planned 06:00–10:00 less the break 09:00–09:30 = 12 600 s, 1 800 s of them unknown."""
    body = get(client, "/api/machines/cnc/oee", **SHIFT)
    assert body["seconds"] == {
        "window": 14400, "planned": 12600, "known": 10800, "running": 8400, "down": 2400,
        "unplanned": 1800, "unplanned_running": 1800,
    }  # fmt: skip
    assert body["availability"] == pytest.approx(8400 / 10800)
    assert body["performance"] == pytest.approx(54 * 120 / 8400)
    assert body["quality"] == pytest.approx(114 / 120)
    assert body["oee"] == pytest.approx(8400 / 10800 * 54 * 120 / 8400 * 114 / 120)
    assert body["coverage"] == pytest.approx(10800 / 12600)
    assert body["parts"] == {"produced": 120, "good": 114, "scrap": 6, "unplanned": 0}
    assert sum(body["planned_seconds_by_state"].values()) == 12600
    assert any("outside planned time" in note for note in body["notes"])


def test_a_machine_without_counters_says_null_not_zero(client: TestClient) -> None:
    body = get(client, "/api/machines/bare/oee", **SHIFT)
    assert [body[key] for key in ("availability", "performance", "quality", "oee")] == [None] * 4
    assert body["parts"] == {"produced": None, "good": None, "scrap": None, "unplanned": None}
    assert body["coverage"] == 0


def test_parts(client: TestClient) -> None:
    body = get(client, "/api/machines/cnc/parts", **SHIFT, limit=2)
    assert body["parts"] == [
        {"time": "2026-03-02T06:59:59.000Z", "count": 1, "cycle_s": 60, "scrap": 1},
        {"time": "2026-03-02T06:58:59.000Z", "count": 1, "cycle_s": 60, "scrap": 0},
    ]
    assert get(client, "/api/machines/bare/parts")["parts"] == []


def test_tags(client: TestClient) -> None:
    tags = {tag["id"]: tag for tag in get(client, "/api/tags")["tags"]}
    assert list(tags) == ["cnc.state", "cnc.count", "cnc.scrap", "cnc.power", "bare.temp"]
    power = tags["cnc.power"]
    assert (power["unit"], power["type"], power["source"], power["label"]["sv"]) == ("kW", "float32", "plc", "Effekt")
    assert power["last"] == {
        "time": "2026-03-02T08:59:59.000Z", "value": None, "text": None,
        "quality": "BAD_NOT_CONNECTED", "quality_code": 2, "stale": False,
    }  # fmt: skip
    assert (tags["cnc.state"]["last"]["value"], tags["cnc.state"]["last"]["text"]) == (3, "alarm")
    assert tags["bare.temp"]["last"] is None


def test_trend_shows_gaps_as_null(client: TestClient) -> None:
    body = get(client, "/api/tags/cnc.power/trend", **SHIFT, buckets=4)
    assert body["bucket_s"] == 3600
    assert body["start"] == [iso(START + hour * 60 * MINUTE) for hour in range(4)]
    assert body["mean"] == [5.5, None, None, 99]
    assert body["minimum"] == [5, None, None, 99]
    assert body["maximum"] == [6, None, None, 99]
    assert body["count"] == [60, 0, 0, 1]


def test_sources(client: TestClient) -> None:
    body = get(client, "/api/sources")
    (source,) = body["sources"]
    assert body["gateway"] is True
    assert (source["link"], source["fault"], source["errors"]) == ("failing", "timeout", {"timeout": 4})
    assert (source["round_trip_ms"], source["reads"], source["overruns"]) == (3.5, 100, 2)
    assert source["last_good"] == "2026-03-02T08:59:30.000Z"
    power, state = source["tags"]
    assert (power["raw"], power["last"]["value"], state["last"], state["fault"]) == ("40b0 0000", 5.5, None, "decode")


class TestTimes:
    def test_the_default_is_the_shift_so_far(self, client: TestClient) -> None:
        assert get(client, "/api/machines/cnc/states")["window"] == {
            "start": iso(START), "end": iso(NOW), "seconds": 14400,
        }  # fmt: skip

    def test_to_alone_starts_with_its_shift(self, client: TestClient) -> None:
        window = get(client, "/api/machines/cnc/states", to="2026-03-02T07:00:00+01:00")["window"]
        assert (window["start"], window["seconds"]) == (iso(START), 3600)

    def test_from_alone_ends_now(self, client: TestClient) -> None:
        window = get(client, "/api/machines/cnc/states", from_="2026-03-02T08:00:00Z")["window"]
        assert (window["end"], window["seconds"]) == (iso(NOW), 3600)

    def test_to_alone_between_shifts_starts_with_the_latest(self, client: TestClient) -> None:
        window = get(client, "/api/machines/cnc/states", to="2026-03-04T00:00:00+01:00")["window"]
        assert (window["start"], window["seconds"]) == (iso(START), 42 * 3600)

    @pytest.mark.parametrize(
        "start",
        ["2026-03-02T06:00:00+01:00", "2026-03-02T06:00:00%2B01:00", "2026-03-02T05:00:00Z", "2026-03-02T05:00Z",
         "2026-03-02T00:00:00-05:00", "2026-03-02T06:00:00.000+0100", "2026-03-02%2006:00:00+01"],
    )  # fmt: skip
    def test_every_form_is_the_same_moment_with_and_without_escaping(self, client: TestClient, start: str) -> None:
        body = client.get(f"/api/machines/cnc/states?from={start}&to=2026-03-02T09:00:00Z").json()
        assert body["window"]["start"] == iso(START)

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(st.integers(0, 4 * 60), st.integers(-14 * 60, 14 * 60), st.booleans())
    def test_any_offset(self, client: TestClient, minute: int, offset: int, escaped: bool) -> None:  # noqa: FBT001
        sign, rest = "+" if offset >= 0 else "-", abs(offset)
        local = iso(START - 7200 * 10**9 + (minute + offset) * MINUTE)[:19]
        text = f"{local}{sign}{rest // 60:02}:{rest % 60:02}"
        text = text.replace("+", "%2B") if escaped else text
        body = client.get(f"/api/machines/cnc/states?from={text}").json()
        assert body["window"]["start"] == iso(START - 7200 * 10**9 + minute * MINUTE)
        assert sum(i["seconds"] for i in body["intervals"]) == pytest.approx(body["window"]["seconds"])

    @pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
    def test_local_days_around_the_change_of_clocks(self, client: TestClient, day: str, hours: int) -> None:
        following = {"2026-03-29": "2026-03-30T00:00+02:00", "2026-10-25": "2026-10-26T00:00+01:00"}
        first = {"2026-03-29": "+01:00"}.get(day, "+02:00")
        end = following.get(day, "2026-06-02T00:00+02:00")
        window = get(client, "/api/machines/cnc/states", from_=f"{day}T00:00{first}", to=end)["window"]
        assert window["seconds"] == hours * 3600


def test_points_as_stored_page_by_page(client: TestClient) -> None:
    whole = get(client, "/api/tags/cnc.power/points")
    assert len(whole["time"]) == 62
    assert whole["value"][:2] == [5.0, 6.0]
    assert (whole["value"][-2:], whole["quality"][-2:]) == (
        [99.0, None],
        ["UNCERTAIN_OUT_OF_RANGE", "BAD_NOT_CONNECTED"],
    )
    assert whole["next"] is None
    first = get(client, "/api/tags/cnc.power/points", limit="40")
    rest = get(client, "/api/tags/cnc.power/points", **{"from": first["next"]})
    assert first["time"] + rest["time"] == whole["time"]
