"""Another phone number: password, PIN and a code to the new number; the former one is told.

Withdrawals are held, every other session ends, and what is under way keeps the number that it began with. While
withdrawals are held the number stays: who took an account over would lead the payouts and messages away next.
Source: faults.md S11, S13, S55.
"""

from datetime import timedelta

from aiohttp import web

from penpay.domain.accounts import PhoneChange, Verification
from penpay.domain.errors import BadInput
from penpay.domain.identity import mask_phone, phone_e164
from penpay.domain.presentation import time_text
from penpay.domain.throttle import Hit
from penpay.http.codes import code_hash, limit_codes, new_code, send_code, sending, verification_of
from penpay.http.dispatch import Call
from penpay.http.pins import check_pin
from penpay.http.replies import Stop, json_response
from penpay.http.schemas_identity import ChangePhoneRequest, VerifyPhoneRequest


async def ask(call: Call) -> web.Response:
    """Send a code to the new number. Whether another account holds it is said only to who reads that code.

    Tries of the password count when it was compared: who asks too early is told so before that.
    """
    body: ChangePhoneRequest = call.body
    edge, who, at = call.edge, call.who, call.edge.clock.now()
    phone = phone_e164(body.phone)
    if phone == who.phone and who.phone_verified:
        raise BadInput("phone", "is the account's number already")
    if who.pin_set and body.pin is None:
        raise BadInput("pin", "is needed as well, since a PIN is set")
    _not_frozen(call)
    await _not_held(call, phone)
    codes = Hit(edge.settings.rates.resend, f"new-phone-{who.user_id}"), *sending(edge, phone)
    await call.room(*codes)
    await call.limit(Hit(edge.settings.rates.code, f"phone-{who.user_id}"))
    if not await edge.passwords.check_password(await edge.accounts.password_hash(who.user_id), body.password):
        raise Stop("password_wrong")
    if who.pin_set and body.pin is not None:
        await check_pin(call, body.pin)
    resend_at = await limit_codes(call, *codes)
    code, new = new_code(edge, _whom(call, phone), at)
    if await edge.phone_changes.ask(who.user_id, phone, new):
        send_code(edge, phone, code, reference="new-phone-code")
    return json_response(verification_of(edge, phone, at, resend_at), status=202)


async def confirm(call: Call) -> web.Response:
    """Use the code. From then on the number is the account's own, and the former one is nobody's."""
    body: VerifyPhoneRequest = call.body
    edge, who, at = call.edge, call.who, call.edge.clock.now()
    assert call.claims is not None
    phone = phone_e164(body.phone)
    _not_frozen(call)
    await _not_held(call, phone)
    await call.limit(Hit(edge.settings.rates.code, f"new-phone-{who.user_id}"))
    change = PhoneChange(
        user_id=who.user_id,
        phone=phone,
        code_hash=code_hash(edge, _whom(call, phone), body.code),
        keep_session=call.claims.session_id,
        held_until=at + timedelta(seconds=edge.settings.withdrawal_hold_s),
        notice_id=edge.ids.ulid(),
    )
    result = await edge.phone_changes.change(change, at=at)
    edge.metrics.authenticated(kind="code", accepted=result is not Verification.WRONG)
    if result is Verification.TAKEN:
        raise Stop("phone_taken")
    if result is Verification.WRONG:
        raise Stop("code_invalid")
    return json_response({"phone": mask_phone(phone), "verified": True})


def _not_frozen(call: Call) -> None:
    if call.who.status != "ACTIVE":
        raise Stop("account_frozen")


async def _not_held(call: Call, phone: str) -> None:
    """The owner has the day that a hold promises.

    A number that nobody verified protects nothing, and a repeated confirmation meets the hold of its own change.
    """
    who = call.who
    if not who.phone_verified or phone == who.phone:
        return
    known = await call.edge.accounts.profile(who.user_id)
    held_until = known.withdrawals_held_until if known is not None else None
    if held_until is not None and held_until > call.edge.clock.now():
        raise Stop("withdrawals_held", f"Until {time_text(held_until)} the phone number stays as it is.")


def _whom(call: Call, phone: str) -> str:
    """A code works for one customer and one number."""
    return f"new|{call.who.user_id}|{phone}"
