"""The agent's Deriv account as a visitor sees it: statement and balance, on a socket of its own. Moves nothing."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from penpay.domain import deriv_protocol as deriv
from penpay.domain.errors import BadInput, GatewayError, NotSent, OutcomeUnknown, Refused, StoreError
from penpay.domain.money import Currency, Money
from penpay.domain.statement import StatementRow
from penpay.ports_rails import DerivDialer, DerivSocket

_PAGES_MAX = 200


@dataclass(frozen=True, slots=True)
class AgentReading:
    """Every movement since the asked time, newest first, and the balance when the reading ended.

    `complete` False: some of its rows cannot be read.
    """

    rows: Sequence[StatementRow]
    balance: Money
    complete: bool = True


class DialedAgentAccount:
    """Reads the whole of a period or nothing: a part of a list proves nothing about what is missing from it."""

    def __init__(
        self, dialer: DerivDialer, *, loginid: str, token: str, call_s: float, reads_per_minute: float = 90.0
    ) -> None:
        self._dialer = dialer
        self._loginid = loginid
        self._token = token
        self._call_s = call_s
        self._pause_s = 60.0 / reads_per_minute if reads_per_minute else 0.0

    async def read(self, since: datetime) -> AgentReading:
        """Raises `GatewayError` when it cannot be read now."""
        socket = await self._dialer.connect()
        try:
            return await self._read(_Asking(socket, self._call_s), since)
        except (StoreError, TimeoutError) as error:
            raise OutcomeUnknown("no_answer", type(error).__name__) from error
        except BadInput as error:
            raise OutcomeUnknown("unreadable_answer", error.field) from error
        finally:
            with contextlib.suppress(StoreError, OSError):
                await socket.close()

    async def _read(self, asking: "_Asking", since: datetime) -> AgentReading:
        who = deriv.identity(await asking.ask(deriv.authorize(self._token)))
        if who.loginid != self._loginid:
            raise Refused("other_account", f"the token opens {who.loginid}")
        currency = Currency(who.currency)
        found: dict[int, StatementRow] = {}
        complete = True
        for number in range(_PAGES_MAX):
            if number:
                await asyncio.sleep(self._pause_s)
            frame = await asking.ask(deriv.statement(since=since, offset=number * deriv.STATEMENT_PAGE))
            page = deriv.statement_page(frame, currency, self._loginid)
            # New rows push older ones on while pages are read: pages overlap then, and leave no hole.
            found.update((row.id, row) for row in page.rows)
            complete = complete and len(page.rows) == page.listed
            if page.listed < deriv.STATEMENT_PAGE:
                _, balance = deriv.balance(await asking.ask({"balance": 1}))
                newest_first = sorted(found.values(), key=lambda row: row.id, reverse=True)
                return AgentReading(newest_first, balance, complete)
        raise NotSent("too_many_pages")


class _Asking:
    """One question after the other on one socket."""

    def __init__(self, socket: DerivSocket, call_s: float) -> None:
        self._socket = socket
        self._call_s = call_s
        self._asked = 0

    async def ask(self, request: deriv.Request) -> deriv.Frame:
        self._asked += 1
        async with asyncio.timeout(self._call_s):
            await self._socket.send(deriv.encode(request, self._asked))
            while True:
                frame = deriv.decode(await self._socket.receive())
                if frame.req_id == self._asked:
                    break
        if frame.error_code:
            raise _error(frame)
        return frame


def _error(frame: deriv.Frame) -> GatewayError:
    return Refused(frame.error_code, frame.error_message)
