"""The browsable API page: Swagger UI from our own wheel, under a policy that lets it speak to nobody else."""

from aiohttp import web

from penpay.http import pages

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
    """Put `/docs` and its files on the listener."""
    pages.add(app, _PAGES, policy=_POLICY, cache="public, max-age=3600")
