"""The internal listener: health, readiness, metrics and operating the supervision tree. Never exposed.

Source: contract.md part 6. It comes up first and goes down last, so everything else may be missing while it answers.
"""

import asyncio
import hmac
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from penpay.domain.errors import Unavailable
from penpay.http import console_page
from penpay.http.console import ConsoleDesk
from penpay.http.customers import CustomerDesk
from penpay.http.openapi_internal import internal_document
from penpay.http.peers import is_for_loopback, is_same_origin
from penpay.http.readiness import Readiness, told
from penpay.http.reconciling import ReconcileDesk
from penpay.http.replies import (
    REQUEST_ID,
    Stop,
    common_headers,
    framework_refusal,
    json_response,
    problem_response,
)
from penpay.http.reviews import ReviewDesk
from penpay.ports import Ids

log = structlog.get_logger()
ROOT = "penpay"
OUR_OWN_ANSWER = (ROOT, "penpay/ops", "penpay/ops/http")
"""Restarting these would cut the connection that asks for it: 202 first."""
LOOKS_PER_DECISION = 10
"""Pages that refresh themselves look more often than anybody decides, and must not keep anybody from deciding."""
WRONG_TOKENS_PER_MINUTE = 30
"""From anywhere; further wrong ones are told to wait, the right one never is."""
NOT_HERE = "The shards do not run on this node: ask the one whose /readyz answers 200."
_LATER = {"Retry-After": "2"}
_OPEN = ("/healthz", "/readyz", "/metrics", *console_page.PAGES)
"""Probes and scrapers carry no token, nor does a browser that opens a page; the listener itself is not exposed."""


class Operations(Protocol):
    """The supervision tree, by path. Unknown paths raise one of `InternalParts.unknown_path`."""

    def describe(self) -> Mapping[str, Any]: ...
    async def restart(self, path: str) -> None: ...
    async def stop_child(self, path: str) -> None: ...
    async def start_child(self, path: str) -> None: ...


class InternalMetrics(Protocol):
    """The metrics as text, and what this listener adds to them."""

    def authenticated(self, *, kind: str, accepted: bool) -> None: ...
    def exposition(self, accept: str) -> tuple[bytes, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalParts:
    """What the internal listener works with. An empty `ops_token` means that it is bound to loopback only.

    `before_scrape` brings gauges up to date; `drain` begins to leave and returns at once. Without their desks staff
    decisions, reconciliation and the console are not served.
    """

    readiness: Readiness
    operations: Operations
    metrics: InternalMetrics
    ids: Ids
    ops_token: str
    drain: Callable[[], None]
    before_scrape: Callable[[], None]
    unknown_path: tuple[type[Exception], ...] = (KeyError,)
    desk: ReviewDesk | None = None
    reconciliation: ReconcileDesk | None = None
    customers: CustomerDesk | None = None
    admin_per_minute: int = 120
    """Decisions of staff that this node takes in a minute; nobody decides faster by hand."""
    console: ConsoleDesk | None = None


def internal_app(parts: InternalParts) -> web.Application:
    """The application behind `PENPAY_HTTP__INTERNAL_BIND`."""
    app = web.Application(middlewares=[_around(parts)], client_max_size=4096)
    app.on_response_prepare.append(common_headers)
    routes = _Routes(parts)
    app.router.add_get("/healthz", routes.health)
    app.router.add_get("/readyz", routes.ready)
    app.router.add_get("/metrics", routes.scraped)
    app.router.add_get("/openapi.json", routes.document)
    app.router.add_get("/ops/tree", routes.tree)
    app.router.add_route("POST", r"/ops/tree/{path:.+}/{command:restart|stop|start}", routes.command)
    app.router.add_route("POST", "/ops/drain", routes.drain)
    if parts.desk is not None:
        app.router.add_route("POST", "/admin/v1/reviews/{id}/resolve", parts.desk.resolve)
        app.router.add_route("POST", "/admin/v1/reviews/{id}/names", parts.desk.names_of)
    if parts.reconciliation is not None:
        app.router.add_route("GET", "/admin/v1/floats", parts.reconciliation.told)
        app.router.add_route("POST", "/admin/v1/movements", parts.reconciliation.book)
        app.router.add_route("POST", "/admin/v1/payments", parts.reconciliation.hand_over)
        app.router.add_route("POST", "/admin/v1/recovery/open", parts.reconciliation.open_gate)
        app.router.add_route("POST", "/admin/v1/anchors", parts.reconciliation.anchor)
    if parts.customers is not None:
        for path, handler in parts.customers.routes().items():
            app.router.add_route("POST", f"/admin/v1/users/{{id}}/{path}", handler)
    if parts.console is not None:
        console_page.add(app)
        for method, path, handler in parts.console.routes():
            app.router.add_route(method, path, handler)
    return app


@dataclass(slots=True)
class _Minute:
    """What was asked in the present minute."""

    began_s: float = 0.0
    count: int = 0

    def take(self, limit: int, now_s: float) -> None:
        """Count one; 429 when the minute is full."""
        if now_s - self.began_s >= 60:
            self.began_s, self.count = now_s, 0
        self.count += 1
        if self.count > limit:
            raise Stop("rate_limited", retry_after_s=max(1, round(60 - (now_s - self.began_s))))


def _around(parts: InternalParts) -> Middleware:
    decisions, looks, lock = _Minute(), _Minute(), _Lock(parts.ops_token, parts.metrics)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = parts.ids.ulid()
        now_s = asyncio.get_running_loop().time()
        try:
            if request.path not in _OPEN:
                _from_here(request, strictly=not parts.ops_token)
                if parts.ops_token:
                    lock.open_for(request, now_s)
            if request.path.startswith("/admin/"):
                if request.method == "POST":
                    decisions.take(parts.admin_per_minute, now_s)
                else:
                    looks.take(parts.admin_per_minute * LOOKS_PER_DECISION, now_s)
            return await handler(request)
        except Stop as stop:
            return problem_response(stop, request.path)
        except Unavailable as error:
            return problem_response(_away(parts, error), request.path)
        except web.HTTPException as error:
            return framework_refusal(error, request.path)
        except Exception:
            # The boundary, as on the public listener: who asked gets nothing of what broke, the log gets all of it.
            log.exception("internal request failed", path=request.path)
            return problem_response(Stop("internal_error"), request.path)

    return middleware


def _away(parts: InternalParts, error: Unavailable) -> Stop:
    """What staff read when nobody took it: that the address is another node's, or what is away."""
    retry_after_s = max(1, round(error.retry_after_s))
    if isinstance(error, parts.unknown_path):
        return Stop("not_owner", NOT_HERE, retry_after_s=retry_after_s)
    return Stop("unavailable", str(error), retry_after_s=retry_after_s)


def _from_here(request: web.Request, *, strictly: bool) -> None:
    """No page of another site operates a node through its operator's browser.

    `strictly`: there is no token that such a page would lack, so not even a name that leads here is trusted.
    """
    if not is_same_origin(request):
        raise Stop("forbidden", "This belongs to the console's own page.")
    if strictly and not is_for_loopback(request):
        raise Stop("misdirected_request", "Without a token only loopback addresses are served.")


@dataclass(slots=True)
class _Lock:
    """Opens to the operators' token. Whoever tries others is counted, logged once a minute, and told to wait."""

    token: str
    metrics: InternalMetrics
    minute: _Minute = field(default_factory=_Minute)
    unlogged: int = 0
    logged_s: float = -math.inf

    def open_for(self, request: web.Request, now_s: float) -> None:
        """Raises `Stop`. To come without any token is a mistake, but no guess."""
        sent = request.headers.get("Authorization", "")
        scheme, _, given = sent.partition(" ")
        # The bytes as they came: what is no UTF-8 is a wrong token like any other.
        right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self.token.encode())
        if right and scheme.lower() == "bearer":
            return
        if sent:
            self._guessed(request, now_s)
        raise Stop("unauthorized", "This needs the operators' token.")

    def _guessed(self, request: web.Request, now_s: float) -> None:
        self.metrics.authenticated(kind="ops", accepted=False)
        self.unlogged += 1
        if now_s - self.logged_s >= 60:
            log.warning("wrong_ops_token", times=self.unlogged, remote=request.remote)
            self.unlogged, self.logged_s = 0, now_s
        self.minute.take(WRONG_TOKENS_PER_MINUTE, now_s)


