"""What readiness, start-up and the gauges look at, across all shards. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from penpay.adapters.database import Database

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

    async def waiting(self) -> Waiting:
        """Ages and counts for the gauges."""
        oldest = await self._database.rows(self._queries("oldest_open"))
        kinds = await self._database.rows(self._queries("unknown_operations"))
        outbox = await self._database.rows(self._queries("outbox_waiting"))
        unknown = {"daraja": 0, "deriv": 0}
        for kind, count in kinds:
            unknown[PROVIDER_OF.get(str(kind), "deriv")] += int(count)
        return Waiting({(str(type_), str(state)): since for type_, state, since in oldest}, unknown, outbox[0][0])
