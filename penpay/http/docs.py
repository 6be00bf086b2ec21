"""The browsable API page: Swagger UI from our own wheel, under a policy that lets it speak to nobody else."""

from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

_STATIC = Path(str(files("penpay.http"))) / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_PAGES = {
    "/docs": "docs.html",
    "/docs/": "docs.html",
    "/docs/docs.css": "docs.css",
    "/docs/docs.js": "docs.js",
    "/docs/swagger-ui/swagger-ui.css": "swagger-ui/swagger-ui.css",
    "/docs/swagger-ui/swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    # Swagger UI sets style attributes while it draws.
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def add(app: web.Application) -> None:
    """Put `/docs` and its files on the listener; nothing else of the folder can be reached."""
    for path, name in _PAGES.items():
        app.router.add_route("GET", path, _page(_STATIC / name))


def _page(file: Path) -> Handler:
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "public, max-age=3600"}

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(file, headers={**headers, "Content-Type": f"{_TYPES[file.suffix]}; charset=utf-8"})

    return page
