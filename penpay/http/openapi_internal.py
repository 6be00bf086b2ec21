"""The OpenAPI 3.1 document of the internal listener: probes, metrics, operating a node, and what staff decide.

One row per call. Bodies are the models that the handlers parse with; a test asks a running node for the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from penpay import __version__
from penpay.domain.problems import CONTENT_TYPE, PROBLEMS
from penpay.http.schemas import (
    ULID_PATTERN,
    FoundPayment,
    Problem,
    RecoveryAccepted,
    ReviewDecision,
    UnexplainedMovement,
)
from penpay.http.schemas_staff import EraseDecision, ReviewsQuery, StatusDecision, TierDecision, TwoNames

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_TEXT: Json = {"type": "string"}
_FLAG: Json = {"type": "boolean"}
_NUMBER: Json = {"type": "integer"}
_ANY: Json = {"type": "object"}
_LIST: Json = {"type": "array", "items": _ANY}
_STAFF = ("unauthorized", "forbidden", "invalid_request", "malformed_json", "rate_limited", "unavailable")
_LOOK = ("unauthorized", "forbidden", "not_found", "rate_limited", "unavailable")
_OPERATE = ("unauthorized", "forbidden", "rate_limited", "not_found", "unavailable")
_TAGS = {
    "Probes": "For machines; they need no token.",
    "Operating": "One node and its supervision tree.",
    "Reviews": "Questions for two people.",
    "Customers": "What two people decide about a customer.",
    "Reconciliation": "What `penpay reconcile` asks for.",
    "Looking": "What the console shows.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One call. `answer` is the schema of its usual answer; `needs_token` is false for probes."""

    method: str
    path: str
    summary: str
    tag: str
    answer: Json
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[str, ...] = _STAFF
    needs_token: bool = True
    media_type: str = "application/json"


