"""What the books say to the providers' lists, and the cursors of how far those were read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.mysql_wire import Row
from penpay.domain.money import Currency, Money
from penpay.domain.movements import DIFFERS, told_of
from penpay.domain.reconciliation import Booked
from penpay.domain.unit import OperationKind

_PAGE = 500
"""Ids per statement: a list of thousands is asked for in pieces."""


class MySqlReconciliation:
    """Reads over the whole ledger schema, and one small table of its own: also `PaymentBooks`. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("reconcile")

    async def booked(
        self, kinds: Sequence[str], *, account: str, currency: Currency, since: datetime, refs: Sequence[str]
    ) -> Mapping[str, Booked]:
        """References of these kinds: those that were asked about, and all that were recorded since then."""
        found: dict[str, Booked] = {}
        for begin in range(0, max(1, len(refs)), _PAGE):
            page = refs[begin : begin + _PAGE]
            query = self._queries("booked", kinds=kinds, account=account, since=since, refs=page)
            for row in await self._database.rows(query):
                one = _booked(row, currency)
                found[one.ref] = one
        return found

    async def claims(self, references: Sequence[str]) -> Mapping[str, str]:
        """Ids of pushes by the reference that a payment names."""
        found: dict[str, str] = {}
        for begin in range(0, len(references), _PAGE):
            query = self._queries("claims", references=references[begin : begin + _PAGE])
            found |= dict(await self._database.rows(query))
        return found

    async def balances_minor(self) -> Mapping[str, int]:
        """Our books of what the providers hold, by account."""
        return {code: int(minor) for code, minor in await self._database.rows(self._queries("balances"))}

    async def open_ended(self) -> Mapping[str, int]:
        """How many operations of each kind may or may not have moved money."""
        return {kind: int(count) for kind, count in await self._database.rows(self._queries("open_ended"))}

    async def awaited(self) -> frozenset[Money]:
        """What the agent's account may still show for operations of ours, signed as it would show it."""
        rows = await self._database.rows(self._queries("awaited"))
        return frozenset(
            Money(minor if kind == OperationKind.DERIV_WITHDRAW else -minor, Currency.USD) for kind, minor in rows
        )

    async def answered(self) -> Counter[str]:
        """How often people answered what was found, by the key of it that was never answered."""
        rows = await self._database.rows(self._queries("answered", kind=DIFFERS))
        return Counter(told_of(json.loads(evidence)).key for (evidence,) in rows)

    async def cursors(self) -> Mapping[str, datetime]:
        """Up to when each list agreed, or was filed by the node."""
        return dict(await self._database.rows(self._queries("cursors")))

    async def move_cursor(self, source: str, until: datetime, *, at: datetime) -> None:
        """Everything up to here agreed, or was filed."""
        for name in ("add_cursor", "move_cursor"):
            await self._database.write(self._queries(name, source=source, agreed_until=until, at=at))


def _booked(row: Row, currency: Currency) -> Booked:
    ref, created_at, kind, transaction_id, data, sent_at, moved_minor = row
    saga = json.loads(data) if data else {}
    minor = int(moved_minor) if moved_minor is not None else None
    happened = sent_at or created_at
    if kind == "STK" and saga.get("receipt") == ref and "paid_at" in saga:
        happened = datetime.fromisoformat(saga["paid_at"])
    amount = Money(minor, currency) if minor is not None else None
    return Booked(ref=ref, amount=amount, at=happened, transaction_id=transaction_id or "")
