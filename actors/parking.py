"""The parking of a transaction whose saga crashed too often."""

from actors.recording import record, unit_of
from actors.saga import FLOWS, FRESH_IDS, RACES_MAX, SagaParts
from penpay.domain.decision import Decision, Occasion
from penpay.domain.errors import Unavailable
from penpay.domain.saga_events import Parked
from penpay.domain.unit import RejectCode
from penpay.messages import Committed


async def park(transaction_id: str, error: BaseException, parts: SagaParts) -> None:
    """Called by the host, never by the poisoned saga: put the transaction in front of a person. Idempotent.

    Raises `Unavailable` when nobody knows whether it stands there: the host tries again.
    """
    attempted = False
    for _ in range(RACES_MAX):
        rows = await parts.store.load(transaction_id)
        if rows is None:
            return
        flow = FLOWS[rows.row.type]
        fresh = tuple(parts.ids.ulid() for _ in range(FRESH_IDS))
        occasion = Occasion(parts.clock.now(), fresh, attempted=attempted)
        result = flow.decide(flow.from_row(rows.row), Parked(error=type(error).__name__), occasion, parts.rules)
        if not isinstance(result, Decision):
            return
        answer = await record(parts.addresses, unit_of(flow, result, rows.row, actor="saga_host"))
        if isinstance(answer, Committed):
            return
        # Another version: the saga's last unit was durable after all. Read it and decide again.
        attempted = attempted or answer.code is RejectCode.ATTEMPT_EXISTS
    raise Unavailable("ledger")
