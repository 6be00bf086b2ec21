"""Forgotten and changed passwords. Nothing tells whether an address is known: neither text, nor status, nor work.

Source: contract.md part 3, faults.md S4, S10, S13. Every change ends sessions at once and holds withdrawals.
"""

from datetime import timedelta

from aiohttp import web

from config.passwords import COMMON_PASSWORDS
from penpay.domain.errors import BadInput
from penpay.domain.identity import email_address, password_problem
from penpay.domain.throttle import Hit
from penpay.http.codes import code_hash, key_of, limit_codes, new_code, send_code, sending, verification
from penpay.http.dispatch import Call
from penpay.http.replies import Stop, json_response
from penpay.http.schemas_identity import ForgotPasswordRequest, PasswordRequest, ResetPasswordRequest


async def forgot(call: Call) -> web.Response:
    """Send a code to the account's phone, if there is an account. The answer names no phone."""
    body: ForgotPasswordRequest = call.body
    edge, at = call.edge, call.edge.clock.now()
    email = email_address(body.email)
    address = Hit(edge.settings.rates.login_address, call.address_key())
    resend_at = await limit_codes(call, address, *sending(edge, email, purpose="forgot"))
    code, new = new_code(edge, f"reset|{email}", at)
    if phone := await edge.password_changes.ask_reset(email, new):
        send_code(edge, phone, code, reference="password-code")
    return json_response(verification(edge, at, resend_at), status=202)


async def reset(call: Call) -> web.Response:
    """A new password for a code. Hashed in any case, so that a wrong code costs as much as a right one."""
    body: ResetPasswordRequest = call.body
    edge, at = call.edge, call.edge.clock.now()
    email = email_address(body.email)
    if problem := password_problem(body.password, email=email, common=COMMON_PASSWORDS):
        raise BadInput("password", problem)
    rates = edge.settings.rates
    await call.limit(Hit(rates.code, key_of(edge, "reset", email)), Hit(rates.login_address, call.address_key()))
    done = await edge.password_changes.reset(
        email,
        code_hash=code_hash(edge, f"reset|{email}", body.code),
        password_hash=await edge.passwords.hash_password(body.password),
        held_until=at + timedelta(seconds=edge.settings.withdrawal_hold_s),
        notice_id=edge.ids.ulid(),
        at=at,
    )
    edge.metrics.authenticated(kind="code", accepted=done)
    if not done:
        raise Stop("code_invalid")
    return web.Response(status=204)


async def change(call: Call) -> web.Response:
    """A signed-in customer's new password. This session goes on, every other one ends."""
    body: PasswordRequest = call.body
    edge, who, at = call.edge, call.who, call.edge.clock.now()
    known = await edge.accounts.profile(who.user_id)
    if known is None or call.claims is None:
        raise Stop("unauthorized")
    if problem := password_problem(body.new_password, email=known.email, phone=who.phone, common=COMMON_PASSWORDS):
        raise BadInput("new_password", problem)
    await call.limit(Hit(edge.settings.rates.code, f"password-{who.user_id}"))
    if not await edge.passwords.check_password(await edge.accounts.password_hash(who.user_id), body.password):
        raise Stop("password_wrong")
    await edge.password_changes.change(
        who.user_id,
        password_hash=await edge.passwords.hash_password(body.new_password),
        keep_session=call.claims.session_id,
        held_until=at + timedelta(seconds=edge.settings.withdrawal_hold_s),
        notice_id=edge.ids.ulid(),
        at=at,
    )
    return web.Response(status=204)
