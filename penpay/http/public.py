"""The public listener: API, callbacks and documentation."""

from aiohttp import web

from config.limits import CALLBACK_BYTES_MAX
from penpay.domain.json_text import json_bytes
from penpay.domain.problems import PROBLEMS
from penpay.http import callbacks, docs
from penpay.http.dispatch import bound
from penpay.http.edge import Edge
from penpay.http.middleware import around
from penpay.http.openapi import document
from penpay.http.replies import Stop, common_headers, json_response
from penpay.http.routes import PREFIX, ROUTES


def public_app(edge: Edge) -> web.Application:
    """The application behind `PENPAY_HTTP__PUBLIC_BIND`."""
    app = web.Application(middlewares=[around(edge)], client_max_size=CALLBACK_BYTES_MAX)
    app.on_response_prepare.append(common_headers)
    if edge.settings.public_url.startswith("https://"):
        app.on_response_prepare.append(_only_encrypted)

    async def end_streams(_app: web.Application) -> None:
        edge.events.end_all()

    app.on_shutdown.append(end_streams)
    for route in ROUTES:
        handler = bound(edge, route)
        for method in route.methods:
            app.router.add_route(method, PREFIX + route.path, handler)
    _add_callbacks(app, edge)
    _add_documents(app, edge)
    return app


async def _only_encrypted(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["Strict-Transport-Security"] = "max-age=31536000"


def _add_callbacks(app: web.Application, edge: Edge) -> None:
    async def callback(request: web.Request) -> web.Response:
        return await callbacks.receive(edge, request)

    app.router.add_route("POST", "/cb/{kind}/{token}", callback)


def _add_documents(app: web.Application, edge: Edge) -> None:
    settings = edge.settings
    described = document(
        ROUTES, prefix=PREFIX, server_url=settings.public_url.rstrip("/"), simulator_url=settings.simulator_url
    )
    openapi = json_bytes(described)

    async def openapi_document(_request: web.Request) -> web.Response:
        return web.Response(body=openapi, content_type="application/json", charset="utf-8")

    async def problem_type(request: web.Request) -> web.Response:
        known = PROBLEMS.get(request.match_info["code"])
        if known is None:
            raise Stop("not_found")
        return json_response(
            {
                "code": known.code,
                "status": known.status,
                "title": known.title,
                "retryable": known.retryable,
                "next_action": known.next_action,
            }
        )

    app.router.add_get("/openapi.json", openapi_document)
    app.router.add_get("/problems/{code}", problem_type)
    docs.add(app)
