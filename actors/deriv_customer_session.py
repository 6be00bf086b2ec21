"""A customer's own socket for one piece of work: opened, authorized, checked, and closed again.

What moves a customer's money runs as the customer. Authorization is per connection, so such work never shares a socket.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from penpay.domain import deriv_protocol as deriv
from penpay.domain.deriv_protocol import Frame, Identity
from penpay.domain.errors import BadInput, NotSent, OutcomeUnknown, Refused
from penpay.domain.money import Currency
from penpay.domain.rail_end import DISCONNECTED, TIMED_OUT, UNREADABLE
from penpay.ports import ConnectionLost
from penpay.ports_rails import DerivDialer, DerivSocket

ANOTHER_ACCOUNT = "another_account"
"""Refused by ourselves: the token opens another account than the link names."""
ACCOUNT_UNSUITABLE = "account_unsuitable"
NO_PAYMENTS_SCOPE = "no_payments_scope"


_PASSES = frozenset({"InternalServerError", "WrongResponse"}) | deriv.TOKEN_REFUSED - {"PermissionDenied"}
"""Errors of a read that another socket, or a later moment, may well not meet; beside those that ask to wait."""


class NotShown(NotSent):
    """Deriv refuses to show something, and nothing says that asking again would cure it: which codes do is open."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the intent of a debit carries sealed: the customer's token and, until it is used, the mailed code."""

    token: str = field(repr=False)
    code: str = field(default="", repr=False)

    @staticmethod
    def from_bytes(opened: bytes) -> "Secrets":
        """Read them; raise `ValueError` when they are none."""
        raw = json.loads(opened)
        token, code = (raw.get("token"), raw.get("code")) if type(raw) is dict else (None, None)
        if type(token) is not str or type(code) is not str or not token:
            raise ValueError("no token")
        return Secrets(token, code)


class CustomerSession:
    """Calls one after the other on an authorized socket of one customer."""

    def __init__(self, socket: DerivSocket, *, call_s: float) -> None:
        self._socket = socket
        self._call_s = call_s
        self._requests = 0

    async def ask(self, request: deriv.Request) -> Frame:
        """The reply, also when it is an error.

        Raises `NotSent` when the socket was closed before the first byte; `OutcomeUnknown` when it broke or time ran
        out later. Other frames, and unreadable ones, are no reply.
        """
        self._requests += 1
        number = self._requests
        try:
            async with asyncio.timeout(self._call_s):
                await self._socket.send(deriv.encode(request, number))
                while True:
                    frame = await self._next()
                    if frame is not None and frame.req_id == number:
                        return frame
        except TimeoutError as error:
            raise OutcomeUnknown(TIMED_OUT) from error
        except ConnectionLost as error:
            raise OutcomeUnknown(DISCONNECTED) from error

    async def read(self, request: deriv.Request) -> Frame:
        """As `ask`, for what changes nothing: any failure is `NotSent`, for it may simply be asked again.

        `NotShown` where that is in vain.
        """
        try:
            frame = await self.ask(request)
        except OutcomeUnknown as error:
            raise NotSent(error.code) from error
        if deriv.asks_to_wait(frame) or frame.error_code in _PASSES:
            raise NotSent(frame.error_code)
        if frame.error_code:
            raise NotShown(frame.error_code)
        return frame

    async def _next(self) -> Frame | None:
        try:
            return deriv.decode(await self._socket.receive())
        except BadInput:
            return None


@asynccontextmanager
async def customer_session(
    dialer: DerivDialer, *, loginid: str, token: str, call_s: float, pays: bool
) -> AsyncIterator[tuple[CustomerSession, Identity]]:
    """A socket that acts for `loginid`, and who Deriv says that is. `pays`: the token must be allowed to move money.

    Raises `NotSent` when there is no connection or no answer, `Refused` when this token does not open this account.
    """
    socket = await dialer.connect()
    try:
        session = CustomerSession(socket, call_s=call_s)
        yield session, await _authorized(session, loginid=loginid, token=token, pays=pays)
    finally:
        await socket.close()


async def _authorized(session: CustomerSession, *, loginid: str, token: str, pays: bool) -> Identity:
    try:
        frame = await session.ask(deriv.authorize(token))
    except OutcomeUnknown as error:
        raise NotSent(error.code) from error
    if frame.error_code in deriv.TOKEN_REFUSED:
        raise Refused(frame.error_code)
    if frame.error_code:
        raise NotSent(frame.error_code)
    try:
        who = deriv.identity(frame)
    except BadInput as error:
        raise NotSent(f"{UNREADABLE}:{error.field}") from error
    if who.loginid != loginid:
        raise Refused(ANOTHER_ACCOUNT)
    if who.is_virtual or who.currency != Currency.USD:
        raise Refused(ACCOUNT_UNSUITABLE)
    if pays and deriv.AUTHORIZE_PAYMENTS not in who.scopes:
        raise Refused(NO_PAYMENTS_SCOPE)
    return who
