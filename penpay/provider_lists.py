"""The providers' lists beside our books, read and judged: whole for `penpay reconcile`, one item for the node.

The node judges an item anew before it books it, so that nobody books what a provider does not list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from penpay.adapters.agent_account import AgentReading
from penpay.adapters.reconcile_store import MySqlReconciliation
from penpay.domain.money import Currency, Money
from penpay.domain.movements import Contradiction, movement_of
from penpay.domain.reconciliation import REACH, Finding, Listed, Verdict, Window, compare, not_told
from penpay.ports import Clock
from penpay.ports_rails import PullList, RailReads

PAYMENTS, AGENT = "payments", "agent"
ACCOUNTS = {PAYMENTS: "mpesa_paybill", AGENT: "deriv_agent"}
CLOCKS = timedelta(seconds=60)


class Payments(Protocol):
    """Safaricom's list."""

    async def pull(self, *, since: datetime, until: datetime) -> PullList: ...


class AgentAccount(Protocol):
    """Deriv's statement of the agent."""

    async def read(self, since: datetime) -> AgentReading: ...


Compared = tuple[list[Finding], Money | None]
"""What was found in a list, and the balance that came with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Both lists and the books. Raises `GatewayError` for a list that cannot be read, `Unavailable` for the books."""

    payments: Payments
    agent: AgentAccount
    books: MySqlReconciliation
    reads: RailReads
    clock: Clock
    settle_s: float
    """Younger items may still be on their way into the books."""

    def settled_at(self, now: datetime) -> datetime:
        """What happened before is not on its way any more."""
        return now - timedelta(seconds=self.settle_s)

    async def compared(self, source: str, since: datetime, *, until: datetime, now: datetime) -> Compared:
        """A list of a period, item by item. The agent's is always read to its end: its balance stands there."""
        since = max(since, begins(source, now))
        # Known before the books and the list: of what is answered meanwhile either may still be as it was asked about.
        answered = await self.books.answered()
        window = Window(since=since + CLOCKS, settled_at=self.settled_at(now))
        if source == PAYMENTS:
            found, balance = await self._payments(since, until, window), None
        else:
            found, balance = await self._agent(since, window)
        return [_counted(one, answered) for one in found], balance

    async def judged(self, kind: str, ref: str, *, at: datetime) -> Finding | None:
        """One movement that is said to have happened then, as its provider lists it. None: it is not listed so.

        Where a part of the list cannot be read, that is what is found instead.
        """
        source, now = PAYMENTS if kind == "payment" else AGENT, self.clock.now()
        # What is older stands in the opening balance.
        since = max(at - CLOCKS, await self.reads.booked_since(ACCOUNTS[source]))
        if at + CLOCKS < max(since, begins(source, now)):
            return None
        findings, _ = await self.compared(source, since, until=at + CLOCKS, now=now)
        for one in findings:
            if one.ref == ref and one.amount is not None and kind == kind_of(source, one.amount):
                return one
        return next((one for one in findings if one.verdict is Verdict.NOT_TOLD), None)

    async def _payments(self, since: datetime, until: datetime, window: Window) -> list[Finding]:
        told = await self.payments.pull(since=since, until=until)
        rows = told.rows
        listed = [
            Listed(
                ref=row.receipt,
                amount=row.amount,
                at=row.paid_at,
                reference=row.reference,
                phone_tail=row.phone_tail,
            )
            for row in rows
            if row.paid_at >= since
        ]
        booked = await self.books.booked(
            ["mpesa_receipt"],
            account=ACCOUNTS[PAYMENTS],
            currency=Currency.KES,
            since=since,
            refs=[row.receipt for row in rows],
        )
        claims = await self.books.claims(sorted({row.reference for row in rows if row.reference}))
        found = compare(PAYMENTS, listed, booked, claims=claims, window=window, complete=told.complete)
        if not told.complete:
            found.append(not_told(PAYMENTS, "list", "some of its entries cannot be read"))
        return found

    async def _agent(self, since: datetime, window: Window) -> Compared:
        reading = await self.agent.read(since - CLOCKS)
        listed = [Listed(ref=str(row.id), amount=row.amount, at=row.at) for row in reading.rows if row.at >= since]
        # Known before the look at our own rows: what was given its proof in between is then found booked.
        awaited = await self.books.awaited()
        booked = await self.books.booked(
            ["deriv_transaction", "deriv_credit"],
            account=ACCOUNTS[AGENT],
            currency=Currency.USD,
            since=since,
            refs=[str(row.id) for row in reading.rows],
        )
        found = compare(AGENT, listed, booked, claims={}, window=window, awaited=awaited, complete=reading.complete)
        if not reading.complete:
            found.append(not_told(AGENT, "list", "some of its entries cannot be read"))
        return found, reading.balance


def _counted(finding: Finding, answered: Mapping[str, int]) -> Finding:
    movement = movement_of("", finding)
    return replace(finding, answered=answered.get(movement.key, 0)) if isinstance(movement, Contradiction) else finding


def begins(source: str, now: datetime) -> datetime:
    """From when on a list can be read."""
    return now - REACH if source == PAYMENTS else datetime.min.replace(tzinfo=UTC)


def kind_of(source: str, amount: Money) -> str:
    """What a movement of a list is called when nothing of ours explains it. `amount` is signed."""
    return "payment" if source == PAYMENTS else "credit" if amount.minor > 0 else "debit"
