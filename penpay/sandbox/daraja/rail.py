"""Daraja as a whole: its parts put together, its routes, and what a restart takes up again."""

import asyncio
import weakref

from aiohttp import web

from penpay.sandbox.config import DarajaKnobs, SandboxConfig
from penpay.sandbox.daraja.gate import WRONG_ENDPOINT, Gate, Operation
from penpay.sandbox.daraja.initiator import Initiator
from penpay.sandbox.daraja.payout import B2cPayment
from penpay.sandbox.daraja.prompt import Prompts
from penpay.sandbox.daraja.pull import PullQuery, PullRegister
from penpay.sandbox.daraja.reports import AccountBalance, TransactionStatus
from penpay.sandbox.daraja.reversal import ReversalRequest
from penpay.sandbox.daraja.stk import PhoneScripts, StkPush, StkQuery
from penpay.sandbox.ids import Ids
from penpay.sandbox.postman import Postman
from penpay.sandbox.steps import Script
from penpay.sandbox.truth import Truth


class DarajaRail:
    """Everything below `/oauth`, `/mpesa` and `/pulltransactions`."""

    def __init__(self, config: SandboxConfig, knobs: DarajaKnobs, truth: Truth, ids: Ids, postman: Postman) -> None:
        self.knobs = knobs
        self.script = Script()
        self.phones = PhoneScripts(self.script)
        self.gate = Gate(config, knobs, truth, ids, self.script)
        self.initiator = Initiator(config, knobs)
        self.prompts = Prompts(knobs, truth, ids, postman)
        self._truth = truth
        self._lines: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        """Connections that asked something lately."""
        frame = (config, knobs, truth, ids, postman, self.initiator, self.script)
        self._reversal = ReversalRequest(*frame)
        self._b2c = B2cPayment(*frame)
        self._operations: dict[str, Operation] = {
            "/mpesa/stkpush/v1/processrequest": StkPush(config, knobs, truth, ids, self.prompts, self.phones),
            "/mpesa/stkpushquery/v1/query": StkQuery(config, truth, self.script),
            "/mpesa/reversal/v1/request": self._reversal,
            "/mpesa/transactionstatus/v1/query": TransactionStatus(*frame),
            "/mpesa/accountbalance/v1/query": AccountBalance(*frame),
            "/mpesa/b2c/v3/paymentrequest": self._b2c,
            "/pulltransactions/v1/query": PullQuery(config, knobs, truth, ids, self.script),
            "/pulltransactions/v1/register": PullRegister(config, ids),
        }

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_route("GET", "/oauth/v1/generate", self.gate.oauth)
        for path in self._operations:
            router.add_route("*", path, self._serve)
        router.add_route("*", "/mpesa/{rest:.*}", self._nowhere)
        router.add_route("*", "/pulltransactions/{rest:.*}", self._nowhere)

    def resume(self) -> None:
        """Prompts and requests that were open when the process ended go on."""
        world = self._truth.world
        for push in world.pushes.values():
            if not push.result_code:
                self.prompts.show(push)
        for reversal in world.reversals.values():
            if not reversal.result_code:
                self._reversal.schedule(reversal)
        for payout in world.payouts.values():
            if not payout.result_code:
                self._b2c.schedule(payout)

    def drop(self) -> int:
        """Cut every connection, in the middle of whatever it carries; returns how many."""
        lines = [line for line in self._lines if not line.is_closing()]
        for line in lines:
            line.abort()
        self._lines.clear()
        return len(lines)

    async def _serve(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            self._lines.add(request.transport)
        return await self.gate.call(request, self._operations[request.path])

    async def _nowhere(self, request: web.Request) -> web.Response:
        del request
        return self.gate.error(WRONG_ENDPOINT)
