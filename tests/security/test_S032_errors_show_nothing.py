"""S32: whatever breaks behind a call, its answer is a problem with an id and nothing from inside."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from penpay.http import middleware
from penpay.http.dispatch import Route
from penpay.http.examples import EXAMPLES
from penpay.http.routes import ROUTES
from tests.http.world import Customer, World

CANARY = "SELECT pin_hash FROM penpay_users.users -- canary-7f31"
ASKED = [route for route in ROUTES if route.path not in {"/events", "/receipts/key"}]


class Broken:
    """A part of which every call fails in its own words."""

    def __getattr__(self, name: str) -> object:
        async def fail(*_: object, **__: object) -> None:
            raise RuntimeError(CANARY)

        return fail


class Keeping(Broken):
    """Still knows who is signed in, and nothing else."""

    def __init__(self, accounts: object) -> None:
        self.identity = accounts.identity


def broken(world: World, route: Route) -> dict[str, object]:
    """Signed calls still find their customer, or they would all fail at the same place."""
    parts = ("reads", "links", "pins", "addresses", "deriv_accounts", "sessions", "passwords", "accounts")
    found = {part: Broken() for part in parts}
    return found | {"accounts": Keeping(world.edge.accounts)} if route.signed_in else found


@contextmanager
def everything_behind_broken(world: World, route: Route) -> Iterator[None]:
    parts = broken(world, route)
    whole = {part: getattr(world.edge, part) for part in parts}
    for part, one in parts.items():
        object.__setattr__(world.edge, part, one)
    try:
        yield
    finally:
        for part, one in whole.items():
            object.__setattr__(world.edge, part, one)


class Log:
    """What the boundary writes down."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def exception(self, event: str, **_: object) -> None:
        self.written.append(f"{event}: {sys.exception()}")


async def test_no_word_from_inside_gets_out(world: World, customer: Customer, monkeypatch):
    statuses, log = [], Log()
    monkeypatch.setattr(middleware, "log", log)
    for route in ASKED:
        body = EXAMPLES[route.body] if route.body else None
        key = {"Idempotency-Key": "k"} if route.idempotent else {}
        path = route.path.replace("{id}", "01KAF0Z3T9V5N5W6H3C8Q2YB7D")
        with everything_behind_broken(world, route):
            answer = await customer.call(route.method, path, body, headers=key)
        shown = answer.raw.decode() + str(dict(answer.headers))
        for word in ("canary", "SELECT", "RuntimeError", "Traceback", "penpay_users", "aiohttp", "Python", ".py"):
            assert word not in shown, (route.path, word)
        assert answer.headers["X-Request-Id"]
        statuses.append(answer.status)
        if answer.status == 500:
            assert answer.body["next_action"] == "Try again; name the request id when you contact support."
    # Once per failure, whole, and in the log only.
    assert len(log.written) == statuses.count(500) > 10
    assert all("canary-7f31" in line for line in log.written)
