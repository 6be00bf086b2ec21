"""Files of our own wheel as pages, each under a policy that lets it speak to nobody else."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

STATIC = Path(str(files("penpay.http"))) / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def add(app: web.Application, pages: Mapping[str, str], *, policy: str, cache: str) -> None:
    """Put these files on a listener, by path; nothing else of the folder can be reached."""
    for path, name in pages.items():
        app.router.add_get(path, _page(STATIC / name, policy, cache))


def _page(file: Path, policy: str, cache: str) -> Handler:
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": cache,
        "Content-Type": f"{_TYPES[file.suffix]}; charset=utf-8",
    }

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(file, headers=headers)

    return page
