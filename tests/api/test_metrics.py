"""/metrics: parses, right figures, nothing invented."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from plant.historian.duckdb import DuckDbHistorian
from tests.api.conftest import Gateway


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in parse_text(answer.text):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def test_figures(client: TestClient) -> None:
    found = samples(client)
    plc = ("kind=modbus-tcp", "source=plc")
    assert found["testbed_up",] == 1
    assert found["testbed_source_link", "kind=modbus-tcp", "link=failing", "source=plc"] == 1
    assert found["testbed_source_link", "kind=modbus-tcp", "link=connected", "source=plc"] == 0
    assert found[("testbed_source_reads_total", *plc)] == 100
    assert found["testbed_source_errors_total", "fault=timeout", *plc] == 4
    assert found[("testbed_source_overruns_total", *plc)] == 2
    assert found[("testbed_source_round_trip_seconds", *plc)] == 0.0035
    assert found[("testbed_source_last_good_age_seconds", *plc)] == 30
    assert found["testbed_outbox_batches",] == 2
    assert found["testbed_outbox_size_bytes",] == 4096
    assert found["testbed_outbox_oldest_age_seconds",] == 7
    assert found["testbed_outbox_dropped_points_total",] == 11
    assert found["testbed_historian_rows",] > 300
    assert found["testbed_historian_size_bytes",] > 0
    assert found["testbed_machine_state", "machine=cnc", "state=fault"] == 1
    assert found["testbed_machine_state", "machine=cnc", "state=running"] == 0
    assert found["testbed_machine_availability_ratio", "machine=cnc"] == pytest.approx(8400 / 10800)
    assert found["testbed_machine_last_point_age_seconds", "machine=cnc"] == 600


def test_what_is_not_known_is_left_out(client: TestClient) -> None:
    found = samples(client)
    assert ("testbed_machine_oee_ratio", "machine=bare") not in found
    assert ("testbed_machine_last_point_age_seconds", "machine=bare") not in found


def test_openmetrics_where_asked_for(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_openmetrics(answer.text)} > {"testbed_up", "testbed_source_reads"}


def test_with_the_historian_down_the_rest_is_there(client: TestClient, historian: DuckDbHistorian) -> None:
    historian.close()
    found = samples(client)
    assert (found["testbed_up",], found["testbed_historian_up",], found["testbed_outbox_points",]) == (0, 0, 300)
    assert not any("machine" in name for name, *_ in found)


def test_an_outbox_in_trouble_is_not_up(client: TestClient, gateway: Gateway) -> None:
    gateway.fail()
    assert samples(client)["testbed_up",] == 0
