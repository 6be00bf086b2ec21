"""Reading statements: the agent's over its session, under one pace for all who read; a customer's on their own socket.

A read goes back to the time that was asked for, or it is none: what is missing from half a list proves nothing. A row
that nobody can read hides no other, but then nothing that rests on what is missing, or on numbers, is proven.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from actors.base import ActorCrashed, AskTimeout, Unavailable
from actors.deriv_agent import AgentWitness
from actors.deriv_calls import Call, CallEnd
from actors.deriv_customer_session import Secrets, customer_session
from actors.pacing import TokenBucket
from actors.rail_call import unsealed
from penpay.domain import deriv_protocol as deriv
from penpay.domain.deriv_protocol import Frame
from penpay.domain.errors import BadInput, NotSent, Refused
from penpay.domain.money import Currency
from penpay.domain.rail_end import UNREADABLE, Outcome
from penpay.domain.statement import StatementRead, StatementRow
from penpay.messages_rails import DERIV_SESSION
from penpay.ports import Addresses, Clock, OperationRow, Sealer
from penpay.ports_rails import DerivDialer

log = structlog.get_logger("penpay.rails")

NOT_READ = "statement_not_read"
_PAGES_MAX = 20
_ASK_MARGIN_S = 10.0


async def rows_since(
    ask: Callable[[deriv.Request], Awaitable[Frame]], *, since: datetime, currency: Currency, account: str
) -> tuple[Sequence[StatementRow], bool]:
    """Everything of this login since then, newest first, and whether all of it can be read.

    Raises what `ask` raises, `NotSent` for too much, `BadInput`. New rows push older ones on while pages are read, so
    pages may overlap but leave no hole.
    """
    found: dict[int, StatementRow] = {}
    complete = True
    for number in range(_PAGES_MAX):
        frame = await ask(deriv.statement(since=since, offset=number * deriv.STATEMENT_PAGE))
        page = deriv.statement_page(frame, currency, account)
        found.update((row.id, row) for row in page.rows)
        complete = complete and len(page.rows) == page.listed
        if page.listed < deriv.STATEMENT_PAGE:
            if not complete:
                log.warning("rows of a statement cannot be read", rail="deriv", since=since)
            return list(found.values()), complete
    raise NotSent("too_many_pages")


class AgentStatement:
    """The agent's statement. Its readers share one pace: Deriv counts calls, not readers."""

    def __init__(
        self, *, witness: AgentWitness, addresses: Addresses, clock: Clock, call_s: float, reads_per_min: float
    ) -> None:
        self.witness = witness
        self._addresses = addresses
        self._clock = clock
        self._call_s = call_s
        self._bucket = TokenBucket(reads_per_min / 60)

    def wait_s(self) -> float:
        """How long until a read may start."""
        return self._bucket.wait_s(self._clock.monotonic_s())

    async def read(self, since: datetime) -> StatementRead:
        """Rows since then and the balance as told around the read. Raises `NotSent` when it cannot be read now."""
        before_minor = self.witness.balance.minor
        try:
            rows, complete = await rows_since(
                self._ask, since=since, currency=self.witness.currency, account=self.witness.loginid
            )
        except BadInput as error:
            raise NotSent(f"{UNREADABLE}:{error.field}") from error
        if self.witness.site_status != "up":
            raise NotSent(NOT_READ)
        balances_minor = frozenset({before_minor, self.witness.balance.minor})
        return StatementRead(rows=rows, balances_minor=balances_minor, complete=complete)

    async def tell_balance(self) -> None:
        """Have the balance told once more: the session takes the answer as it takes a push. Raises `NotSent`."""
        await self._ask(deriv.balance_now())

    async def _ask(self, request: deriv.Request) -> Frame:
        self._bucket.take(self._clock.monotonic_s())
        call = Call(request=request, timeout_s=self._call_s)
        try:
            end = await self._addresses.ask(DERIV_SESSION, call, timeout_s=self._call_s + _ASK_MARGIN_S)
        except (AskTimeout, ActorCrashed, Unavailable) as error:
            raise NotSent(NOT_READ) from error
        assert isinstance(end, CallEnd)
        if end.outcome is not Outcome.CONFIRMED or end.frame is None:
            raise NotSent(NOT_READ)
        return end.frame


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerStatements:
    """Statements of customers, each read with the token that the intent of their debit carries."""

    dialer: DerivDialer
    sealer: Sealer
    call_s: float = 15.0

    async def read(self, debit: OperationRow, since: datetime) -> StatementRead:
        """As `AgentStatement.read`, of the account that `debit` names. Raises `NotSent` and `Refused`."""
        login = debit.request["loginid"]
        try:
            secrets = Secrets.from_bytes(unsealed(self.sealer, debit))
        except ValueError:
            raise Refused("secrets_unreadable") from None
        opening = customer_session(self.dialer, loginid=login, token=secrets.token, call_s=self.call_s, pays=False)
        async with opening as (session, _):
            try:
                _, before = deriv.balance(await session.read(deriv.balance_now()))
                rows, complete = await rows_since(session.read, since=since, currency=before.currency, account=login)
                _, after = deriv.balance(await session.read(deriv.balance_now()))
            except BadInput as error:
                raise NotSent(f"{UNREADABLE}:{error.field}") from error
        return StatementRead(rows=rows, balances_minor=frozenset({before.minor, after.minor}), complete=complete)
