"""The inbox consumer of a shard: brings stored evidence to its saga, at once or by a sweep."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from actors.base import AsyncioActor, MailboxFull
from actors.recording import record
from actors.suspects import Suspects
from penpay.domain.credits import decode_credit
from penpay.domain.errors import BadInput, Unavailable
from penpay.domain.movements import KIND as MOVEMENT
from penpay.domain.movements import Movement, decode_movement, movement_unit
from penpay.domain.payments import KIND as PULL
from penpay.domain.payments import decode_payment
from penpay.domain.presentation import time_text
from penpay.domain.strays import ALREADY_KNOWN, Stray
from penpay.domain.suspicion import DELIVERIES_MAX
from penpay.domain.unit import ReviewOpened, UnitOfWork
from penpay.messages import EvidenceArrived, EvidenceBroke, InboxBell, InboxRow, UnitRejected, inbox_of, saga_of
from penpay.ports import Addresses, Clock, Ids, InboxStore

log = structlog.get_logger()

PAGE_MAX = 500
GATHER_S = 0.005
"""Bells that ring within this share one look at whose evidence it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxTimes:
    """Seconds: how often to sweep, how old a row must be for it, and when it is handed over again if not consumed."""

    sweep_s: float = 2.0
    age_s: float = 2.0
    redeliver_s: float = 15.0
    review_due_s: float = 14400.0


def _credit(body: bytes) -> Stray:
    credit = decode_credit(body)
    return Stray(kind="credit", ref=credit.transaction_id, amount=credit.amount, at=time_text(credit.at))


def _payment(body: bytes) -> Stray:
    payment = decode_payment(body)
    return Stray(
        kind="payment",
        ref=payment.receipt,
        amount=payment.amount,
        at=time_text(payment.paid_at),
        phone_tail=payment.phone_tail,
    )


STRAYS: Mapping[str, Callable[[bytes], Movement]] = {"credit": _credit, PULL: _payment, MOVEMENT: decode_movement}
"""Evidence that may be nobody's: the movement that it tells of."""


class InboxActor(AsyncioActor):
    """Delivers each row until its saga's unit consumes it; a row that nobody can consume is put aside for a person."""

    KIND = "inbox"
    LEVEL = 5
    MAILBOX_MAX = 4096

    def __init__(
        self,
        *,
        shard: int,
        addresses: Addresses,
        store: InboxStore,
        suspects: Suspects,
        clock: Clock,
        ids: Ids,
        times: InboxTimes,
    ) -> None:
        super().__init__()
        self._shard = shard
        self._addresses = addresses
        self._store = store
        self._suspects = suspects
        self._clock = clock
        self._ids = ids
        self._times = times
        self._delivered: dict[str, float] = {}
        self._rung: list[InboxRow] = []
        self._problem = ""
        self._taken = ""
        """The row of nobody that is being booked."""

    def observable_state(self) -> Mapping[str, object]:
        """Rows handed over lately, and why the sweep does not look, if it does not."""
        return {"handed_over_lately": len(self._delivered), "problem": self._problem}

    async def on_start(self) -> None:
        """The first sweep takes what arrived while nobody was here."""
        self.timers.every("sweep", self._times.sweep_s, "sweep")
        self.actor_ref.tell("sweep")

    def on_incarnation_over(self) -> None:
        """Whatever ended it over a row of nobody, the row is counted, as one that a saga breaks over is."""
        if self._taken:
            with suppress(MailboxFull):
                self._addresses.tell(inbox_of(self._shard), EvidenceBroke(self._taken))

    async def on_receive(self, message: Any) -> None:
        """Fresh rows, a saga that broke, or the time for a sweep. Bells that wait together are answered by one look."""
        try:
            match message:
                case InboxBell(fresh):
                    if not self._rung:
                        self.timers.once("rung", GATHER_S, "rung")
                    self._rung += fresh
                case "rung":
                    rows, self._rung = self._rung, []
                    await self._deliver(rows)
                case EvidenceBroke(row_id):
                    await self._store.delivered([row_id])
                case _:
                    await self._sweep()
            self._problem = ""
        except Unavailable as error:
            self._taken = ""
            self._problem = str(error)

    async def _sweep(self) -> None:
        now_s = self._clock.monotonic_s()
        self._delivered = {key: at for key, at in self._delivered.items() if now_s - at < self._times.redeliver_s}
        older_than = self._clock.now() - timedelta(seconds=self._times.age_s)
        rows = await self._store.waiting(self._shard, older_than=older_than, limit=PAGE_MAX)
        sound = [row for row in rows if row.deliveries < DELIVERIES_MAX]
        for row in rows:  # poison first, before its saga breaks over it so often that it is parked
            if row.deliveries >= DELIVERIES_MAX:
                await self._put_aside(row, f"whoever took it broke over it {row.deliveries} times")
        await self._deliver([row for row in sound if row.id not in self._delivered], swept=True)

    async def _deliver(self, rows: Sequence[InboxRow], *, swept: bool = False) -> None:
        """Hand rows to their sagas. Only a sweep knows what is nobody's: a bell may ring before there is an owner."""
        if not rows:
            return
        owners = await self._store.transactions_of(sorted({row.operation_id for row in rows}))
        for row in rows:
            owner = owners.get(row.operation_id)
            if owner is None:
                if swept and row.kind in STRAYS:
                    await self._take(row)
                elif swept:
                    await self._put_aside(row, "no operation of this installation")
                continue
            try:
                self._addresses.tell(saga_of(self._shard, owner), EvidenceArrived(row))
            except MailboxFull:
                continue  # the next sweep brings it
            self._delivered[row.id] = self._clock.monotonic_s()

    async def _take(self, row: InboxRow) -> None:
        async with self._suspects.taken(row):
            self._taken = row.id
            await self._book_stray(row)
        self._taken = ""

    async def _book_stray(self, row: InboxRow) -> None:
        """Money of nobody is in suspense before anybody asks about it, and once whoever finds it."""
        try:
            movement = STRAYS[row.kind](row.body)
        except BadInput as error:
            await self._put_aside(row, str(error))
            return
        now = self._clock.now()
        unit = movement_unit(movement, review_id=self._ids.ulid(), now=now, actor="inbox")
        answer = await record(self._addresses, replace(unit, quarantines=(row.id,)))
        if isinstance(answer, UnitRejected) and answer.code in ALREADY_KNOWN:
            known = UnitOfWork(unit_id=f"quarantine:{row.id}", shard=self._shard, at=now, quarantines=(row.id,))
            await record(self._addresses, known)
        elif isinstance(answer, UnitRejected):
            await self._put_aside(row, f"{answer.code}: {answer.detail}")

    async def _put_aside(self, row: InboxRow, reason: str) -> None:
        log.error("evidence_quarantined", kind=row.kind, operation_id=row.operation_id, reason=reason)
        now = self._clock.now()
        review = ReviewOpened(
            id=self._ids.ulid(),
            transaction_id="",
            operation_id=row.operation_id,
            kind="evidence_unmatched",
            reason=reason,
            owner_role="OPS",
            due_at=now + timedelta(seconds=self._times.review_due_s),
            evidence={"kind": row.kind},
        )
        unit = UnitOfWork(
            unit_id=f"quarantine:{row.id}", shard=self._shard, at=now, quarantines=(row.id,), reviews=(review,)
        )
        await record(self._addresses, unit)
