"""Asks Deriv whose token this is, on a socket of its own that is closed right after."""

import asyncio
import contextlib

from penpay.domain import deriv_protocol as deriv
from penpay.domain.accounts import AccountFacts
from penpay.domain.errors import BadInput, NotSent, OutcomeUnknown, Refused, StoreError
from penpay.ports_rails import DerivDialer, DerivSocket

_ANSWER_S = 10.0
_AT_ONCE_MAX = 16


class DialedDerivAccounts:
    """`penpay.http.accounts.DerivAccounts`. Sockets are few at once: Deriv limits connections, not customers."""

    def __init__(self, dialer: DerivDialer, *, answer_s: float = _ANSWER_S) -> None:
        self._dialer = dialer
        self._answer_s = answer_s
        self._slots = asyncio.Semaphore(_AT_ONCE_MAX)

    async def authorize(self, token: str) -> AccountFacts:
        """Raises `Refused` for a token that Deriv does not take, `NotSent` or `OutcomeUnknown` without an answer."""
        try:
            async with asyncio.timeout(self._answer_s), self._slots:
                socket = await self._dialer.connect()
                try:
                    frame = await _asked(socket, token)
                finally:
                    with contextlib.suppress(StoreError, OSError):
                        await socket.close()
        except TimeoutError:
            raise NotSent("no_answer") from None
        except StoreError as error:
            raise OutcomeUnknown("connection_lost") from error
        if frame.error_code in deriv.TOKEN_REFUSED:
            raise Refused(frame.error_code)
        if frame.error_code:
            raise NotSent(frame.error_code)
        return _facts(frame)


async def _asked(socket: DerivSocket, token: str) -> deriv.Frame:
    await socket.send(deriv.encode(deriv.authorize(token), 1))
    while True:
        with contextlib.suppress(BadInput):
            frame = deriv.decode(await socket.receive())
            if frame.msg_type == "authorize":
                return frame


def _facts(frame: deriv.Frame) -> AccountFacts:
    try:
        who = deriv.identity(frame)
    except BadInput as error:
        raise OutcomeUnknown("unreadable_answer", error.detail) from error
    email = frame.members["authorize"].get("email")
    return AccountFacts(
        loginid=who.loginid,
        fullname=who.fullname.strip(),
        currency=who.currency,
        scopes=tuple(sorted(who.scopes)),
        is_virtual=who.is_virtual,
        email=email if isinstance(email, str) else "",
    )
