"""Every error as RFC 9457 problem details: what happened, where, and the next step. No internals.

| raised                                     | status | type (after `urn:factory-testbed:problem:`) |
| ------------------------------------------ | ------ | ------------------------------------------- |
| FastAPI's own validation, UserInputError   | 422    | invalid-request                             |
| ConfigError                                | 422    | invalid-plant                               |
| NotFoundError                              | 404    | not-found                                   |
| EquipmentError                             | 502    | equipment                                   |
| ResourceError, HistorianError              | 503    | unavailable                                 |
| unknown path, wrong method …               | as is  | about:blank                                 |
| anything else (logged with its traceback)  | 500    | internal                                    |
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from plant.errors import ConfigError, EquipmentError, NotFoundError, ResourceError, TestbedError, UserInputError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_URN = "urn:factory-testbed:problem:"
_OURS = ("/api", "/metrics")
"""Paths answered here; every other path belongs to the pages, and so do its errors."""


class FieldProblem(BaseModel):
    """One parameter that cannot be used."""

    field: str = Field(description="Name of the parameter", examples=["from"])
    detail: str = Field(description="What is wrong with it", examples=["The time 2026-05-03T14:05:00 has no offset."])


class MistakeProblem(BaseModel):
    """One mistake in plant.yaml or in a tag list."""

    file: str = Field(description="The file", examples=["tags/cnc-1.csv"])
    line: int | None = Field(description="Its line, or row of a sheet; null: the file as a whole", examples=[7])
    field: str = Field(description="The field, or the cell of a tag list", examples=["row 7, column D (address)"])
    wrong: str = Field(description="What is wrong")
    right: str = Field(description="What would be right")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": _URN + "not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no machine “cnc-9”.",
                    "instance": "/api/machines/cnc-9/oee",
                    "next_step": "Known machines: cnc-1.",
                }
            ]
        }
    )

    type: str = Field(description="What kind of problem: a URN, or about:blank where the status says it all")
    title: str = Field(description="The status in words")
    status: int = Field(description="The HTTP status")
    detail: str = Field(description="What happened, in one sentence")
    instance: str = Field(description="The path that was asked for")
    next_step: str = Field("", description="What to do about it")
    errors: list[FieldProblem] | None = Field(None, description="Validation only: every parameter that is wrong")
    mistakes: list[MistakeProblem] | None = Field(None, description="Reload only: every mistake in the files")


class ParameterError(UserInputError):
    """A query parameter that FastAPI let through but that cannot be used."""

    def __init__(self, field: str, message: str, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.field = field


Responses = dict[int | str, dict[str, Any]]


def documented(*statuses: int) -> Responses:
    """The `responses` of a route for OpenAPI: 500 and 503 always, and those given."""
    meaning = {
        404: "There is no such machine, tag or source.",
        422: "A parameter (or plant.yaml) cannot be used; `errors` (or `mistakes`) names each fault.",
        500: "A fault of ours; the log has the details.",
        503: "The historian cannot answer now.",
    }
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": meaning[status], "content": {MEDIA_TYPE: schema}}
        for status in sorted({*statuses, 500, 503})
    }


def install(app: FastAPI) -> None:
    """Turn every error below /api and /metrics into problem details."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(TestbedError, _on_testbed_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


def is_ours(request: Request) -> bool:
    path = request.url.path
    return any(path == prefix or path.startswith(prefix + "/") for prefix in _OURS)


def _answer(
    request: Request,
    status: int,
    kind: str | None,
    detail: str,
    next_step: str = "",
    errors: Sequence[FieldProblem] | None = None,
    mistakes: Sequence[MistakeProblem] | None = None,
) -> JSONResponse:
    problem = Problem(
        type="about:blank" if kind is None else _URN + kind,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        next_step=next_step,
        errors=None if errors is None else list(errors),
        mistakes=None if mistakes is None else list(mistakes),
    )
    headers = {"Retry-After": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [
        FieldProblem(field=".".join(map(str, item["loc"][1:])) or str(item["loc"][0]), detail=item["msg"])
        for item in error.errors()
    ]
    detail = "; ".join(f"{field.field}: {field.detail}" for field in fields) + "."
    return _answer(request, 422, "invalid-request", detail, "Correct the parameters; /docs describes them.", fields)


async def _on_testbed_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TestbedError)
    detail, next_step = str(error), error.next_step
    match error:
        case NotFoundError():
            return _answer(request, 404, "not-found", detail, next_step)
        case ParameterError():
            fields = [FieldProblem(field=error.field, detail=detail)]
            return _answer(request, 422, "invalid-request", detail, next_step, fields)
        case ConfigError():
            mistakes = [
                MistakeProblem(file=str(m.file), line=m.line, field=m.field, wrong=m.wrong, right=m.right)
                for m in error.mistakes
            ]
            return _answer(request, 422, "invalid-plant", detail, next_step, mistakes=mistakes)
        case UserInputError():
            return _answer(request, 422, "invalid-request", detail, next_step)
        case EquipmentError():
            return _answer(request, 502, "equipment", detail, next_step)
        case ResourceError():
            log.warning("%s %s: %s", request.method, request.url.path, detail)
            return _answer(request, 503, "unavailable", detail, next_step or "Try again in a few seconds.")
        case _:
            return await _on_bug(request, error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if not is_ours(request):
        return await http_exception_handler(request, error)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail, next_step = f"There is nothing at {request.url.path}.", "GET /openapi.json or /docs lists every path."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "GET")
        detail, next_step = f"{request.method} is not possible here.", f"At this path, use {allowed}."
    else:
        detail, next_step = str(error.detail), ""
    answer = _answer(request, error.status_code, None, detail, next_step)
    answer.headers.update(error.headers or {})
    return answer


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    if not is_ours(request):
        return PlainTextResponse("Internal Server Error", 500)
    return _answer(
        request, 500, "internal", "Something went wrong in the system.", "The system's log has the details; report it."
    )
