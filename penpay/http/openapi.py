"""The OpenAPI 3.1 document, from the route table and the body models: what is documented is what is enforced."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from penpay import __version__
from penpay.domain.problems import CONTENT_TYPE, PROBLEMS, problem
from penpay.http.dispatch import Route
from penpay.http.examples import EXAMPLES, RESPONSE_HEADERS, TEXTS
from penpay.http.guide import guide
from penpay.http.schemas import ULID_PATTERN, Problem
from penpay.http.schemas_identity import DEVICE_ID_PATTERN

Json = dict[str, Any]
JSON = "application/json"
_REF = "#/components/schemas/{model}"
_PATH_NAMES = re.compile(r"{(\w+)}")
_EVERYWHERE = (
    *("malformed_request", "headers_too_large", "misdirected_request"),
    *("internal_error", "overloaded", "not_ready", "unavailable"),
)
"""What any call may answer, whatever it does."""
_WITH_BODY = ("request_timeout", "payload_too_large", "unsupported_media_type", "malformed_json")
_TAGS = {
    "Sign-in": "From registration to an access token.",
    "Customer": "The signed-in customer.",
    "Deriv": "Binding a Deriv account.",
    "Money": "Rates, deposits, withdrawals.",
    "Transactions": "What became of the money, and proofs to keep.",
    "Providers": "Not for customers: where M-Pesa posts what happened.",
}


def document(routes: Sequence[Route], *, prefix: str, server_url: str, simulator_url: str = "") -> Json:
    """The whole document, ready to be encoded. `simulator_url`: where the rails of a development stack are steered."""
    models = _models(routes)
    names, definitions = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=_REF
    )
    schemas = {model: names[model, "validation"] for model in models}
    definitions["$defs"]["Problem"]["properties"]["code"]["enum"] = sorted(PROBLEMS)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(prefix + route.path, {})[route.method.lower()] = _operation(route, schemas)
    paths["/cb/{kind}/{token}"] = {"post": _callback(schemas)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "PenPay", "version": __version__, "description": guide(simulator_url)},
        "servers": [{"url": server_url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "headers": RESPONSE_HEADERS,
            "examples": {code: {"value": _example_of(code)} for code in sorted(PROBLEMS)},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "refresh_cookie": {"type": "apiKey", "in": "cookie", "name": "penpay_refresh"},
            },
        },
    }


def _models(routes: Iterable[Route]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {Problem: None}
    for route in routes:
        for model in (route.body, *route.answers.values()):
            if model is not None:
                found[model] = None
    return list(found)


def _operation(route: Route, schemas: Mapping[type[BaseModel], Any]) -> Json:
    operation: Json = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _answers(route, schemas)
        | _problems(_codes(route), schemas, page="text/html" in route.media_types),
        "security": [{"bearer": []}] if route.signed_in else _without_token(route),
    }
    if route.body is not None:
        operation["description"] = route.body.__doc__
        operation["requestBody"] = {"required": True, "content": {JSON: _shown(route.body, schemas)}}
    return operation


def _without_token(route: Route) -> list[Json]:
    by_cookie = route.body is not None and "refresh_token" in route.body.model_fields
    return [{}, {"refresh_cookie": []}] if by_cookie else []


def _shown(model: type[BaseModel], schemas: Mapping[type[BaseModel], Any]) -> Json:
    example = EXAMPLES.get(model)
    return {"schema": schemas[model]} | ({"example": example} if example is not None else {})


def _operation_id(route: Route) -> str:
    words = _PATH_NAMES.sub(r"by_\1", route.path).strip("/").replace("/", "_")
    return f"{route.method.lower()}_{words}"


def _parameters(route: Route) -> list[Json]:
    parameters: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": DEVICE_ID_PATTERN if "devices" in route.path else ULID_PATTERN},
        }
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
                "example": "a-new-key-for-each-request",
            }
        )
    parameters += [
        {"name": name, "in": "header", "required": False, "description": said, "schema": {"type": "string"}}
        for name, said in route.headers.items()
    ]
    query = route.query or route.shown_query
    if query is not None:
        schema = query.model_json_schema(by_alias=True)
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": _without_null(one)}
            for name, one in schema["properties"].items()
        ]
    return parameters


def _without_null(schema: Json) -> Json:
    """A parameter is there or not; it is never null."""
    kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default", "title"}}
    return rest | kinds[0] if kinds else rest


def _answers(route: Route, schemas: Mapping[type[BaseModel], Any]) -> Json:
    answers: Json = {}
    for status, model in route.answers.items():
        headers = ["X-Request-Id"]
        if route.idempotent:
            headers += ["Location", "Idempotency-Replayed"]
        if route.path == "/transactions/{id}":
            headers.append("ETag")
        answer: Json = {"description": route.summary, "headers": _headers(*headers)}
        content = {JSON: _shown(model, schemas)} if model is not None else {}
        if model is not None or route.media_types != (JSON,):
            content |= {kind: _text(kind) for kind in route.media_types if kind != JSON}
        if content and status != 304:
            answer["content"] = content
        answers[str(status)] = answer
    return answers


def _text(kind: str) -> Json:
    return {"schema": {"type": "string"}} | ({"example": TEXTS[kind]} if kind in TEXTS else {})


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _codes(route: Route) -> Iterable[str]:
    return (*route.problems, *(_WITH_BODY if route.method in {"POST", "PUT"} else ()), *_EVERYWHERE)


def _problems(codes: Iterable[str], schemas: Mapping[type[BaseModel], Any], *, page: bool = False) -> Json:
    """By status. `page`: a browser is told the same in HTML."""
    by_status = sorted(dict.fromkeys(codes), key=lambda code: PROBLEMS[code].status)
    return {
        str(status): _refusals(list(group), schemas, page=page)
        for status, group in groupby(by_status, key=lambda code: PROBLEMS[code].status)
    }


def _refusals(codes: Sequence[str], schemas: Mapping[type[BaseModel], Any], *, page: bool) -> Json:
    status = PROBLEMS[codes[0]].status
    waits = status in {429, 503}
    return {
        "description": "\n".join(f"- `{code}`: {PROBLEMS[code].title}" for code in codes),
        "headers": _headers("X-Request-Id", *(("Retry-After",) if waits else ())),
        "content": {
            CONTENT_TYPE: {
                "schema": schemas[Problem],
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            },
            **({"text/html": _text("text/html")} if page else {}),
        },
    }


def _example_of(code: str) -> Json:
    errors = [
        {"field": "amount.amount", "message": "must be an amount with two digits behind the point, such as 1300.00"}
    ]
    wait_s = 2 if PROBLEMS[code].status in {429, 503} else 0
    return problem(code, retry_after_s=wait_s, errors=errors if code == "invalid_request" else ())


def _callback(schemas: Mapping[type[BaseModel], Any]) -> Json:
    """One address per outbound attempt. What stands in the body is stored first and judged later."""
    codes = ("not_found", "payload_too_large", "request_timeout", "unsupported_media_type", "rate_limited")
    return {
        "summary": "Where M-Pesa posts what happened to one attempt",
        "operationId": "post_callback",
        "tags": ["Providers"],
        "description": "The address is unguessable and made for one attempt. 200 means that the body is stored.",
        "parameters": [
            {"name": "kind", "in": "path", "required": True, "schema": {"type": "string"}, "example": "d"},
            {
                "name": "token",
                "in": "path",
                "required": True,
                "example": "00" * 35,
                "schema": {"type": "string", "pattern": "^[0-9a-f]{70}$"},
            },
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}}}},
        "responses": {
            "200": {
                "description": "Stored",
                "headers": _headers("X-Request-Id"),
                "content": {
                    JSON: {"schema": {"type": "object"}, "example": {"ResultCode": 0, "ResultDesc": "Accepted"}}
                },
            }
        }
        | _problems((*codes, *_EVERYWHERE), schemas),
        "security": [],
    }
