"""Codes by SMS: how they are hashed, how often they are sent, and what is said about them."""

from datetime import datetime, timedelta

import structlog

from penpay.domain.errors import Unavailable
from penpay.domain.identity import mask_phone
from penpay.domain.presentation import time_text
from penpay.domain.throttle import Hit
from penpay.http.dispatch import Call
from penpay.http.edge import Edge
from penpay.messages_rails import SMS, SendSms

log = structlog.get_logger()


def key_of(edge: Edge, purpose: str, value: str) -> str:
    """What limits count by: numbers and addresses themselves do not leave for the shared counter."""
    return edge.sealer.blind_index(f"{purpose}|{value}").hex()


def code_hash(edge: Edge, whom: str, code: str) -> bytes:
    """How a code is stored. `whom` is the phone, or another name of whom the code is for."""
    return edge.sealer.blind_index(f"code|{whom}|{code}")


async def limit_sending(call: Call, key: str) -> None:
    """Each message costs money and rings at somebody's bed: per receiver and minute, per day, and in all."""
    rates = call.edge.settings.rates
    await call.limit(Hit(rates.resend, key), Hit(rates.codes_day, key), Hit(rates.codes_all, "all"))


def verification(edge: Edge, at: datetime) -> dict[str, str]:
    """Until when the code works, and when another may be asked for."""
    return {
        "expires_at": time_text(at + timedelta(seconds=edge.settings.code_s)),
        "resend_at": time_text(at + timedelta(seconds=edge.settings.code_resend_s)),
    }


def verification_of(edge: Edge, phone: str, at: datetime) -> dict[str, str]:
    """The same, with where the code went."""
    return {"sent_to": mask_phone(phone), **verification(edge, at)}


def send_code(edge: Edge, phone: str, code: str, *, reference: str = "phone-code") -> None:
    """Hand the code to the SMS rail; nobody waits for it."""
    minutes = edge.settings.code_s // 60
    text = f"Your PenPay code is {code}. It is valid for {minutes} minutes. Nobody from PenPay will ever ask for it."
    try:
        edge.addresses.tell(SMS, SendSms(to=phone, text=text, sender_reference=reference))
    except Unavailable:
        # Another code can be asked for.
        log.warning("a code could not be handed to the SMS rail")
