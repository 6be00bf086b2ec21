"""Codes by SMS and mail: how they are hashed, how often they are sent, and what is said about them."""

from datetime import datetime, timedelta

import structlog

from penpay.domain.accounts import NewCode
from penpay.domain.errors import Unavailable
from penpay.domain.failures import language_of
from penpay.domain.identity import mask_phone
from penpay.domain.mails import address_known_mail, code_mail
from penpay.domain.presentation import time_text
from penpay.domain.throttle import Hit
from penpay.http.dispatch import Call
from penpay.http.edge import Edge
from penpay.messages_rails import MAIL, SMS, SendMail, SendSms

log = structlog.get_logger()


def key_of(edge: Edge, purpose: str, value: str) -> str:
    """What limits count by: numbers and addresses themselves do not leave for the shared counter."""
    return edge.sealer.blind_index(f"{purpose}|{value}").hex()


def code_hash(edge: Edge, whom: str, code: str) -> bytes:
    """How a code is stored. `whom` is the phone, or another name of whom the code is for."""
    return edge.sealer.blind_index(f"code|{whom}|{code}")


def new_code(edge: Edge, whom: str, at: datetime, *, sent: bool = True) -> tuple[str, NewCode]:
    """A fresh code, and what is stored of it. It gives way at `resend_at` as it is told: in whole milliseconds.

    One that is not sent opens nothing and gives way at once.
    """
    code = edge.secrets.code()
    told_at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return code, NewCode(
        code_hash=code_hash(edge, whom, code),
        sent_at=at,
        resend_at=told_at + timedelta(seconds=edge.settings.code_resend_s if sent else 0),
        expires_at=at + timedelta(seconds=edge.settings.code_s if sent else 0),
    )


def sending(edge: Edge, whom: str, *, purpose: str = "limit") -> tuple[Hit, Hit, Hit]:
    """Each message costs money and rings at somebody's bed: per receiver and minute, per day, and in all."""
    key, rates = key_of(edge, purpose, whom), edge.settings.rates
    return Hit(rates.resend, key), Hit(rates.codes_day, key), Hit(rates.codes_all, "all")


def mailing(edge: Edge, email: str) -> tuple[Hit, Hit]:
    """Mail costs nothing, but nobody's letter box is filled by strangers."""
    key, rates = key_of(edge, "mail", email), edge.settings.rates
    return Hit(rates.resend, key), Hit(rates.codes_day, key)


async def limit_codes(call: Call, *hits: Hit) -> datetime:
    """Count these hits; 429 when one rule is full. Answers when the same may be asked for again."""
    await call.limit(*hits)
    return await free_at(call.edge, *hits)


async def free_at(edge: Edge, *hits: Hit) -> datetime:
    """From when on these hits would be let through."""
    room_s = max(await edge.rate_limits.room_s(hits))
    return edge.clock.now() + timedelta(seconds=room_s)


def verification(edge: Edge, at: datetime, resend_at: datetime) -> dict[str, str]:
    """Until when the code works, and when another may be asked for."""
    return {
        "expires_at": time_text(at + timedelta(seconds=edge.settings.code_s)),
        "resend_at": time_text(resend_at),
    }


def verification_of(edge: Edge, phone: str, at: datetime, resend_at: datetime) -> dict[str, str]:
    """The same, with where the code went."""
    return {"sent_to": mask_phone(phone), **verification(edge, at, resend_at)}


def send_code(edge: Edge, phone: str, code: str, *, reference: str = "phone-code") -> None:
    """Hand the code to the SMS rail; nobody waits for it."""
    minutes = edge.settings.code_s // 60
    text = f"Your PenPay code is {code}. It is valid for {minutes} minutes. Nobody from PenPay will ever ask for it."
    try:
        edge.addresses.tell(SMS, SendSms(to=phone, text=text, sender_reference=reference))
    except Unavailable:
        # Another code can be asked for.
        log.warning("a code could not be handed to the SMS rail")


def mail_code(call: Call, email: str, code: str) -> None:
    """Hand the code to the mail rail, in the language that the request asked for; nobody waits for it."""
    _mail(call, email, *code_mail(code, call.edge.settings.code_s // 60, _language(call)))


def mail_known(call: Call, email: str) -> None:
    """Tell the owner of an address that somebody tried to register it; the caller hears nothing of it."""
    _mail(call, email, *address_known_mail(_language(call)))


def _mail(call: Call, email: str, subject: str, text: str) -> None:
    edge = call.edge
    try:
        edge.addresses.tell(MAIL, SendMail(to=email, subject=subject, text=text, reference=edge.ids.ulid()))
    except Unavailable:
        log.warning("a message could not be handed to the mail rail")


def _language(call: Call) -> str:
    return language_of(call.request.headers.get("Accept-Language", ""))
