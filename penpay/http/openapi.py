"""The OpenAPI 3.1 document, from the route table and the body models: what is documented is what is enforced."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from penpay import __version__
from penpay.domain.problems import CONTENT_TYPE, PROBLEMS
from penpay.http.dispatch import Route
from penpay.http.schemas import Problem

_REF = "#/components/schemas/{model}"
_PATH_NAMES = re.compile(r"{(\w+)}")


def document(routes: Sequence[Route], *, prefix: str, server_url: str) -> dict[str, Any]:
    """The whole document, ready to be encoded."""
    models = _models(routes)
    names, definitions = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=_REF
    )
    schemas = {model: names[model, "validation"] for model in models}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(prefix + route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PenPay",
            "version": __version__,
            "description": "Deposits and withdrawals between M-Pesa and Deriv. Money is a decimal string with two "
            "digits; times are RFC 3339 in UTC; errors are RFC 9457 problem details.",
        },
        "servers": [{"url": server_url}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _models(routes: Iterable[Route]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {Problem: None}
    for route in routes:
        for model in (route.body, *route.answers.values()):
            if model is not None:
                found[model] = None
    return list(found)


def _operation(route: Route, schemas: dict[type[BaseModel], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _answers(route, schemas) | _problems(route, schemas),
    }
    if route.signed_in:
        operation["security"] = [{"bearer": []}]
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[route.body]}},
        }
    return operation


def _operation_id(route: Route) -> str:
    words = _PATH_NAMES.sub(r"by_\1", route.path).strip("/").replace("/", "_")
    return f"{route.method.lower()}_{words}"


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_NAMES.findall(route.path)
    ]
    if route.idempotent:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Repeating a request with its key gives the first answer again.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    if route.query is not None:
        schema = route.query.model_json_schema(by_alias=True)
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": one}
            for name, one in schema["properties"].items()
        ]
    return parameters


def _answers(route: Route, schemas: dict[type[BaseModel], Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, model in route.answers.items():
        answers[str(status)] = {"description": route.summary}
        if model is not None:
            answers[str(status)]["content"] = {route.media_type: {"schema": schemas[model]}}
        elif route.media_type != "application/json":
            answers[str(status)]["content"] = {route.media_type: {"schema": {"type": "string"}}}
    return answers


def _problems(route: Route, schemas: dict[type[BaseModel], Any]) -> dict[str, Any]:
    by_status = sorted(dict.fromkeys((*route.problems, "internal_error")), key=lambda code: PROBLEMS[code].status)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
            "content": {CONTENT_TYPE: {"schema": schemas[Problem]}},
        }
        for status, codes in groupby(by_status, key=lambda code: PROBLEMS[code].status)
    }
