"""All Deriv sockets together: streams, site status, drops, idle closing."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from penpay.sandbox.config import DerivKnobs, SandboxConfig
from penpay.sandbox.deriv.calls import Calls
from penpay.sandbox.deriv.money import Money
from penpay.sandbox.deriv.session import Session, Subscription
from penpay.sandbox.facts import Token, Transfer
from penpay.sandbox.ids import Ids
from penpay.sandbox.postman import Postman
from penpay.sandbox.steps import Script, Step
from penpay.sandbox.truth import Truth


class Hub:
    """The WebSocket server. Subscription ids are unique per connection and mean nothing after it."""

    def __init__(self, config: SandboxConfig, knobs: DerivKnobs, truth: Truth, ids: Ids, postman: Postman) -> None:
        self.knobs = knobs
        self.script = Script()
        self.money = Money(config, knobs, truth, ids)
        self.calls = Calls(config, knobs, truth, self.money)
        self.calls.moved = self._moved
        # 1089 is the application id of the provider's own documentation.
        self.app_ids = frozenset({config.deriv_app_id, "1089"})
        self._truth = truth
        self._ids = ids
        self._postman = postman
        self._sessions: set[Session] = set()
        self._watchers: dict[tuple[str, str], dict[str, tuple[Session, Subscription]]] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /websockets/v3?app_id=…`: one socket until it ends."""
        if self.calls.site_status == "down":
            return web.Response(status=503)
        socket = web.WebSocketResponse(compress=False, autoping=True)
        await socket.prepare(request)
        session = Session(self, request, socket)
        self._sessions.add(session)
        idle = asyncio.get_running_loop().create_task(self._close_when_idle(session, socket))
        try:
            await session.run()
        finally:
            idle.cancel()
            self._sessions.discard(session)
        return socket

    async def _close_when_idle(self, session: Session, socket: web.WebSocketResponse) -> None:
        """Close a socket on which the client has been silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            limit_s = self.knobs.idle_close_s
            left_s = session.heard_at_s + limit_s - loop.time() if limit_s > 0 else 60.0
            if left_s <= 0:
                await socket.close()
                return
            await asyncio.sleep(min(left_s + 0.01, 1.0))

    def take(self, op: str, request: Mapping[str, Any]) -> Step | None:
        """The scripted step for a request. Dry runs are left alone unless the step's match names `dry_run`."""
        return self.script.take(op, request)

    def after(self, delay_s: float, call: Callable[[], object]) -> None:
        self._postman.after(delay_s, call)

    def when_durable(self, call: Callable[[], object]) -> None:
        self._truth.when_durable(call)

    def is_valid(self, token: Token) -> bool:
        return token.token in self._truth.world.tokens

    def new_subscription_id(self) -> str:
        noise = self._ids.hex(32)
        return f"{noise[:8]}-{noise[8:12]}-{noise[12:16]}-{noise[16:20]}-{noise[20:]}"

    def watch(self, session: Session, subscription: Subscription) -> None:
        key = (subscription.kind, subscription.loginid)
        self._watchers.setdefault(key, {})[subscription.id] = (session, subscription)

    def unwatch(self, subscription: Subscription) -> None:
        key = (subscription.kind, subscription.loginid)
        watchers = self._watchers.get(key, {})
        watchers.pop(subscription.id, None)
        if not watchers:
            self._watchers.pop(key, None)

    def _moved(self, transfer: Transfer) -> None:
        """Tell both sides' streams, once the truth is written."""
        self.account_changed(transfer.from_loginid)
        self.account_changed(transfer.to_loginid)

    def account_changed(self, loginid: str) -> None:
        """Send the newest row and the balance to whoever follows this account."""
        row = self._truth.world.accounts[loginid].rows[-1]
        messages = {"transaction": self.calls.transaction(loginid, row), "balance": self.calls.balance(loginid)}
        for kind, message in messages.items():
            for session, subscription in list(self._watchers.get((kind, loginid), {}).values()):
                member = {**message, "id": subscription.id}
                self._truth.when_durable(
                    lambda to=session, about=subscription, what=member: to.stream(about, what)  # type: ignore[misc]
                )

    def set_site(self, status: str, message: str, drop_after_s: float) -> None:
        """Announce a site status. After `updating`, every socket is dropped once the time is over."""
        self.calls.site_status = status
        self.calls.site_message = message
        told = self.calls.website_status()
        for session, subscription in list(self._watchers.get(("website_status", ""), {}).values()):
            session.stream(subscription, told)
        if status == "updating":
            self.after(drop_after_s, self.drop)

    def drop(self, loginid: str = "") -> int:
        """Cut all sockets, or those of one login; returns how many."""
        chosen = [one for one in self._sessions if not loginid or loginid in one.identities]
        for session in chosen:
            session.abort()
        return len(chosen)

    def describe(self) -> list[dict[str, Any]]:
        """The open sockets, for the control API."""
        return [
            {
                "app_id": session.app_id,
                "loginids": list(session.identities),
                "subscriptions": [{"kind": one.kind, "loginid": one.loginid} for one in session.subscriptions.values()],
            }
            for session in self._sessions
        ]
