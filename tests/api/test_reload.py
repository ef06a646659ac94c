"""POST /api/reload as a client meets it; the reload itself is tested with the running system."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from api.app import create_app
from plant.errors import ConfigError, Mistake
from plant.plant import Plant
from plant.reload import Difference, ReloadResult


def client_of(plant: Plant, answer: ReloadResult | Exception) -> TestClient:
    async def reload() -> ReloadResult:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return TestClient(create_app(plant, None, reload), raise_server_exceptions=False)


def test_what_was_applied_is_told(plant: Plant) -> None:
    result = ReloadResult(Difference(kept=("plc",)), Difference(changed=("cnc",)), Difference(added=("cnc.x",)))
    answer = client_of(plant, result).post("/api/reload")
    assert answer.status_code == 200
    empty: dict[str, list[str]] = {"added": [], "changed": [], "removed": [], "kept": []}
    assert answer.json() == {
        "sources": {**empty, "kept": ["plc"]},
        "machines": {**empty, "changed": ["cnc"]},
        "tags": {**empty, "added": ["cnc.x"]},
    }


def test_every_mistake_is_told(plant: Plant) -> None:
    mistakes = [
        Mistake(Path("plant.yaml"), 3, "sources.plc.prot", "“prot” is not known here.", "Did you mean port?"),
        Mistake(Path("tags/cnc.csv"), None, "file", "the list cannot be read.", "Save it again from Excel."),
    ]
    answer = client_of(plant, ConfigError(Path("plant.yaml"), mistakes)).post("/api/reload")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "urn:factory-testbed:problem:invalid-plant"
    assert body["next_step"] == "Correct it, then run: testbed check plant.yaml"
    assert [(m["file"], m.get("line"), m["field"]) for m in body["mistakes"]] == [
        ("plant.yaml", 3, "sources.plc.prot"),
        ("tags/cnc.csv", None, "file"),
    ]


def test_only_post_and_only_where_there_is_a_file(plant: Plant, client: TestClient) -> None:
    assert client.post("/api/reload").status_code == 404
    answer = client.get("/api/reload")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert "POST" in answer.json()["next_step"]
