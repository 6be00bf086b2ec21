"""What readiness, start-up and the gauges look at, across all shards. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from penpay.adapters.database import Database
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency, Money
from penpay.domain.overview import Backlog, Desk, Late, Unfinished
from penpay.domain.unit import OperationKind

PROVIDER_OF = {"STK": "daraja", "REVERSAL": "daraja", "B2C": "daraja"}
"""Which rail runs an operation; the others are Deriv's."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in the whole installation. `outbox_since` is None when everything was relayed."""

    oldest_open: dict[tuple[str, str], datetime]
    unknown: dict[str, int]
    outbox_since: datetime | None


class MySqlOverview:
    """Reads over the whole ledger schema. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("overview")

    async def ping(self) -> None:
        """Nothing but an answer."""
        await self._database.rows(self._queries("ping"))

    async def is_recorded(self, unit_id: str) -> bool:
        """Whether this unit of work is durable."""
        return bool(await self._database.rows(self._queries("unit_exists", unit_id=unit_id)))

    async def account_minor(self, code: AccountCode, currency: Currency) -> int:
        """What stands on an account of ours, over all shards."""
        total = self._queries("account_total", code=code.value, currency=currency.value)
        return int((await self._database.rows(total))[0][0])

    async def waiting(self) -> Waiting:
        """Ages and counts for the gauges."""
        oldest = await self._database.rows(self._queries("oldest_open", shards=await self._shards()))
        ages = {(str(type_), str(state)): since for type_, state, since in oldest}
        return Waiting(ages, await self._unknown(), await self._outbox_since())

    async def unfinished(self, *, at: datetime, late_max: int) -> Unfinished:
        """Everything that has not ended, for people: what waits by itself and what waits for them."""
        shards = await self._shards()
        backlog = await self._database.rows(self._queries("backlog", shards=shards))
        late = await self._database.rows(self._queries("late", shards=shards, limit=late_max))
        desks = await self._database.rows(self._queries("desks", at=at))
        return Unfinished(
            backlog=[Backlog(type_, state, int(count), since) for type_, state, count, since in backlog],
            late=[
                Late(id_, type_, state, Money(int(minor), Currency(currency)), created_at, updated_at)
                for id_, type_, state, minor, currency, created_at, updated_at in late
            ],
            desks=[Desk(role, int(open_), int(overdue), due_at) for role, open_, overdue, due_at in desks],
            unknown=await self._unknown(),
            outbox_since=await self._outbox_since(),
        )

    async def _shards(self) -> list[int]:
        return [int(shard) for (shard,) in await self._database.rows(self._queries("shards"))]

    async def _unknown(self) -> dict[str, int]:
        unknown = {"daraja": 0, "deriv": 0}
        asked = self._queries("unknown_operations", kinds=list(OperationKind))
        for kind, count in await self._database.rows(asked):
            unknown[PROVIDER_OF.get(str(kind), "deriv")] += int(count)
        return unknown

    async def _outbox_since(self) -> datetime | None:
        ((since,),) = await self._database.rows(self._queries("outbox_waiting"))
        return since if isinstance(since, datetime) else None
