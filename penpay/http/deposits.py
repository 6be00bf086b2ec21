"""Accepting a deposit: once per key, whatever happens to connections and nodes in between."""

from aiohttp import web

from penpay.domain.answers import ROUTE_DEPOSITS
from penpay.domain.errors import BadInput
from penpay.domain.identity import phone_e164
from penpay.http.dispatch import Call
from penpay.http.idempotent import once, stored_answer, told
from penpay.http.quotes import money_of
from penpay.http.schemas import DepositRequest
from penpay.messages import AcceptDeposit, HttpAnswer, user_of


async def create(call: Call) -> web.Response:
    """Hand the request to the customer's actor; the answer it stored is the answer, now and at every repetition."""
    body: DepositRequest = call.body
    if (body.quote_id is None) == (body.amount is None):
        raise BadInput("amount", "send either quote_id or amount")
    return await once(call, ROUTE_DEPOSITS, _asked)


async def _asked(call: Call) -> web.Response:
    body: DepositRequest = call.body
    who = call.who
    fingerprint, *former = call.fingerprints()
    command = AcceptDeposit(
        customer=call.customer,
        route=ROUTE_DEPOSITS,
        key_hash=call.key_hash,
        fingerprint=fingerprint,
        former_fingerprints=tuple(former),
        quote_id=body.quote_id or "",
        amount=money_of(body.amount) if body.amount else None,
        phone=phone_e164(body.phone) if body.phone else "",
        request_id=call.request_id,
    )
    try:
        answer: HttpAnswer = await call.edge.addresses.ask(
            user_of(who.shard, who.user_id), command, timeout_s=call.edge.settings.ask_s
        )
    except call.edge.lost_answers:
        return await stored_answer(call, command.route)
    return await told(call, answer)
