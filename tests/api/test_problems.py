"""Every error is problem details with the next step and without internals."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from plant.errors import EquipmentError, UserInputError
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from tests.api.conftest import Gateway

STATES = "/api/machines/cnc/states"
TREND = "/api/tags/cnc.power/trend"


def problem(client: TestClient, path: str, status: int, method: str = "GET") -> dict[str, object]:
    answer = client.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= {"type", "title", "status", "detail", "instance", "next_step"}
    assert body["status"] == status
    assert body["instance"] == path.partition("?")[0]
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [
        (f"{STATES}?from=2026-03-02T06:00:00", "from", "has no offset"),
        (f"{STATES}?from=2026-03-02", "from", "has no offset"),
        (f"{STATES}?from=2026-03-02%2006:00", "from", "has no offset"),
        (f"{STATES}?to=yesterday", "to", "“yesterday” is not a time"),
        (f"{STATES}?from=", "from", "is not a time"),
        (f"{STATES}?from=2026-03-02T08:00:00Z&to=2026-03-02T08:00:00Z", "from", "at or after its end"),
        (f"{STATES}?from=2026-03-02T09:00:00Z&to=2026-03-02T08:00:00Z", "from", "at or after its end"),
        (f"{STATES}?from=2027-01-01T00:00:00Z", "from", "at or after its end"),
        (f"{STATES}?from=0001-01-01T00:00:00Z", "from", "outside 1970"),
        (f"{STATES}?to=9999-12-31T23:59:59Z", "to", "outside 1970"),
        (f"{STATES}?from=2001-01-01T00:00:00Z", "from", "longer than ten years"),
        (f"{TREND}?buckets=0", "buckets", "greater than or equal to 1"),
        (f"{TREND}?buckets=5001", "buckets", "less than or equal to 5000"),
        (f"{TREND}?buckets=many", "buckets", "valid integer"),
        ("/api/machines/cnc/parts?limit=0", "limit", "greater than or equal to 1"),
        ("/api/machines/cnc/parts?limit=1001", "limit", "less than or equal to 1000"),
    ],
)
def test_parameters(client: TestClient, path: str, field: str, said: str) -> None:
    body = problem(client, path, 422)
    assert body["type"] == "urn:factory-testbed:problem:invalid-request"
    (error,) = body["errors"]
    assert error["field"] == field
    assert said in error["detail"]
    assert body["next_step"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/machines/none/states", "no machine “none”"),
        ("/api/machines/none/oee", "no machine “none”"),
        ("/api/machines/none/parts", "no machine “none”"),
        ("/api/tags/cnc.none/trend", "no tag “cnc.none”"),
        ("/api/machines/%C3%A5%00/states", "no machine"),
    ],
)
def test_unknown_ids(client: TestClient, path: str, said: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert answer.json()["next_step"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/none", "/api/machines/cnc", "/api/machines/cnc/none"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_routes(client: TestClient, path: str, method: str) -> None:
    assert problem(client, path, 404, method)["type"] == "about:blank"


def test_other_methods(client: TestClient) -> None:
    body = problem(client, "/api/machines", 405, "POST")
    assert "use GET" in str(body["next_step"])
    assert client.post("/api/machines").headers["allow"] == "GET"


def test_pages_mounted_on_the_app_do_not_answer_for_the_api(plant: Plant) -> None:
    app, pages = create_app(plant, None), FastAPI()

    @pages.api_route("/{path:path}", methods=["GET", "POST"])
    def page(path: str) -> str:
        return f"page {path}"

    app.mount("/", pages)
    with TestClient(app) as client:
        assert client.get("/oee").json() == "page oee"
        problem(client, "/api/none", 404)
        problem(client, "/api/machines", 405, "POST")


def test_elsewhere_errors_are_left_to_the_pages(client: TestClient) -> None:
    answer = client.get("/none")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/api/machines", STATES, "/api/machines/cnc/oee", "/api/tags", TREND])
def test_historian_down(client: TestClient, historian: DuckDbHistorian, path: str) -> None:
    historian.close()
    body = problem(client, path, 503)
    assert body["type"] == "urn:factory-testbed:problem:unavailable"
    assert body["next_step"]
    assert client.get(path).headers["retry-after"] == "5"


def test_a_fault_of_ours_is_logged_and_hidden(
    client: TestClient, plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plant, "overview", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR):
        body = problem(client, "/api/machines", 500)
    assert body["type"] == "urn:factory-testbed:problem:internal"
    assert "division" not in str(body)
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"), [(UserInputError("No.", next_step="Yes."), 422), (EquipmentError("Cable."), 502)]
)
def test_other_errors_of_the_tree(
    client: TestClient, plant: Plant, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(plant, "overview", fail)
    assert problem(client, "/api/machines", status)["detail"] == str(error)


class TestHealth:
    def test_ok(self, client: TestClient) -> None:
        answer = client.get("/api/health")
        body = answer.json()
        assert (answer.status_code, body["status"], body["reasons"]) == (200, "ok", [])
        assert body["historian"]["rows"] > 0
        assert body["outbox"]["points"] == 300
        assert body["outbox"]["oldest"] == "2026-03-02T08:59:53.000Z"
        assert body["uptime_s"] >= 0
        assert body["version"]

    def test_historian_down(self, client: TestClient, historian: DuckDbHistorian) -> None:
        historian.close()
        answer = client.get("/api/health")
        assert answer.status_code == 503
        assert "historian is closed" in answer.json()["reasons"][0]

    def test_outbox_down(self, client: TestClient, gateway: Gateway) -> None:
        gateway.fail()
        answer = client.get("/api/health")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["The outbox cannot hand on points (internal): disk full"]

    def test_without_a_gateway(self, plant: Plant) -> None:
        with TestClient(create_app(plant, None)) as client:
            assert client.get("/api/health").json()["outbox"] is None
            assert client.get("/api/sources").json() == {"gateway": False, "sources": []}