def _with(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _maybe(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


_READY = _with(ready=_FLAG, dependencies={"type": "object", "additionalProperties": _with(ok=_FLAG, detail=_TEXT)})
_MEMBER = _with(path=_TEXT, kind=_TEXT, state=_TEXT, restarts=_NUMBER, children=_LIST)
_COMMANDED = _with(path=_TEXT, command={"enum": ["restart", "stop", "start"]})
_PREVIEW = _ANY
_ITEM = _with(exits=_LIST, closed_at=_maybe(_TEXT), resolution=_maybe(_TEXT))


def _get(path: str, summary: str, tag: str, answer: Json, **more: Any) -> Told:
    return Told(method="GET", path=path, summary=summary, tag=tag, answer=answer, **{"problems": _LOOK, **more})


def _post(path: str, summary: str, tag: str, answer: Json, **more: Any) -> Told:
    return Told(method="POST", path=path, summary=summary, tag=tag, answer=answer, **more)


_PROBE: Json = {"needs_token": False, "problems": ()}
CALLS: Sequence[Told] = (
    _get("/healthz", "Whether the process lives", "Probes", _with(alive=_FLAG), **_PROBE),
    _get("/readyz", "Whether new business is taken (503 if not), and why not", "Probes", _READY, **_PROBE),
    _get("/metrics", "Prometheus text, OpenMetrics on request", "Probes", _TEXT, **_PROBE, media_type="text/plain"),
    _get("/openapi.json", "This document", "Probes", _with(openapi=_TEXT, paths=_ANY), problems=_OPERATE[:3]),
    _get("/ops/tree", "The supervision tree, nested", "Operating", _MEMBER, problems=_OPERATE[:3]),
    _post(
        "/ops/tree/{path}/{command}",
        "Restart, stop or start what `path` names, slashes and all; answers when its children are ready again."
        " The root and what carries this answer get 202 first",
        "Operating",
        _COMMANDED,
        problems=_OPERATE,
    ),
    _post(
        "/ops/drain",
        "Leave: no new business, park what runs, exit",
        "Operating",
        _with(draining=_FLAG),
        status=202,
        problems=_OPERATE[:3],
    ),
    _post(
        "/admin/v1/reviews/{id}/resolve",
        "Carry out a decision",
        "Reviews",
        _with(item=_TEXT, transaction=_maybe(_ANY), note=_maybe(_TEXT)),
        body=ReviewDecision,
        problems=(*_STAFF, "not_found", "review_not_resolvable", "approval_reused", "outcome_unknown", "rail_down"),
    ),
    _post(
        "/admin/v1/reviews/{id}/preview",
        "What a decision would do; nothing is done",
        "Reviews",
        _PREVIEW,
        body=ReviewDecision,
        problems=(*_STAFF, "not_found"),
    ),
    _post(
        "/admin/v1/reviews/{id}/names",
        "Both names of a question about names; who looks is written down first",
        "Reviews",
        _with(item=_TEXT, registered=_TEXT),
        body=TwoNames,
        problems=(*_STAFF, "not_found"),
    ),
    _get(
        "/admin/v1/reviews",
        "Open questions, the most urgent first",
        "Reviews",
        _with(items=_LIST, next_cursor=_maybe(_TEXT)),
        query=ReviewsQuery,
        problems=("unauthorized", "forbidden", "invalid_request", "rate_limited", "unavailable"),
    ),
    _get("/admin/v1/reviews/{id}", "One question, with what each exit would do", "Reviews", _ITEM),
    _post(
        "/admin/v1/users/{id}/freeze",
        "No new money call from now on; open streams end",
        "Customers",
        _with(user=_TEXT, status=_TEXT),
        body=StatusDecision,
        problems=(*_STAFF, "not_found", "approval_reused", "outcome_unknown"),
    ),
    _post(
        "/admin/v1/users/{id}/thaw",
        "End a freeze",
        "Customers",
        _with(user=_TEXT, status=_TEXT),
        body=StatusDecision,
        problems=(*_STAFF, "not_found", "approval_reused", "outcome_unknown"),
    ),
    _post(
        "/admin/v1/users/{id}/tier",
        "How well a customer is known",
        "Customers",
        _with(user=_TEXT, kyc_tier=_NUMBER),
        body=TierDecision,
        problems=(*_STAFF, "not_found", "approval_reused", "review_not_resolvable"),
    ),
    _post(
        "/admin/v1/users/{id}/erase",
        "Forget a customer for good; refused while money is open",
        "Customers",
        _with(user=_TEXT, erased=_FLAG),
        body=EraseDecision,
        problems=(*_STAFF, "not_found", "approval_reused", "money_open", "outcome_unknown"),
    ),
    _get(
        "/admin/v1/floats",
        "The providers' balances, and shards that may not send",
        "Reconciliation",
        _with(floats=_ANY, closed_shards=_ANY),
    ),
    _post(
        "/admin/v1/movements",
        "Book money that the provider lists and nothing of ours explains",
        "Reconciliation",
        _with(ref=_TEXT, result={"enum": ["booked", "known"]}),
        body=UnexplainedMovement,
        problems=(*_STAFF, "not_found", "review_not_resolvable", "outcome_unknown", "rail_down"),
    ),
    _post(
        "/admin/v1/payments",
        "Look for the payment of a push in Safaricom's list",
        "Reconciliation",
        _with(receipt=_TEXT, transaction=_TEXT),
        status=202,
        body=FoundPayment,
        problems=(*_STAFF, "not_found"),
    ),
    _post(
        "/admin/v1/recovery/open",
        "Everything was compared and agrees: money calls may leave again",
        "Reconciliation",
        _with(opened={"type": "array", "items": _NUMBER}),
        body=RecoveryAccepted,
        problems=(*_STAFF, "outcome_unknown"),
    ),
    _post(
        "/admin/v1/anchors",
        "Anchors of what was committed until now, before a verification",
        "Reconciliation",
        _with(anchors=_TEXT),
        problems=(*_OPERATE[:3], "outcome_unknown"),
    ),
    _get(
        "/admin/v1/overview",
        "Everything at a glance",
        "Looking",
        _with(at=_TEXT, node=_TEXT, ready=_FLAG, dependencies=_ANY, invariants=_maybe(_ANY)),
    ),
    _get(
        "/admin/v1/transactions/{id}", "One transaction's story, as `penpay explain --json` tells it", "Looking", _ANY
    ),
    _get("/admin/v1/references/{ref}", "Whose a receipt or a provider's id is", "Looking", _with(items=_LIST)),
)


def internal_document() -> Json:
    """The whole document, ready to be encoded."""
    models = list(dict.fromkeys(model for model in (Problem, *(call.body for call in CALLS)) if model is not None))
    names, definitions = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=_REF
    )
    schemas = {model: names[model, "validation"] for model in models}
    paths: dict[str, Json] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PenPay, internal listener",
            "version": __version__,
            "description": "Never exposed. Decisions about customers and money carry two names and a reference.",
        },
        "servers": [{"url": "http://127.0.0.1:8081"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"operators": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: Told, schemas: Mapping[type[BaseModel], Any]) -> Json:
    operation: Json = {
        "summary": call.summary,
        "operationId": f"{call.method.lower()}{call.path.translate(_PLAIN)}",
        "tags": [call.tag],
        "parameters": _parameters(call),
        "security": [{"operators": []}] if call.needs_token else [],
        "responses": {
            str(call.status): {"description": call.summary, "content": {call.media_type: {"schema": call.answer}}}
        }
        | _refusals(call, schemas[Problem]),
    }
    if call.body is not None:
        operation["description"] = call.body.__doc__
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[call.body]}}}
    return operation


_PLAIN = str.maketrans({"/": "_", "{": None, "}": None, ".": "_"})


def _parameters(call: Told) -> list[Json]:
    named = [part[1:-1] for part in call.path.split("/") if part.startswith("{")]
    known: Mapping[str, Json] = {
        "id": {"type": "string", "pattern": ULID_PATTERN},
        "command": {"enum": ["restart", "stop", "start"]},
    }
    found: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": known.get(name, _TEXT)} for name in named
    ]
    if call.query is not None:
        found += [{"name": name, "in": "query", "required": False, "schema": _TEXT} for name in call.query.model_fields]
    return found


def _refusals(call: Told, schema: Json) -> Json:
    by_status: dict[str, list[str]] = {}
    for code in (*call.problems, "internal_error"):
        by_status.setdefault(str(PROBLEMS[code].status), []).append(code)
    return {
        status: {
            "description": "\n".join(f"- `{code}`: {PROBLEMS[code].title}" for code in codes),
            "content": {CONTENT_TYPE: {"schema": schema}},
        }
        for status, codes in sorted(by_status.items())
    }
