"""`DarajaGateway` of one simulated node: the network between it and Safaricom, and what it makes of a call."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from penpay.domain.errors import GatewayError, NotSent, OutcomeUnknown, Refused
from penpay.domain.money import Money
from penpay.domain.rail_end import DISCONNECTED, NOT_CONNECTED, RATE_LIMITED, TIMED_OUT, WRONG_CREDENTIALS
from penpay.ports_rails import Payout, PullList, ReversalAck, StkAck, StkStatus
from penpay.simulation.clock import BEGAN_AT
from penpay.simulation.loop import NodeLoop
from penpay.simulation.mpesa import Mpesa
from penpay.simulation.odds import Odds
from penpay.simulation.post import Post
from penpay.simulation.scale import scaled

Answer = TypeVar("Answer")


class SimDaraja:
    """Calls travel on the world's loop: one that has left arrives, whatever becomes of the node."""

    def __init__(self, mpesa: Mpesa, odds: Odds, post: Post, loop: NodeLoop, *, call_s: float) -> None:
        self._mpesa = mpesa
        self._odds = odds
        self._post = post
        self._loop = loop
        self._call_s = call_s

    async def check(self) -> None:
        """A fresh token."""
        if self._odds.hits("daraja.not_connected"):
            raise NotSent(NOT_CONNECTED)

    async def stk_push(self, *, amount: Money, phone: str, reference: str, callback_url: str) -> StkAck:
        """See `DarajaGateway`."""
        return await self._exchange(lambda: self._mpesa.push(amount.minor, phone, reference, callback_url))

    async def stk_query(self, checkout_request_id: str) -> StkStatus:
        """See `DarajaGateway`."""
        return await self._exchange(lambda: self._mpesa.query(checkout_request_id))

    async def reverse(self, *, receipt: str, amount: Money, result_url: str, timeout_url: str) -> ReversalAck:
        """See `DarajaGateway`."""
        del timeout_url
        return await self._exchange(lambda: self._mpesa.reverse(receipt, amount.minor, result_url))

    async def pay_out(self, payout: Payout) -> str:
        """See `DarajaGateway`."""
        return await self._exchange(
            lambda: self._mpesa.pay_out(
                payout.originator_conversation_id,
                payout.amount.minor,
                payout.phone,
                result_url=payout.result_url,
                timeout_url=payout.timeout_url,
            )
        )

    async def transaction_status(
        self, *, receipt: str, conversation_id: str, payouts: bool, result_url: str, timeout_url: str
    ) -> str:
        """See `DarajaGateway`."""
        del payouts, timeout_url
        return await self._exchange(lambda: self._mpesa.status(receipt, conversation_id, result_url))

    async def pull(self, *, since: datetime, until: datetime) -> PullList:
        """See `DarajaGateway`."""
        begin_s, end_s = ((at - BEGAN_AT).total_seconds() for at in (since, until))
        return await self._exchange(lambda: self._mpesa.pull(begin_s, end_s))

    async def account_balance(self, *, payouts: bool, result_url: str, timeout_url: str) -> str:
        """See `DarajaGateway`."""
        del timeout_url
        return await self._exchange(lambda: self._mpesa.balance(payouts=payouts, result_url=result_url), rare=True)

    async def _exchange(self, effect: Callable[[], Answer], *, rare: bool = False) -> Answer:
        odds, often = self._odds, 0.2 if rare else 1.0
        if odds.hits("daraja.not_connected", often=often):
            await asyncio.sleep(self._post.travel_s())
            raise NotSent(NOT_CONNECTED)
        if odds.hits("daraja.rate_limited", often=often):
            await asyncio.sleep(self._post.travel_s())
            raise NotSent(RATE_LIMITED)
        if odds.hits("daraja.wrong_credentials", often=often):
            await asyncio.sleep(self._post.travel_s())
            raise Refused(WRONG_CREDENTIALS)
        answer: asyncio.Future[Any] = self._loop.create_future()
        delay_s = self._post.travel_s() + (scaled(5.0) if odds.hits("daraja.slow") else 0.0)
        if odds.hits("daraja.late_request", often=often):
            self._post.send(self._call_s + scaled(20.0), self._arrive, effect, None)
        elif not odds.hits("daraja.lost_request", often=often):
            lost = odds.hits("daraja.lost_answer", often=often)
            self._post.after(delay_s, self._arrive, effect, None if lost else answer)
            if lost and self._post.travel_s() < 0.01:
                await asyncio.sleep(delay_s * 2)
                raise OutcomeUnknown(DISCONNECTED)
        try:
            async with asyncio.timeout(self._call_s):
                found: Answer = await answer
                return found
        except TimeoutError:
            raise OutcomeUnknown(TIMED_OUT) from None

    def _arrive(self, effect: Callable[[], Answer], answer: "asyncio.Future[Any] | None") -> None:
        try:
            result: Any = effect()
        except GatewayError as error:
            result = error
        if answer is not None:
            self._post.after(self._post.travel_s(), _settle, answer, result)


def _settle(answer: "asyncio.Future[Any]", result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
