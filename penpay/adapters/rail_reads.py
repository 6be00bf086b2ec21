"""What rails look up beside their attempts: intents as they were written, what is promised, how far our books reach."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from penpay.adapters.database import RAILS, Database
from penpay.adapters.row_shapes import operation_row
from penpay.ports import OperationRow


class MySqlRailReads:
    """`penpay.ports_rails.RailReads` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = database.queries("attempts")
        self._queries = database.queries("rails")

    async def operations(self, operation_ids: Sequence[str]) -> Mapping[str, OperationRow]:
        if not operation_ids:
            return {}
        rows = await self._database.rows(self._attempts("operations", ids=operation_ids), lane=RAILS)
        return {operation.id: operation for operation in map(operation_row, rows)}

    async def reserved_payouts_minor(self) -> int:
        ((reserved_minor,),) = await self._database.rows(self._queries("reserved_payouts"))
        return int(reserved_minor)

    async def booked_since(self, account: str) -> datetime:
        ((since,),) = await self._database.rows(self._queries("booked_since", unit_id=f"opening:{account}"))
        assert isinstance(since, datetime), "an installation has a row"
        return since
