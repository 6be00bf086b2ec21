"""The signed-in customer: profile, limits left, PIN and balances."""

from aiohttp import web

from penpay.domain.accounts import LinkStatus
from penpay.domain.admission import eat_day
from penpay.domain.errors import BadInput, Unavailable
from penpay.domain.fx import Direction
from penpay.domain.identity import pin_problem
from penpay.domain.money import usd
from penpay.domain.presentation import time_text
from penpay.domain.throttle import Hit
from penpay.http.deriv_link import rendered_link
from penpay.http.dispatch import Call
from penpay.http.replies import Stop, json_response
from penpay.http.schemas import PinRequest
from penpay.messages_rails import DERIV_CUSTOMERS, DerivBalance, GetBalance


async def profile(call: Call) -> web.Response:
    """Who is signed in, what is set up, and what may still be deposited today."""
    who = call.who
    known = await call.edge.accounts.profile(who.user_id)
    if known is None:
        raise Stop("unauthorized")
    return json_response(
        {
            "id": who.user_id,
            "email": known.email,
            "phone": who.phone_mask,
            "phone_verified": who.phone_verified,
            "full_name": known.full_name,
            "status": who.status,
            "kyc_tier": who.kyc_tier,
            "pin_set": who.pin_set,
            "deriv": rendered_link(await call.edge.links.deriv_link(who.user_id)),
            "limits": {"deposit": await _deposit_limits(call)},
            "created_at": time_text(known.created_at),
        }
    )


async def _deposit_limits(call: Call) -> dict[str, object]:
    settings = call.edge.settings
    used_minor = await call.edge.reads.counted_usd_minor(
        call.who.user_id, type_=Direction.DEPOSIT.value, eat_day=eat_day(call.edge.clock.now())
    )
    return {
        "per_transaction_min": usd(settings.deposit_min_usd_minor).wire(),
        "per_transaction_max": usd(settings.deposit_max_usd_minor).wire(),
        "today_max": usd(settings.deposit_day_usd_minor).wire(),
        "today_left": usd(max(0, settings.deposit_day_usd_minor - used_minor)).wire(),
    }


async def set_pin(call: Call) -> web.Response:
    """Set or change the PIN; the password proves that it is the owner who does."""
    body: PinRequest = call.body
    edge, who = call.edge, call.who
    if problem := pin_problem(body.pin):
        raise BadInput("pin", problem)
    await call.limit(Hit(edge.settings.rates.code, f"pin-{who.user_id}"))
    if not await edge.passwords.check_password(await edge.accounts.password_hash(who.user_id), body.password):
        raise Stop("password_wrong")
    pin_hash = await edge.passwords.hash_pin(who.user_id, body.pin)
    await edge.accounts.set_pin_hash(who.user_id, pin_hash, at=edge.clock.now())
    return web.Response(status=204)


async def balance(call: Call) -> web.Response:
    """The Deriv balance as last seen, and what is on its way. Without Deriv the rest is still answered."""
    in_flight = await call.edge.reads.in_flight(call.who.user_id)
    seen = await _deriv_balance(call)
    return json_response(
        {
            "deriv": {
                **seen.balance.wire(),
                "as_of": time_text(seen.as_of_at),
                "live": seen.live,
            }
            if seen
            else None,
            "in_flight": [money.wire() for money in in_flight],
        }
    )


async def _deriv_balance(call: Call) -> DerivBalance | None:
    who = call.who
    link = await call.edge.links.deriv_link(who.user_id)
    if link.status is not LinkStatus.ACTIVE:
        return None
    message = GetBalance(user_id=who.user_id, loginid=link.loginid, token=link.token)
    try:
        reply = await call.edge.addresses.ask(DERIV_CUSTOMERS, message, timeout_s=call.edge.settings.ask_s)
    except Unavailable:
        return None
    except call.edge.lost_answers:
        return None
    return reply if isinstance(reply, DerivBalance) else None
