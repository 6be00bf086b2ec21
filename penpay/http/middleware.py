"""Around every request of the public listener: its id, admission, the clock, and the one place where errors end."""

import re

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from config.limits import HEADER_BYTES_MAX
from penpay.domain.errors import BadInput, Unavailable
from penpay.http.edge import Edge
from penpay.http.peers import is_ours
from penpay.http.replies import REQUEST_ID, Stop, framework_refusal, invalid_field, problem_response

log = structlog.get_logger()
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
ALWAYS_OPEN = ("/cb/", "/docs", "/openapi.json", "/problems/")
"""Callbacks count in a lane of their own; documents cost nothing and help while the rest is closed."""


def around(edge: Edge) -> Middleware:
    """The one middleware of the public application."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request[REQUEST_ID] = given if _GIVEN_ID.fullmatch(given) else edge.ids.ulid()
        began_s = edge.clock.monotonic_s()
        response = await _answered(edge, request, handler)
        edge.metrics.request(
            route=_route_of(request),
            method=request.method if request.method in _METHODS else "other",
            status=response.status,
            seconds=edge.clock.monotonic_s() - began_s,
        )
        return response

    return middleware


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def _route_of(request: web.Request) -> str:
    """The route's pattern: never an id, so that the label stays small."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


async def _answered(edge: Edge, request: web.Request, handler: Handler) -> web.StreamResponse:
    admission = edge.admission
    if sum(len(name) + len(value) for name, value in request.raw_headers) > HEADER_BYTES_MAX:
        return problem_response(Stop("headers_too_large"), request.path)
    if edge.settings.hosts and not is_ours(request, edge.settings.hosts):
        return problem_response(Stop("misdirected_request"), request.path)
    if request.path.startswith(ALWAYS_OPEN):
        return await _guarded(edge, request, handler)
    if not admission.open:
        return problem_response(Stop("not_ready", retry_after_s=2), request.path)
    if admission.requests >= admission.requests_max:
        return problem_response(Stop("overloaded"), request.path)
    admission.requests += 1
    try:
        return await _guarded(edge, request, handler)
    finally:
        admission.requests -= 1


async def _guarded(edge: Edge, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Stop as stop:
        return problem_response(stop, request.path)
    except BadInput as error:
        return problem_response(invalid_field(error), request.path)
    except Unavailable as error:
        return problem_response(_unavailable(edge, error), request.path)
    except edge.lost_answers:
        return problem_response(Stop("outcome_unknown"), request.path)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return framework_refusal(error, request.path)
    except ConnectionResetError:
        # The client left while we were writing: there is nobody to answer.
        raise
    except Exception:
        # The boundary: the client gets nothing of what broke, the log gets all of it, once.
        log.exception("request failed", request_id=request[REQUEST_ID], route=_route_of(request))
        return problem_response(Stop("internal_error"), request.path)


def _unavailable(edge: Edge, error: Unavailable) -> Stop:
    codes = (code for kind, code in edge.unavailable_codes.items() if isinstance(error, kind))
    return Stop(next(codes, "unavailable"), retry_after_s=max(1, round(error.retry_after_s)))
