"""Accepting a deposit: once per key, whatever happens to connections and nodes in between."""

from aiohttp import web

from penpay.domain.answers import ROUTE_DEPOSITS, answer_aad
from penpay.domain.errors import BadInput
from penpay.domain.identity import phone_e164
from penpay.http.dispatch import Call
from penpay.http.quotes import money_of
from penpay.http.replies import Stop
from penpay.http.schemas import DepositRequest
from penpay.messages import AcceptDeposit, HttpAnswer, user_of


async def create(call: Call) -> web.Response:
    """Hand the request to the customer's actor; the answer it stored is the answer, now and at every repetition."""
    body: DepositRequest = call.body
    if (body.quote_id is None) == (body.amount is None):
        raise BadInput("amount", "send either quote_id or amount")
    who = call.who
    command = AcceptDeposit(
        customer=call.customer,
        route=ROUTE_DEPOSITS,
        key_hash=call.key_hash,
        fingerprint=call.fingerprint(),
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
        return await stored_answer(call, command.route, command.fingerprint)
    return as_response(answer)


async def stored_answer(call: Call, route: str, fingerprint: str) -> web.Response:
    """The reply got lost: what was committed decides. Nothing committed: 503, and the same key is safe."""
    who = call.who
    stored = await call.edge.reads.answer(who.user_id, route, call.key_hash)
    if stored is None:
        raise Stop("outcome_unknown", retry_after_s=2)
    if stored.fingerprint != fingerprint:
        raise Stop("idempotency_key_reused")
    aad = answer_aad(route, call.key_hash)
    body = call.edge.sealer.open(stored.sealed_body, aad=aad, user_id=who.user_id, data_key=who.data_key)
    return as_response(
        HttpAnswer(
            status=stored.status,
            body=body,
            content_type=stored.content_type,
            location=stored.location,
            replayed=True,
        )
    )


def as_response(answer: HttpAnswer) -> web.Response:
    """The bytes as they were stored."""
    headers = {"Content-Type": answer.content_type}
    if answer.location:
        headers["Location"] = answer.location
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    retry_after_s = answer.retry_after_s or (1 if answer.status in {429, 503} else 0)
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    return web.Response(body=answer.body, status=answer.status, headers=headers)
