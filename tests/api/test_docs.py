"""/docs works offline, and OpenAPI is whole."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

ROUTES = {
    "/api/health", "/api/machines", "/api/machines/{machine_id}/states", "/api/machines/{machine_id}/oee",
    "/api/machines/{machine_id}/parts", "/api/tags", "/api/tags/{tag_id}/points",
    "/api/tags/{tag_id}/trend", "/api/sources", "/api/sources/{name}/rejected", "/api/outputs", "/api/reload",
    "/metrics",
}  # fmt: skip


@pytest.fixture
def schema(client: TestClient) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def test_the_page_names_no_foreign_address_and_all_it_names_is_served(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"""(?:https?:)?//[\w.-]+\.\w""", page.text.replace("window.location.origin", ""))
    assert '"validatorUrl": null' in page.text
    named = re.findall(r"""(?:href|src)="([^"]+)\"""", page.text)
    assert {name.rpartition(".")[2] for name in named} >= {"js", "css"}
    for name in named:
        assert name.startswith("/docs/assets/")
        assert client.get(name).status_code == 200
    css = client.get("/docs/assets/swagger-ui.css").text
    assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", css)
    assert "@import" not in css


def test_redoc_is_off(client: TestClient) -> None:
    assert client.get("/redoc").status_code == 404


def test_every_route_is_described(schema: dict[str, Any]) -> None:
    assert set(schema["paths"]) == ROUTES
    for name, path in schema["paths"].items():
        (method,) = path
        assert method == ("post" if name == "/api/reload" else "get"), "everything else only reads"
        operation = path[method]
        assert operation["summary"]
        assert operation["description"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter.get("description"), parameter


def test_problems_are_documented_and_nothing_dangles(schema: dict[str, Any]) -> None:
    for path, item in schema["paths"].items():
        (responses,) = (operation["responses"] for operation in item.values())
        assert "500" in responses
        problems = {code: answer for code, answer in responses.items() if code in ("404", "422", "500")}
        if "{" in path:
            assert set(problems) == {"404", "422", "500"}
        for answer in problems.values():
            assert list(answer["content"]) == ["application/problem+json"], path
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for ref in set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(schema))):
        assert ref in schema["components"]["schemas"], ref


def test_every_field_that_is_a_number_or_may_be_null_says_what_it_is(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.")
    trend = schema["components"]["schemas"]["OeeTimes"]["properties"]
    assert "PBT" in trend["planned"]["description"]
    problem = schema["components"]["schemas"]["Problem"]
    assert {"type", "title", "status", "detail", "instance"} <= set(problem["required"])
