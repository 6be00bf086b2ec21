"""Withdrawals: the code that Deriv mails, and the request that the customer's PIN approves, once per key.

Source: contract.md part 3, decisions.md parts 4 and 7. A repeated request gets its first answer before the PIN is
looked at, so it costs no try; a try is counted in the database before its PIN is compared.
"""

from aiohttp import web

from penpay.domain.accounts import DerivLink, LinkStatus
from penpay.domain.answers import ROUTE_WITHDRAWALS
from penpay.domain.errors import BadInput, Unavailable
from penpay.domain.money import Money
from penpay.domain.throttle import Hit
from penpay.http.dispatch import Call
from penpay.http.idempotent import once, replay, stored_answer, told
from penpay.http.pins import check_pin
from penpay.http.quotes import money_of
from penpay.http.replies import Stop
from penpay.http.schemas import WithdrawalCodeRequest, WithdrawalRequest
from penpay.messages import AcceptWithdrawal, HttpAnswer, RequestWithdrawalCode, user_of


async def request_code(call: Call) -> web.Response:
    """Have Deriv mail the customer a code for this amount. Nothing moves, so no key is needed.

    Only what Deriv may have been asked for counts. It is counted first, so that many at once are no way around it.
    """
    body: WithdrawalCodeRequest = call.body
    edge, who = call.edge, call.who
    amount = _amount(body)
    await call.limit(Hit(edge.settings.rates.withdrawal_code, who.user_id))
    try:
        link = await _link(call)
        email = link.email or await _own_email(call)
    except (Stop, Unavailable):
        await call.give_back()
        raise
    command = RequestWithdrawalCode(
        customer=call.customer, quote_id=body.quote_id or "", amount=amount, deriv_token=link.token, email=email
    )
    try:
        answer: HttpAnswer = await edge.addresses.ask(
            user_of(who.shard, who.user_id), command, timeout_s=edge.settings.ask_s
        )
    except edge.lost_answers:
        raise Stop("outcome_unknown", "The code may be on its way.", retry_after_s=5) from None
    except tuple(edge.unavailable_codes):
        await call.give_back()
        raise
    return await told(call, answer)


async def create(call: Call) -> web.Response:
    """Replay, PIN, then the customer's actor: the answer that it stored is the answer."""
    _amount(call.body)
    return await once(call, ROUTE_WITHDRAWALS, _asked)


async def _asked(call: Call) -> web.Response:
    body: WithdrawalRequest = call.body
    edge, who = call.edge, call.who
    amount = _amount(body)
    if known := await replay(call, ROUTE_WITHDRAWALS):
        return known
    tried = await check_pin(call, body.pin)
    link = await _link(call)
    fingerprint, *former = call.fingerprints()
    command = AcceptWithdrawal(
        customer=call.customer,
        route=ROUTE_WITHDRAWALS,
        key_hash=call.key_hash,
        fingerprint=fingerprint,
        former_fingerprints=tuple(former),
        quote_id=body.quote_id or "",
        amount=amount,
        verification_code=body.verification_code,
        deriv_token=link.token,
        request_id=call.request_id,
        held_until=tried.held_until,
    )
    try:
        answer: HttpAnswer = await edge.addresses.ask(
            user_of(who.shard, who.user_id), command, timeout_s=edge.settings.ask_s
        )
    except edge.lost_answers:
        return await stored_answer(call, ROUTE_WITHDRAWALS)
    return await told(call, answer)


def _amount(body: WithdrawalCodeRequest | WithdrawalRequest) -> Money | None:
    if (body.quote_id is None) == (body.amount is None):
        raise BadInput("amount", "send either quote_id or amount")
    return money_of(body.amount) if body.amount else None


async def _own_email(call: Call) -> str:
    """Deriv did not say which address it knows: the customer's own is the best guess."""
    known = await call.edge.accounts.profile(call.who.user_id)
    return known.email if known is not None else ""


async def _link(call: Call) -> DerivLink:
    """The token is opened here and nowhere earlier; without the link that this request saw there is none."""
    if not call.who.deriv_loginid:
        return DerivLink(status=LinkStatus.NONE)
    link = await call.edge.links.deriv_link(call.who.user_id)
    same = link.status is LinkStatus.ACTIVE and link.loginid == call.who.deriv_loginid
    if not same:
        raise Stop("unavailable", "The Deriv link has just changed.", retry_after_s=1)
    return link
