"""The signed-in customer: profile, limits left, PIN and balances."""

from datetime import datetime, timedelta

from aiohttp import web

from penpay.domain.accounts import LinkStatus, Profile
from penpay.domain.admission import eat_day
from penpay.domain.errors import BadInput, Unavailable
from penpay.domain.fx import Direction
from penpay.domain.identity import pin_problem
from penpay.domain.kyc import day_limit_minor
from penpay.domain.money import usd
from penpay.domain.presentation import time_text
from penpay.domain.throttle import Hit
from penpay.http.deriv_link import rendered_link
from penpay.http.dispatch import Call
from penpay.http.pins import locked
from penpay.http.replies import Stop, json_response
from penpay.http.schemas_identity import PinRequest
from penpay.messages_rails import DERIV_CUSTOMERS, DerivBalance, GetBalance


async def profile(call: Call) -> web.Response:
    """Who is signed in, what is set up, and what may still be moved today."""
    known = await call.edge.accounts.profile(call.who.user_id)
    if known is None:
        raise Stop("unauthorized")
    return json_response(await rendered_profile(call, known))


async def rendered_profile(call: Call, known: Profile) -> dict[str, object]:
    """A customer as they see themselves."""
    who = call.who
    return {
        "id": who.user_id,
        "email": known.email,
        "email_verified": known.email_verified,
        "phone": who.phone_mask,
        "phone_verified": who.phone_verified,
        "full_name": known.full_name,
        "status": who.status,
        "kyc_tier": who.kyc_tier,
        "pin_set": who.pin_set,
        "deriv": rendered_link(await call.edge.links.deriv_link(who.user_id)),
        "withdrawals_held_until": _held_until(known.withdrawals_held_until, call.edge.clock.now()),
        "limits": await _limits(call),
        "created_at": time_text(known.created_at),
    }


async def _limits(call: Call) -> dict[str, object]:
    settings = call.edge.settings
    bounds = {
        Direction.DEPOSIT: (
            settings.deposit_min_usd_minor,
            settings.deposit_max_usd_minor,
            settings.deposit_day_usd_minor,
        ),
        Direction.WITHDRAWAL: (
            settings.withdrawal_min_usd_minor,
            settings.withdrawal_max_usd_minor,
            settings.withdrawal_day_usd_minor,
        ),
    }
    day = eat_day(call.edge.clock.now())
    limits: dict[str, object] = {}
    for direction, (least, most, contract_max) in bounds.items():
        today_max = day_limit_minor(
            call.who.kyc_tier,
            contract_max,
            identified_minor=settings.identified_day_usd_minor,
            enhanced_minor=settings.enhanced_day_usd_minor,
        )
        used = await call.edge.reads.counted_usd_minor(call.who.user_id, type_=direction.value, eat_day=day)
        limits[direction.value.lower()] = {
            "per_transaction_min": usd(least).wire(),
            "per_transaction_max": usd(most).wire(),
            "today_max": usd(today_max).wire(),
            "today_left": usd(max(0, today_max - used)).wire(),
        }
    return limits


def _held_until(until: datetime | None, now: datetime) -> str | None:
    return time_text(until) if until is not None and until > now else None


async def set_pin(call: Call) -> web.Response:
    """Set or change the PIN; the password proves that it is the owner who does. A change holds withdrawals.

    A locked PIN stays as it is: whoever has only the password would have as many tries as they like.
    """
    body: PinRequest = call.body
    edge, who = call.edge, call.who
    if problem := pin_problem(body.pin, phone=who.phone):
        raise BadInput("pin", problem)
    await call.limit(Hit(edge.settings.rates.code, f"pin-{who.user_id}"))
    if not await edge.passwords.check_password(await edge.accounts.password_hash(who.user_id), body.password):
        raise Stop("password_wrong")
    pin_hash = await edge.passwords.hash_pin(who.user_id, body.pin)
    at = edge.clock.now()
    held_until = at + timedelta(seconds=edge.settings.withdrawal_hold_s)
    locked_until = await edge.pins.set_pin(
        who.user_id, pin_hash, held_until=held_until, notice_id=edge.ids.ulid(), at=at
    )
    if locked_until is not None:
        raise locked(locked_until, at=at)
    return web.Response(status=204)


async def balance(call: Call) -> web.Response:
    """The Deriv balance as last seen, and what is on its way. Without Deriv the rest is still answered."""
    in_flight = await call.edge.reads.in_flight(call.who.user_id)
    seen = await deriv_balance(call)
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


async def deriv_balance(call: Call) -> DerivBalance | None:
    """What the customer's own Deriv session says; None without a link, or when Deriv says nothing in time."""
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
