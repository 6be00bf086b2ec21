"""S42: the public listener answers to the documented methods and paths, and has nothing of the inside on it."""

import pytest

from penpay.http.routes import ROUTES
from tests.http.world import World

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY")
INSIDE = (
    *(
        "/metrics",
        "/healthz",
        "/readyz",
        "/ops/tree",
        "/ops/drain",
        "/console",
        "/admin/v1/floats",
        "/admin/v1/reviews",
    ),
    *("/.env", "/.git/config", "/server-status", "/actuator", "/debug/pprof/", "/_debugtoolbar", "/phpinfo.php"),
    *("/docs/docs.py", "/docs/../public.py", "/docs/%2e%2e/public.py", "/static/", "/openapi.yaml", "/api/v2/me"),
)


async def test_other_methods_are_not_allowed(world: World):
    for path in {route.path for route in ROUTES}:
        allowed = {method for route in ROUTES if route.path == path for method in route.methods}
        for method in set(METHODS) - allowed:
            answer = await world.call(method, path.replace("{id}", "01KAF0Z3T9V5N5W6H3C8Q2YB7D"))
            assert answer.status == 405, (method, path)
            assert set(answer.headers["Allow"].split(",")) == allowed
            if method != "HEAD":
                assert answer.code == "method_not_allowed"


async def test_nothing_of_the_inside_is_there(world: World):
    for path in INSIDE:
        async with world.session.get(world.base + path, allow_redirects=False) as answer:
            assert answer.status == 404, path
            assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("host", ["evil.example", "localhost", "metadata.google.internal", "pay.example.evil.example"])
async def test_a_host_is_never_repeated(world: World, host: str):
    """Which hosts are served outside development is tests/http/test_connections.py."""
    answer = await world.call("GET", "/openapi.json", headers={"Host": host, "X-Forwarded-Host": host})
    assert host not in answer.raw.decode()
    assert host not in str(dict(answer.headers))
