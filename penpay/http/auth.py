"""Registering, verifying phone and address, and sessions. No answer tells whether an address or a number is known.

Source: decisions.md part 7, faults.md S1-S8. Hashing happens off the loop, in bounded lanes.
"""

from datetime import datetime, timedelta

from aiohttp import web

from config.passwords import COMMON_PASSWORDS
from penpay.domain.accounts import Claims, NewAccount, NewSession, Verification
from penpay.domain.errors import BadInput
from penpay.domain.identity import email_address, mask_email, mask_phone, password_problem, phone_e164
from penpay.domain.ids import shard_of
from penpay.domain.throttle import Hit
from penpay.http.codes import (
    code_hash,
    free_at,
    key_of,
    limit_codes,
    mail_code,
    mail_known,
    mailing,
    new_code,
    send_code,
    sending,
    verification,
    verification_of,
)
from penpay.http.dispatch import Call
from penpay.http.edge import Edge
from penpay.http.replies import Stop, json_response
from penpay.http.schemas_identity import (
    LoginRequest,
    LogoutRequest,
    RefreshRequest,
    RegisterRequest,
    ResendRequest,
    VerifyEmailRequest,
    VerifyPhoneRequest,
)

COOKIE = "penpay_refresh"
COOKIE_PATH = "/api/v1/auth"


async def register(call: Call) -> web.Response:
    """Open an account and send a code. A known address gets the same answer after the same work."""
    body: RegisterRequest = call.body
    edge, at = call.edge, call.edge.clock.now()
    email, phone = email_address(body.email), phone_e164(body.phone)
    if problem := password_problem(body.password, email=email, phone=phone, common=COMMON_PASSWORDS):
        raise BadInput("password", problem)
    texts = await _counted(call, phone)
    mails = edge.settings.sends_mail and not await call.wait_s(*mailing(edge, email))
    resend_at = await free_at(edge, *sending(edge, phone))
    code, phone_code = new_code(edge, phone, at, sent=texts)
    mailed, email_code = new_code(edge, email, at, sent=mails)
    user_id = edge.ids.ulid()
    new = NewAccount(
        user_id=user_id,
        shard=shard_of(user_id, edge.settings.shards),
        email=email,
        phone=phone,
        full_name=" ".join(body.full_name.split()),
        password_hash=await edge.passwords.hash_password(body.password),
        phone_code=phone_code,
        email_code=email_code if edge.settings.sends_mail else None,
        created_at=at,
    )
    fresh = await edge.accounts.register(new)
    # Only who reads the owner's mail learns the difference.
    if mails and fresh:
        mail_code(call, email, mailed)
    elif mails:
        mail_known(call, email)
    # For a known address this code opens nothing: its hash was not stored.
    if texts:
        send_code(edge, phone, code)
    return json_response(
        {"email": email, "phone": mask_phone(phone), "verification": verification_of(edge, phone, at, resend_at)},
        status=201,
    )


async def _counted(call: Call, phone: str) -> bool:
    """Count a registration. Whether its code may go out: a number that had enough gets none, and the caller no 429.

    That would tell that somebody was here before. Only the caller's own address and the sum of all codes refuse.
    """
    limits, codes = call.edge.rate_limits, sending(call.edge, phone)
    address = Hit(call.edge.settings.rates.register_address, call.address_key())
    if not await call.wait_s(address, *codes):
        return True
    address_s, *_, all_s = await limits.room_s((address, *codes))
    if wait_s := max(address_s, all_s):
        raise Stop("rate_limited", retry_after_s=wait_s)
    await call.limit(address)
    return False


async def verify_phone(call: Call) -> web.Response:
    """Use the code up; from then on the number belongs to this account alone."""
    body: VerifyPhoneRequest = call.body
    edge = call.edge
    phone = phone_e164(body.phone)
    rates = edge.settings.rates
    await call.limit(Hit(rates.login_address, call.address_key()), Hit(rates.code, key_of(edge, "limit", phone)))
    result = await edge.accounts.verify_phone(phone, code_hash=code_hash(edge, phone, body.code), at=edge.clock.now())
    edge.metrics.authenticated(kind="code", accepted=result is not Verification.WRONG)
    if result is Verification.TAKEN:
        raise Stop("phone_taken")
    if result is Verification.WRONG:
        raise Stop("code_invalid")
    return json_response({"phone": mask_phone(phone), "verified": True})


async def resend_code(call: Call) -> web.Response:
    """Another code, if somebody waits for one; the answer is the same if not."""
    body: ResendRequest = call.body
    edge, at = call.edge, call.edge.clock.now()
    phone = phone_e164(body.phone)
    address = Hit(edge.settings.rates.login_address, call.address_key())
    resend_at = await limit_codes(call, address, *sending(edge, phone))
    code, new = new_code(edge, phone, at)
    if await edge.accounts.renew_phone_code(phone, new):
        send_code(edge, phone, code)
    return json_response(verification_of(edge, phone, at, resend_at), status=202)


async def verify_email(call: Call) -> web.Response:
    """Mail to the address reaches its owner. Nothing depends on it but what the customer sees."""
    body: VerifyEmailRequest = call.body
    edge, email = call.edge, email_address(call.body.email)
    rates = edge.settings.rates
    await call.limit(Hit(rates.login_address, call.address_key()), Hit(rates.code, key_of(edge, "mail", email)))
    right = await edge.accounts.verify_email(email, code_hash=code_hash(edge, email, body.code), at=edge.clock.now())
    edge.metrics.authenticated(kind="code", accepted=right)
    if not right:
        raise Stop("code_invalid")
    return json_response({"email": email, "verified": True})


