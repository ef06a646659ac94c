"""The REST API over one plant. It asks `Plant` and puts the answers into JSON; it calculates nothing."""

from __future__ import annotations

import time
from itertools import takewhile
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api import problems
from api.routes import health, machines, metrics, reload, sources, tags
from plant.connections import Connections
from plant.plant import Plant
from plant.reload import Reload

_DESCRIPTION = """
Machine states, OEE, parts, values and connections of one plant. It only reads; POST /api/reload reads plant.yaml again.

- Times: ISO 8601 with an offset in (`2026-05-03T14:05:00+02:00`; in a query the + is written `%2B`, and a bare + is
  understood); UTC with milliseconds out. Windows are half-open: `from` is included, `to` is not.
- `null` means “cannot be told”, never zero. Time without data is `unknown`: neither running nor down.
- Errors are problem details (RFC 9457, `application/problem+json`) with the next step.
"""
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(plant: Plant, connections: Connections | None, reloading: Reload | None = None) -> FastAPI:
    """The API's app; pages are mounted on it. `connections` is None where no gateway runs in this process,
    `reloading` where there is no plant.yaml to read again."""
    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        title=f"{plant.config.plant.name} – Factory test bed API",
        version=health.VERSION,
        description=_DESCRIPTION,
        # Swagger UI would show a badge fetched from a foreign validator.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.plant = plant
    app.state.connections = connections
    app.state.reload = reloading
    app.state.started_s = time.monotonic()
    app.state.metrics = metrics.registry_of(plant, connections)
    for module in (health, machines, tags, sources, reload, metrics):
        app.include_router(module.router)
    app.include_router(_unknown)
    problems.install(app)
    _describe_problems(app)
    return app


_unknown = APIRouter()


# Pages are mounted at "/" and would answer for these paths otherwise.
@_unknown.api_route("/api", methods=_METHODS, include_in_schema=False)
@_unknown.api_route("/api/{path:path}", methods=_METHODS, include_in_schema=False)
def unknown_path(request: Request) -> None:
    """404 for what is not there, 405 for a path that has other methods."""
    others = list(takewhile(lambda route: route.matches(request.scope)[0] is not Match.FULL, request.app.routes))
    asked = ({**request.scope, "method": method} for method in _METHODS)
    allowed = [s["method"] for s in asked if any(route.matches(s)[0] is Match.FULL for route in others)]
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
    raise HTTPException(404)


def _describe_problems(app: FastAPI) -> None:
    """OpenAPI with the schema of problems in place of FastAPI's own validation error."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            models = schema["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                models.pop(name, None)
            problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            models.update(problem.pop("$defs"))
            models["Problem"] = problem
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
