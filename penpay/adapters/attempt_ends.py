"""Writing how attempts ended: the rail's row and the evidence for the shard, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from penpay.adapters.database import RAILS, Database
from penpay.adapters.inbox_store import inbox_values
from penpay.adapters.mysql import Connection
from penpay.adapters.row_shapes import inbox_row
from penpay.adapters.sql_text import CASES_MAX
from penpay.domain.errors import StoreError
from penpay.domain.json_text import canonical_json
from penpay.domain.rail_end import Outcome, RailEnd, encode_rail_end
from penpay.messages import InboxRow
from penpay.ports import AttemptEnd, Clock, Ids, Sealer

_COLUMNS = ("code", "provider_ref", "facts", "sealed_body", "ended_at", "outcome")


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
            *(("rail_attempts", statement) for statement in ends),
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

    def _ends(self, ends: Sequence[AttemptEnd]) -> Sequence[str]:
        known: dict[str, AttemptEnd] = {}
        for end in ends:
            attempt = f"{end.operation_id}/{end.attempt}"
            if attempt not in known or known[attempt].outcome == Outcome.UNKNOWN:
                known[attempt] = end
        # In the order of their ids, as whoever else locks several of them does.
        attempts = sorted(known)
        return [
            self._end([(attempt, known[attempt]) for attempt in attempts[first : first + CASES_MAX]])
            for first in range(0, len(attempts), CASES_MAX)
        ]

    def _end(self, ends: Sequence[tuple[str, AttemptEnd]]) -> str:
        attempts = [attempt for attempt, _ in ends]
        rows = [
            (
                *(end.code[:128], end.provider_ref[:128], canonical_json(end.facts)),
                *(self._sealed(end), end.at, end.outcome),
            )
            for _, end in ends
        ]
        columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
        ids = sorted({end.operation_id for _, end in ends})
        return self._queries.with_cases("end_attempts", attempts, columns, ids=ids, attempts=attempts)

    def _sealed(self, end: AttemptEnd) -> bytes:
        return self._sealer.seal(end.body, aad=f"rail_attempts|sealed_body|{end.operation_id}|{end.attempt}")
