"""Locked rates."""

from aiohttp import web

from penpay.domain.errors import BadInput
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.money import Currency, Money, parse_amount
from penpay.domain.presentation import rate_text, time_text
from penpay.http.dispatch import Call
from penpay.http.replies import Stop, json_response
from penpay.http.schemas import Amount, DollarAmount, QuoteRequest
from penpay.messages import CreateQuote, Quote, Refusal, user_of


async def create(call: Call) -> web.Response:
    """Lock the rate of this moment for one use."""
    body: QuoteRequest = call.body
    who = call.who
    amount = money_of(body.amount)
    if body.type == Direction.WITHDRAWAL and amount.currency is not Currency.USD:
        raise BadInput("amount.currency", "a withdrawal is asked for in USD")
    reply = await call.edge.addresses.ask(
        user_of(who.shard, who.user_id),
        CreateQuote(customer=call.customer, direction=Direction(body.type), amount=amount),
        timeout_s=call.edge.settings.ask_s,
    )
    if isinstance(reply, Refusal):
        raise refused(reply)
    return json_response(_rendered(reply), status=201)


def _rendered(quote: Quote) -> dict[str, object]:
    rate = LockedRate(quote.direction, quote.mid_rate_e6, quote.spread_e6)
    return {
        "id": quote.id,
        "type": quote.direction.value,
        "send": quote.send.wire(),
        "receive": quote.receive.wire(),
        "mid_rate": rate_text(rate.mid_e6),
        "spread": rate_text(rate.spread_e6),
        "rate": rate_text(rate.rate_e6),
        "fees": [],
        "expires_at": time_text(quote.expires_at),
    }


def money_of(amount: Amount | DollarAmount, *, field: str = "amount") -> Money:
    """The domain's money behind a body's amount."""
    return parse_amount(amount.amount, amount.currency, field=f"{field}.amount")


def refused(refusal: Refusal) -> Stop:
    """An actor's refusal as the problem that it is."""
    errors = [{"field": refusal.field, "message": refusal.detail}] if refusal.field else []
    return Stop(refusal.code, refusal.detail, retry_after_s=refusal.retry_after_s, errors=errors)
