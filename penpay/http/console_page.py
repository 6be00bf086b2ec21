"""The console's page. It holds nothing by itself: whatever it shows, its script asks for with the operators' token."""

from aiohttp import web

from penpay.http import pages

PAGES = {
    "/console": "console.html",
    "/console/": "console.html",
    "/console/console.css": "console.css",
    "/console/console.js": "console.js",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def add(app: web.Application) -> None:
    """Put `/console` on the internal listener. After an update the old script must not stay."""
    pages.add(app, PAGES, policy=POLICY, cache="no-cache")
