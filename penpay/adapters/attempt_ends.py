"""Writing how attempts ended: the rail's row and the evidence for the shard, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from penpay.adapters.database import RAILS, Database
from penpay.adapters.inbox_store import inbox_values
from penpay.adapters.mysql import Connection
from penpay.adapters.row_shapes import inbox_row
from penpay.adapters.sql_text import json_rows, json_text
from penpay.domain.chain import at_text
from penpay.domain.errors import StoreError
from penpay.domain.rail_end import Outcome, RailEnd, encode_rail_end
from penpay.messages import InboxRow
from penpay.ports import AttemptEnd, Clock, Ids, Sealer


@dataclass(frozen=True, slots=True)
class Ended:
    """One end, and the shard that it is evidence for."""

    rail: str
    epoch: int
    end: AttemptEnd
    shard: int

    @property
    def dedupe_key(self) -> str:
        """One inbox row per attempt and outcome: what is learned after an unknown end is new evidence."""
        return f"rail:{self.end.operation_id}:{self.end.attempt}:{self.end.outcome}"


class AttemptEnds:
    """Writes batches of ends. Safe to repeat: the first end of an attempt stays, an unknown one gives way."""

    def __init__(self, database: Database, sealer: Sealer, *, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._ids = ids
        self._queries = database.queries("attempts")
        self._inbox = database.queries("inbox")

    async def write(self, ended: Sequence[Ended]) -> Sequence[InboxRow | StoreError]:
        """The inbox row of each end, as stored first."""
        evidence = {one.dedupe_key: self._evidence(one) for one in ended}
        inbox = [inbox_values(found, key, "", self._sealer) for key, found in evidence.items()]
        ends = self._ends([one.end for one in ended if one.end.attempt > 0])

        statements = [
            ("", "START TRANSACTION"),
            *([("rail_attempts", ends)] if ends else []),
            ("callback_inbox", self._inbox.with_rows("add", inbox)),
            ("", "SELECT ROW_COUNT()"),
            ("", "COMMIT"),
        ]

        async def store(connection: Connection) -> int:
            connection.in_transaction = True
            *_, (added,), _ = await connection.run_all(statements, commits=True)
            connection.in_transaction = False
            return int(added[0])

        if await self._database.transact_itself(store, lane=RAILS) != len(evidence):
            query = self._queries("rail_rows", dedupe_keys=list(evidence))
            for key, *columns in await self._database.rows(query, lane=RAILS):
                evidence[key] = inbox_row(tuple(columns), self._sealer)
        return [evidence[one.dedupe_key] for one in ended]

    def _evidence(self, one: Ended) -> InboxRow:
        end = one.end
        body = encode_rail_end(
            RailEnd(
                operation_id=end.operation_id,
                attempt=end.attempt,
                kind=end.kind,
                outcome=Outcome(end.outcome),
                code=end.code,
                provider_ref=end.provider_ref,
                facts=end.facts,
                hold=end.hold,
                at=end.at,
            )
        )
        return InboxRow(
            id=self._ids.ulid(),
            shard=one.shard,
            kind="rail",
            operation_id=end.operation_id,
            body=body,
            trusted_source=True,
            received_at=self._clock.now(),
        )

    def _ends(self, ends: Sequence[AttemptEnd]) -> str:
        if not ends:
            return ""
        rows = [
            [
                *(end.operation_id, end.attempt, end.code[:128], end.provider_ref[:128], json_text(end.facts)),
                *(self._sealed(end).hex(), at_text(end.at), end.outcome),
            ]
            for end in ends
        ]
        return self._queries("end_attempts", rows=json_rows(rows))

    def _sealed(self, end: AttemptEnd) -> bytes:
        return self._sealer.seal(end.body, aad=f"rail_attempts|sealed_body|{end.operation_id}|{end.attempt}")
