"""What leaves the edge: JSON, problem details, and the headers that every response carries."""

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from config.limits import PAGE_MAX
from penpay.domain.errors import BadInput
from penpay.domain.ids import ulid
from penpay.domain.json_text import json_bytes
from penpay.domain.problems import CONTENT_TYPE as PROBLEM_TYPE
from penpay.domain.problems import PROBLEMS, problem
from penpay.http.schemas import AMOUNT_PATTERN, PAGE_SIZE_PATTERN, SIX_DIGITS

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
_JSON = "application/json"
Asked = TypeVar("Asked", bound=BaseModel)


class Stop(Exception):
    """The request ends here, with a problem of the catalogue."""

    def __init__(
        self, code: str, detail: str = "", *, retry_after_s: int = 0, errors: Iterable[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.errors = tuple(errors)


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of ours."""
    return web.Response(
        body=json_bytes(value), status=status, content_type=_JSON, charset="utf-8", headers=dict(headers or {})
    )


def problem_response(stop: Stop, instance: str) -> web.Response:
    """The problem that a `Stop` names. 429 and 503 always say when to come again."""
    known = PROBLEMS[stop.code]
    retry_after_s = stop.retry_after_s or (1 if known.status in {429, 503} else 0)
    body = problem(stop.code, stop.detail, instance, retry_after_s=retry_after_s, errors=stop.errors)
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    if known.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="penpay"'
    return web.Response(body=json_bytes(body), status=known.status, content_type=PROBLEM_TYPE, headers=headers)


_BY_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    417: "expectation_failed",
}


def framework_refusal(error: web.HTTPException, instance: str) -> web.Response:
    """What the framework refused by itself, in our words."""
    response = problem_response(Stop(_BY_STATUS.get(error.status, "malformed_request")), instance)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def invalid_fields(error: ValidationError) -> Stop:
    """A 400 that names every field in question, and never repeats what was sent."""
    return Stop(
        "invalid_request",
        errors=[
            {"field": ".".join(map(str, one["loc"])), "message": _said(dict(one))}
            for one in error.errors(include_url=False, include_input=False)
        ],
    )


NO_FIELD = "is not a field of this request"
_SAID = {
    "extra_forbidden": NO_FIELD,
    "missing": "is required",
    "string_type": "must be a string",
    "string_pattern_mismatch": "does not have the documented form",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "bool_type": "must be true or false",
    "model_type": "must be an object",
}
"""The library's own words name our classes."""


_FORMS = {
    AMOUNT_PATTERN: "must be an amount with two digits behind the point, such as 1300.00",
    SIX_DIGITS: "must be six digits",
    PAGE_SIZE_PATTERN: f"must be 1 to {PAGE_MAX}",
}


def _said(error: dict[str, Any]) -> str:
    about = error.get("ctx", {})
    known = _FORMS.get(about.get("pattern", "")) or _SAID.get(error["type"])
    return known.format_map(about) if known else str(error["msg"]).removeprefix("Value error, ")


def query_of(query: Mapping[str, str], model: type[Asked]) -> Asked:
    """The parameters of a call; a 400 that names what they may not be."""
    times = Counter(name for name, _ in query.items())
    if twice := [{"field": name[:80], "message": "is named twice"} for name, many in times.items() if many > 1]:
        raise Stop("invalid_request", errors=twice)
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise invalid_fields(error) from None


def refuse_fields(names: Iterable[str]) -> None:
    """A 400 for these, if there are any: the call takes none."""
    if said := [{"field": name[:80], "message": NO_FIELD} for name in names]:
        raise Stop("invalid_request", errors=said)


def invalid_field(error: BadInput) -> Stop:
    """A 400 for a value that a parser of the domain refused."""
    return Stop("invalid_request", errors=[{"field": error.field, "message": error.detail}])


async def common_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """The signal of an application, before a response leaves."""
    put_common_headers(request, response)


def put_common_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """On every response, also on those that aiohttp makes itself. Software and version are nobody's business."""
    headers = response.headers
    headers["Server"] = "penpay"
    # What the framework refuses by itself never got an id.
    headers["X-Request-Id"] = request.get(REQUEST_ID, "") or ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10))
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Referrer-Policy", "no-referrer")