async def resend_email_code(call: Call) -> web.Response:
    """Another code by mail, if somebody waits for one; the answer is the same if not."""
    edge, at = call.edge, call.edge.clock.now()
    email = email_address(call.body.email)
    if not edge.settings.sends_mail:
        raise Stop("mail_not_sent")
    address = Hit(edge.settings.rates.login_address, call.address_key())
    resend_at = await limit_codes(call, address, *mailing(edge, email))
    code, new = new_code(edge, email, at)
    if await edge.accounts.renew_email_code(email, new):
        mail_code(call, email, code)
    return json_response({"sent_to": mask_email(email), **verification(edge, at, resend_at)}, status=202)


async def login(call: Call) -> web.Response:
    """Sign a device in."""
    body: LoginRequest = call.body
    edge, at = call.edge, call.edge.clock.now()
    email = email_address(body.email)
    rates = edge.settings.rates
    await call.limit(Hit(rates.login_address, call.address_key()))
    found = await edge.accounts.credentials(email, device_id=body.device.id)
    lane = _lane(edge, email, body.device.id if found is not None and found.device_known else "")
    await call.limit(Hit(rates.login_account, lane), Hit(rates.login_hour, lane))
    right = await edge.passwords.check_password(found.password_hash if found else "", body.password)
    edge.metrics.authenticated(kind="password", accepted=right)
    if found is None or not right:
        raise Stop("credentials_invalid")
    if edge.passwords.is_outdated(found.password_hash):
        renewed = await edge.passwords.hash_password(body.password)
        await edge.accounts.set_password_hash(found.user_id, renewed, at=at)
    token = edge.secrets.token()
    session = NewSession(
        id=edge.ids.ulid(),
        user_id=found.user_id,
        device_id=body.device.id,
        device_name=body.device.name,
        platform=body.device.platform,
        token=token,
        created_at=at,
        expires_at=at + timedelta(seconds=edge.settings.refresh_token_s),
    )
    held_until = at + timedelta(seconds=edge.settings.withdrawal_hold_s)
    if not await edge.sessions.open_session(session, devices_max=edge.settings.devices_max, held_until=held_until):
        raise Stop("device_limit")
    claims = Claims(found.user_id, session.id)
    return _tokens(edge, claims, token, session.expires_at, at, in_cookie=body.refresh_in == "cookie")


def _lane(edge: Edge, email: str, known_device: str) -> str:
    """What sign-ins of an account count by. Strangers share one count; each known device has its own beside it.

    So nobody who guesses passwords, however long, keeps the owner from signing in where they did before.
    """
    return key_of(edge, "login-device", f"{email}|{known_device}") if known_device else key_of(edge, "login", email)


async def refresh(call: Call) -> web.Response:
    """Exchange a refresh token. One that was exchanged before ends the session: somebody copied it."""
    body: RefreshRequest = call.body
    edge, at = call.edge, call.edge.clock.now()
    given = _given(call, body.refresh_token)
    rotation = await edge.sessions.rotate(given, device_id=body.device_id, successor=edge.secrets.token(), at=at)
    edge.metrics.authenticated(kind="refresh", accepted=rotation is not None)
    if rotation is None:
        raise Stop("refresh_invalid")
    claims = Claims(rotation.user_id, rotation.session_id)
    return _tokens(edge, claims, rotation.token, rotation.expires_at, at, in_cookie=body.refresh_token is None)


async def logout(call: Call) -> web.Response:
    """End the session; an unknown token is no error, since nobody is signed in with it."""
    body: LogoutRequest = call.body
    given = _given(call, body.refresh_token)
    await call.edge.sessions.close_sessions(
        given, device_id=body.device_id, everywhere=body.everywhere, at=call.edge.clock.now()
    )
    response = web.Response(status=204)
    if body.refresh_token is None:
        response.del_cookie(COOKIE, path=COOKIE_PATH)
    return response


def _given(call: Call, in_body: str | None) -> str:
    """The refresh token of the body, else of the cookie.

    A cookie comes by itself, so another site may not make use of it: it is bound to our own by SameSite, JSON needs a
    preflight that nobody answers, and a browser that says where the request began is believed.
    """
    if in_body is not None:
        return in_body
    if call.request.headers.get("Sec-Fetch-Site", "same-origin") == "cross-site":
        raise Stop("forbidden", "Sign-in by cookie works from our own pages only.")
    return call.request.cookies.get(COOKIE, "")


def _tokens(
    edge: Edge, claims: Claims, token: str, expires_at: datetime, at: datetime, *, in_cookie: bool
) -> web.Response:
    left_s = min(int((expires_at - at).total_seconds()), edge.settings.refresh_idle_s)
    body: dict[str, object] = {
        "access_token": edge.tokens.issue(claims, at=at),
        "token_type": "Bearer",
        "expires_in": edge.settings.access_token_s,
        "refresh_expires_in": left_s,
    }
    if not in_cookie:
        body["refresh_token"] = token
        return json_response(body)
    response = json_response(body)
    response.set_cookie(
        COOKIE,
        token,
        max_age=left_s,
        path=COOKIE_PATH,
        httponly=True,
        samesite="Strict",
        secure=edge.settings.public_url.startswith("https:"),
    )
    return response
