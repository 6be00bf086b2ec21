"""S52: nothing runs in debug mode, whatever the environment says."""

from tests.http.world import World


async def test_the_listener_is_not_in_debug_mode(world: World):
    """aiohttp would show tracebacks, and tell its version."""
    server = world.site._runner.server
    assert server is not None
    connection = server()
    assert not connection.debug
    assert connection.access_log is None


async def test_no_answer_speaks_of_tools(world: World):
    for path in ("/me", "/nowhere", "/transactions/x", "/docs"):
        answer = await world.call("GET", path)
        for header in ("X-Powered-By", "X-Debug-Token", "X-Runtime", "Via", "X-AspNet-Version"):
            assert header not in answer.headers
        assert answer.headers["Server"] == "penpay"
