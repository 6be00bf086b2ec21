"""The customer's PIN as proof that it is they who ask. A try is counted in the database before its PIN is compared."""

import math
from datetime import datetime

from penpay.domain.accounts import PinTry
from penpay.domain.errors import Unavailable
from penpay.domain.identity import PIN_TRIES_MAX
from penpay.http.dispatch import Call
from penpay.http.replies import Stop


async def check_pin(call: Call, pin: str) -> PinTry:
    """Counted first, compared then. Raises `Stop` unless it is right.

    It is counted when its turn has come and not before: a node that dies would cost everybody in the queue a try, and
    five of those lock a PIN.
    """
    async with call.edge.passwords.pin_turn():
        return await _count_and_compare(call, pin)


def locked(until: datetime, *, at: datetime) -> Stop:
    """What a PIN that was tried too often answers until its lock ends, whatever is asked of it."""
    return Stop("pin_locked", retry_after_s=max(1, math.ceil((until - at).total_seconds())))


async def _count_and_compare(call: Call, pin: str) -> PinTry:
    edge, user_id = call.edge, call.who.user_id
    at = edge.clock.now()
    tried = await edge.pins.begin_try(user_id, at=at)
    if not tried.pin_hash:
        raise Stop("pin_not_set")
    if tried.locked_until is not None:
        raise locked(tried.locked_until, at=at)
    try:
        right = await edge.passwords.check_pin(user_id, tried.pin_hash, pin)
    except Unavailable:
        await edge.pins.give_back(user_id, tried, at=at)
        raise
    edge.metrics.authenticated(kind="pin", accepted=right)
    if not right:
        left = max(0, PIN_TRIES_MAX - tried.number)
        raise Stop("pin_wrong", f"The PIN is wrong; {left} {'try is' if left == 1 else 'tries are'} left.")
    await edge.pins.passed(user_id, tried, at=at)
    return tried
