"""A typed client of the public API, for the demo, the tests and whoever wants one.

    async with Client("https://pay.example", patience_s=30) as client:
        await client.login(email=…, password=…, device_id="phone-1")
        asked = await client.deposit("1300.00", "KES")
        ended = await client.ended(asked["id"])

Money calls carry an Idempotency-Key that stays the same over all repetitions. A refusal is an `ApiProblem`.
"""

from collections.abc import AsyncIterator
from typing import cast

from penpay.client.answers import JSON, Currency, Direction, Page, Quote, Receipt, Tokens, Transaction
from penpay.client.events import READY, Event, follow
from penpay.client.problems import ApiProblem
from penpay.client.receipts import ReceiptRefused, verified
from penpay.client.transport import Transport, new_key

__all__ = [
    "JSON",
    "ApiProblem",
    "Client",
    "Event",
    "Page",
    "Quote",
    "Receipt",
    "ReceiptRefused",
    "Tokens",
    "Transaction",
    "new_key",
    "verified",
]
FINAL = frozenset({"COMPLETED", "FAILED", "REVERSED"})


class Client(Transport):
    """One customer's session. Every call of the public API has a method; `call` is there for what comes later."""

    # --- signing in ---------------------------------------------------------------------------------------------

    async def register(self, *, email: str, phone: str, password: str, full_name: str) -> JSON:
        """Begin: a code goes out by SMS."""
        body = {"email": email, "phone": phone, "password": password, "full_name": full_name}
        return cast("JSON", await self.call("POST", "/auth/register", body))

    async def verify_phone(self, phone: str, code: str) -> JSON:
        """The code of the SMS makes the phone the account's own."""
        return cast("JSON", await self.call("POST", "/auth/phone/verify", {"phone": phone, "code": code}))

    async def resend_code(self, phone: str) -> JSON:
        """Ask for another code."""
        return cast("JSON", await self.call("POST", "/auth/phone/resend", {"phone": phone}))

    async def verify_email(self, email: str, code: str) -> JSON:
        """The code of the mail shows that mail arrives."""
        return cast("JSON", await self.call("POST", "/auth/email/verify", {"email": email, "code": code}))

    async def resend_email_code(self, email: str) -> JSON:
        """Ask for another code by mail."""
        return cast("JSON", await self.call("POST", "/auth/email/resend", {"email": email}))

    async def login(
        self, *, email: str, password: str, device_id: str, device_name: str = "phone", platform: str = "android"
    ) -> Tokens:
        """Sign in on a device; later calls carry the token and renew it."""
        device = {"id": device_id, "name": device_name, "platform": platform}
        answer: Tokens = await self.call(
            "POST", "/auth/login", {"email": email, "password": password, "device": device}
        )
        self._signed_in(answer, device_id)
        return answer

    async def logout(self, *, everywhere: bool = False) -> None:
        """End this session, or every session of the account."""
        body = {"refresh_token": self._refresh_token, "device_id": self._device_id, "everywhere": everywhere}
        await self.call("POST", "/auth/logout", body)
        self._token = self._refresh_token = ""

    async def forgot_password(self, email: str) -> JSON:
        """Have a code for a new password sent by SMS."""
        return cast("JSON", await self.call("POST", "/auth/password/forgot", {"email": email}))

    async def reset_password(self, email: str, code: str, password: str) -> JSON:
        """Set a new password; withdrawals are held for a day."""
        body = {"email": email, "code": code, "password": password}
        return cast("JSON", await self.call("POST", "/auth/password/reset", body))

    async def change_password(self, password: str, new_password: str) -> None:
        """Set another password; every other session ends."""
        await self.call("PUT", "/me/password", {"password": password, "new_password": new_password})

    # --- the customer -------------------------------------------------------------------------------------------

    async def me(self) -> JSON:
        """Profile, what is set up, and limits left."""
        return cast("JSON", await self.call("GET", "/me"))

    async def devices(self) -> JSON:
        """Where the account is signed in."""
        return cast("JSON", await self.call("GET", "/me/devices"))

    async def remove_device(self, device_id: str) -> None:
        """End a device's session."""
        await self.call("DELETE", f"/me/devices/{device_id}")

    async def export(self) -> JSON:
        """Everything that is stored about the customer."""
        return cast("JSON", await self.call("GET", "/me/export"))

    async def set_pin(self, pin: str, *, password: str) -> None:
        """Set or change the PIN of withdrawals."""
        await self.call("PUT", "/me/pin", {"pin": pin, "password": password})

    async def change_phone(self, phone: str, *, password: str, pin: str | None = None) -> JSON:
        """Have a code sent to another number; the PIN is needed once one is set."""
        body = {"phone": phone, "password": password, **({"pin": pin} if pin is not None else {})}
        return cast("JSON", await self.call("POST", "/me/phone", body))

    async def confirm_phone(self, phone: str, code: str) -> JSON:
        """The code of the SMS makes the other number the account's own; other sessions end."""
        return cast("JSON", await self.call("POST", "/me/phone/verify", {"phone": phone, "code": code}))

    async def link_deriv(self) -> str:
        """Where the customer's browser must go to authorise us at Deriv."""
        return str((await self.call("POST", "/deriv/link"))["authorize_url"])

    async def deriv_link(self) -> JSON:
        """State of the Deriv link."""
        return cast("JSON", await self.call("GET", "/deriv/link"))

    async def unlink_deriv(self) -> None:
        """Remove the Deriv link."""
        await self.call("DELETE", "/deriv/link")

    async def balance(self) -> JSON:
        """The Deriv balance, and money in flight."""
        return cast("JSON", await self.call("GET", "/balance"))

    # --- money --------------------------------------------------------------------------------------------------

    async def quote(self, type_: Direction, amount: str, currency: Currency) -> Quote:
        """Lock a rate."""
        body = {"type": type_, "amount": {"amount": amount, "currency": currency}}
        return cast("Quote", await self.call("POST", "/quotes", body))

    async def deposit(
        self, amount: str = "", currency: Currency = "KES", *, quote_id: str = "", key: str = ""
    ) -> Transaction:
        """Ask for a deposit of an amount, or of a quote."""
        body = _asked(amount, currency, quote_id)
        return cast("Transaction", await self.call("POST", "/deposits", body, key=key or new_key()))

    async def withdrawal_code(self, amount: str = "", *, quote_id: str = "") -> JSON:
        """Have Deriv mail a code for these dollars, or for those of a quote."""
        return cast("JSON", await self.call("POST", "/withdrawals/code", _asked(amount, "USD", quote_id)))

    async def withdraw(
        self, amount: str = "", *, code: str, pin: str, quote_id: str = "", key: str = ""
    ) -> Transaction:
        """Ask for a withdrawal."""
        body = {**_asked(amount, "USD", quote_id), "verification_code": code, "pin": pin}
        return cast("Transaction", await self.call("POST", "/withdrawals", body, key=key or new_key()))

    # --- transactions -------------------------------------------------------------------------------------------

    async def transaction(self, transaction_id: str) -> Transaction:
        """One transaction as it stands."""
        return cast("Transaction", await self.call("GET", f"/transactions/{transaction_id}"))

    async def transactions(self, *, cursor: str = "", limit: int = 20, **filters: str) -> Page:
        """A page of the history; filters are `type`, `status`, `from` and `to`."""
        more = {"cursor": cursor} if cursor else {}
        return cast("Page", await self.call("GET", "/transactions", params={"limit": str(limit), **more, **filters}))

    async def history(self, **filters: str) -> AsyncIterator[Transaction]:
        """The whole history, the newest first."""
        cursor = ""
        while True:
            page = await self.transactions(cursor=cursor, limit=100, **filters)
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            cursor = page["next_cursor"]

    async def timeline(self, transaction_id: str) -> JSON:
        """Where the money is, and how it got there."""
        return cast("JSON", await self.call("GET", f"/transactions/{transaction_id}/timeline"))

    async def cancel(self, transaction_id: str) -> Transaction:
        """Cancel while no money can be moving."""
        return cast("Transaction", await self.call("POST", f"/transactions/{transaction_id}/cancel"))

    async def receipt(self, transaction_id: str) -> Receipt:
        """The signed receipt of a transaction that has ended; `verified` checks it."""
        return cast("Receipt", await self.call("GET", f"/transactions/{transaction_id}/receipt"))

    async def receipt_key(self) -> str:
        """The public key that receipts are checked with."""
        return str((await self.call("GET", "/receipts/key"))["public_key"])

    async def statement(self, *, first: str = "", last: str = "", as_pdf: bool = False) -> bytes:
        """A statement of account over whole Nairobi days like 2026-11-01."""
        days = {name: day for name, day in (("from", first), ("to", last)) if day}
        return await self.read("GET", "/statements", params={"format": "pdf" if as_pdf else "csv", **days})

    async def events(self, *, after: str = "") -> AsyncIterator[Event]:
        """Follow the customer's events, over broken lines too; `after` is the id of the last one seen."""
        async for event in self._lines(after):
            if event.type != READY:
                yield event

    async def ended(self, transaction_id: str) -> Transaction:
        """Wait for a transaction's end, told by events. It is looked at once whenever a line begins."""
        async for event in self._lines(""):
            if event.type == READY or event.data.get("id") == transaction_id:
                now = await self.transaction(transaction_id)
                if now["status"] in FINAL:
                    return now
        raise AssertionError("the lines do not end by themselves")

    def _lines(self, after: str) -> AsyncIterator[Event]:
        return follow(
            self._session,
            self._base + "/events",
            lambda: self._headers("text/event-stream"),
            lambda: self._renewed(self._token),
            after=after,
        )


def _asked(amount: str, currency: str, quote_id: str) -> dict[str, object]:
    return {"quote_id": quote_id} if quote_id else {"amount": {"amount": amount, "currency": currency}}