class _Routes:
    """The handlers."""

    def __init__(self, parts: InternalParts) -> None:
        self._parts = parts
        self._later: set[asyncio.Task[None]] = set()

    async def health(self, _request: web.Request) -> web.Response:
        """Whoever gets an answer has proof. Of a blocked loop there is none, and the watchdog ends its process."""
        return json_response({"alive": True})

    async def ready(self, _request: web.Request) -> web.Response:
        body = await told(self._parts.readiness)
        ready = bool(body["ready"])
        return json_response(body, status=200 if ready else 503, headers={} if ready else _LATER)

    async def scraped(self, request: web.Request) -> web.Response:
        self._parts.before_scrape()
        body, content_type = self._parts.metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def document(self, _request: web.Request) -> web.Response:
        return json_response(internal_document())

    async def tree(self, _request: web.Request) -> web.Response:
        return json_response(self._parts.operations.describe())

    async def command(self, request: web.Request) -> web.Response:
        path, command = request.match_info["path"].strip("/"), request.match_info["command"]
        operations = self._parts.operations
        run = {
            "restart": operations.restart,
            "stop": operations.stop_child,
            "start": operations.start_child,
        }[command]
        log.info("operator_command", command=command, path=path)
        if path == ROOT and command != "restart":
            # Nobody would be there to start it again: to stop everything is to leave. And who can ask for it runs.
            if command == "stop":
                self._parts.drain()
            return json_response({"path": path, "command": command, "accepted": True}, status=202)
        if path in OUR_OWN_ANSWER or f"penpay/{path}" in OUR_OWN_ANSWER:
            self._after_answering(run, path)
            return json_response({"path": path, "command": command, "accepted": True}, status=202)
        try:
            await run(path)
        except self._parts.unknown_path:
            raise Stop("not_found", f"There is nothing at {path}.") from None
        return json_response({"path": path, "command": command, "done": True})

    def _after_answering(self, run: Callable[[str], Awaitable[None]], path: str) -> None:
        async def later() -> None:
            # Long enough for the answer to leave before its listener is closed.
            await asyncio.sleep(0.2)
            try:
                await run(path)
            except Unavailable:
                log.exception("operator_command_failed", path=path)

        task = asyncio.get_running_loop().create_task(later())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def drain(self, _request: web.Request) -> web.Response:
        self._parts.drain()
        return json_response({"draining": True}, status=202)
