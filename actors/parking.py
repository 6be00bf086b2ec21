"""The parking of a transaction whose saga crashed too often."""

from datetime import timedelta

import structlog

from actors.recording import record, unit_of
from actors.saga import FLOWS, FRESH_IDS, RACES_MAX, SagaParts
from penpay.domain.decision import Decision, Occasion
from penpay.domain.errors import Unavailable
from penpay.domain.readable import saga_of
from penpay.domain.review_kinds import ROW_UNREADABLE
from penpay.domain.saga_events import Parked
from penpay.domain.unit import RejectCode, ReviewOpened, UnitOfWork
from penpay.messages import Committed

log = structlog.get_logger()

_RACES = frozenset({RejectCode.VERSION_CONFLICT, RejectCode.UNIT_DIFFERS, RejectCode.ATTEMPT_EXISTS})


async def park(transaction_id: str, error: BaseException, parts: SagaParts) -> None:
    """Called by the host, never by the poisoned saga: put the transaction in front of a person. Idempotent.

    Raises `Unavailable` when nobody knows whether it stands there: the host tries again.
    """
    try:
        await _park(transaction_id, error, parts)
    except Unavailable:
        raise
    except Exception as broken:  # boundary: whatever the rules cannot read or decide is a person's to see
        log.exception("parked_unread", transaction_id=transaction_id)
        await _ask_about_unread(transaction_id, broken, parts)


async def _park(transaction_id: str, error: BaseException, parts: SagaParts) -> None:
    attempted = False
    for _ in range(RACES_MAX):
        rows = await parts.store.load(transaction_id)
        if rows is None:
            return
        flow = FLOWS[rows.row.type]
        fresh = tuple(parts.ids.ulid() for _ in range(FRESH_IDS))
        occasion = Occasion(parts.clock.now(), fresh, attempted=attempted)
        result = flow.decide(saga_of(rows.row), Parked(error=type(error).__name__), occasion, parts.rules)
        if not isinstance(result, Decision):
            return
        answer = await record(parts.addresses, unit_of(flow, result, rows.row, actor="saga_host"))
        if isinstance(answer, Committed):
            return
        if answer.code not in _RACES:
            raise RuntimeError(f"unit {answer.unit_id} rejected: {answer.code} {answer.detail}")
        # Another version: the saga's last unit was durable after all. Read it and decide again.
        attempted = attempted or answer.code is RejectCode.ATTEMPT_EXISTS
    raise Unavailable("ledger")


async def _ask_about_unread(transaction_id: str, broken: Exception, parts: SagaParts) -> None:
    """Put the question beside a row that nobody could park by its rules: one at a time, and at most one a day.

    The row stays as it is, since nobody knows what it means: repaired, its saga goes on from there when it is started.
    """
    if await parts.store.has_open_question(transaction_id, ROW_UNREADABLE):
        return
    now = parts.clock.now()
    question = ReviewOpened(
        id=parts.ids.ulid(),
        transaction_id=transaction_id,
        operation_id="",
        kind=ROW_UNREADABLE,
        reason="its row cannot be read or parked: repair it, then start the saga",
        owner_role="OPS",
        due_at=now + timedelta(seconds=parts.rules.review_due_s),
        evidence={"error": type(broken).__name__},
    )
    unit_id = f"unread:{transaction_id}:{now.date()}"
    answer = await record(parts.addresses, UnitOfWork(unit_id=unit_id, shard=parts.shard, at=now, reviews=(question,)))
    if not isinstance(answer, Committed) and answer.code is not RejectCode.UNIT_DIFFERS:
        raise RuntimeError(f"unit {answer.unit_id} rejected: {answer.code} {answer.detail}")
