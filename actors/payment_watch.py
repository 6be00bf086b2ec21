"""Keeps watch over Safaricom's list of payments, for those that nobody asks about any more.

A callback may be lost after another one, or everybody, has said no. So the list is read again and again, each time from
well before the end of the last read, and what the books do not know becomes evidence: of the saga whose push it names,
or of shard 0, where it is set aside and shown to a person. Evidence is durable before the cursor moves. A day later all
of it is read once more, for what was listed so late.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from penpay.domain.errors import GatewayError
from penpay.domain.payments import KIND, REFERENCE, PullRow, encode_payment, payment_for
from penpay.domain.reconciliation import REACH
from penpay.domain.strays import SHARD
from penpay.domain.unit import OVER
from penpay.messages import InboxRow
from penpay.ports import AttemptStore, Clock, Ids, InboxStore, OperationRow
from penpay.ports_rails import TOO_MANY_PAGES, DarajaGateway, PaymentBooks, RailReads

log = structlog.get_logger("penpay.rails")

ACCOUNT = "mpesa_paybill"
CURSOR = "payments_filed"
"""Up to when everything that was listed is in the books, or on its way there."""
AGAIN = "payments_filed_again"
"""Up to when the list was read a second time, a day later."""
DAY_S = 86_400.0
UNREADABLE_ROWS = "unreadable_rows"
BEYOND_THE_LIST = "beyond_the_list"
_CLOCKS = timedelta(minutes=5)
_SMALLEST_PART = 1 / 64
_PAGE = 500
"""Receipts per question to the database."""
_ENTRY_MAX = 4000
"""Bytes that are kept of an entry that nobody can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """Seconds. Each read begins `overlap_s` before what is known to be filed: rows may be listed late.

    It goes on for `step_s` at most, so that a day that was missed comes in pieces. A payment is nobody's when it is
    `settle_s` old; so long its own callback, or its saga's own question, may still be on the way, and it is read again.
    What is `again_s` old is read a second time, in pieces of `step_s`.
    """

    overlap_s: float = 1800.0
    step_s: float = 7200.0
    settle_s: float = 600.0
    again_s: float = DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParts:
    """What the watch works with."""

    daraja: DarajaGateway
    books: PaymentBooks
    reads: RailReads
    attempts: AttemptStore
    inbox: InboxStore
    clock: Clock
    ids: Ids
    settings: WatchSettings = WatchSettings()


@dataclass(frozen=True, slots=True)
class Look:
    """How a read went. `problem` is a code or empty; `behind`: there is more to read at once."""

    problem: str = ""
    behind: bool = False


class PaymentWatch:
    """Reads one piece of the list at a time. What it knows is in the database, so any node may go on."""

    def __init__(self, parts: WatchParts) -> None:
        self._parts = parts
        self._part = {CURSOR: 1.0, AGAIN: 1.0}
        """How much of a piece is read: less where it has more rows than one read brings."""

    async def look(self) -> Look:
        """The next piece. Raises `GatewayError` or `StoreError`: then it is read again. Repeating books nothing."""
        parts, settings, now = self._parts, self._parts.settings, self._parts.clock.now()
        booked_since = await parts.reads.booked_since(ACCOUNT)
        cursors = await parts.books.cursors()
        # A clock that was ahead, and was set back, hides nothing.
        cursor = min(cursors.get(CURSOR, booked_since), now)
        listed_since = now - REACH
        # Clocks differ: a payment of our first push may bear a time before our books began.
        overlap = timedelta(seconds=settings.overlap_s * self._part[CURSOR])
        since = max(cursor - overlap, booked_since - _CLOCKS, listed_since)
        until = min(max(cursor, since) + self._step(CURSOR), now)
        if since > until:
            return Look()  # by this clock the books have not begun
        settled_at = now - timedelta(seconds=settings.settle_s)
        complete = await self._read(CURSOR, since, until, booked_since=booked_since, now=now)
        lost = cursor < listed_since
        if lost:
            log.error("payments are older than Safaricom's list", since=cursor, until=listed_since)
        behind = until < settled_at
        if not behind:
            complete &= await self._look_again(cursors.get(AGAIN, booked_since), booked_since=booked_since, now=now)
        problem = BEYOND_THE_LIST if lost else "" if complete else UNREADABLE_ROWS
        return Look(problem, behind=behind)

    async def _look_again(self, cursor: datetime, *, booked_since: datetime, now: datetime) -> bool:
        """A whole piece of the day before: what was listed later than the overlap reaches, or told to nobody."""
        since = max(cursor - _CLOCKS, booked_since - _CLOCKS, now - REACH)
        until = max(cursor, since) + self._step(AGAIN)
        if until > now - timedelta(seconds=self._parts.settings.again_s):
            return True
        return await self._read(AGAIN, since, until, booked_since=booked_since, now=now)

    def _step(self, source: str) -> timedelta:
        return timedelta(seconds=self._parts.settings.step_s * self._part[source])

    async def _read(
        self, source: str, since: datetime, until: datetime, *, booked_since: datetime, now: datetime
    ) -> bool:
        """Make evidence of a piece of the list, then move its cursor. False: some of it says nothing to us."""
        parts = self._parts
        try:
            listed = await parts.daraja.pull(since=since, until=until)
        except GatewayError as error:
            if error.code == TOO_MANY_PAGES:
                self._part[source] = max(self._part[source] / 2, _SMALLEST_PART)
            raise
        self._part[source] = min(self._part[source] * 2, 1.0)
        settled_at = now - timedelta(seconds=parts.settings.settle_s)
        await self._file(listed.rows, booked_since=booked_since, settled_at=settled_at, now=now)
        for entry in listed.unreadable:
            await self._show(entry, now=now)
        # What was too young to be filed is not behind the cursor, however little a crowd leaves of the overlap.
        await parts.books.move_cursor(source, min(until, settled_at), at=now)
        return listed.complete

    async def _file(
        self, rows: Sequence[PullRow], *, booked_since: datetime, settled_at: datetime, now: datetime
    ) -> None:
        """Make evidence of what no booking of ours explains. What came before our books is in the opening balance."""
        missing = await self._missing(rows)
        if not missing:
            return
        claims = await self._parts.books.claims(sorted({row.reference for row in missing if row.reference}))
        pushes = await self._parts.reads.operations(sorted(claims.values()))
        named: dict[str, list[PullRow]] = {}
        for row in missing:
            push = pushes.get(claims.get(row.reference, ""))
            if push is not None:
                named.setdefault(push.id, []).append(row)
            elif booked_since <= row.paid_at <= settled_at:
                await self._add(row, None, now=now)
        for push_id, found in named.items():
            push = pushes[push_id]
            its_own = payment_for(push.amount, push.recipient, found)
            # While the push is open its saga asks, and its callback may be on the way.
            if push.state in OVER or its_own.paid_at <= settled_at:
                await self._add(its_own, push, now=now)
            for row in found:
                if row is not its_own and booked_since <= row.paid_at <= settled_at:
                    await self._add(row, None, now=now)

    async def _missing(self, rows: Sequence[PullRow]) -> list[PullRow]:
        known: set[str] = set()
        for begin in range(0, len(rows), _PAGE):
            receipts = [row.receipt for row in rows[begin : begin + _PAGE]]
            known |= (await self._parts.attempts.used_references(REFERENCE, receipts)).keys()
        return [row for row in rows if row.receipt not in known]

    async def _add(self, row: PullRow, push: OperationRow | None, *, now: datetime) -> None:
        """Once for each owner: a receipt that its push did not take is nobody's later."""
        operation_id = push.id if push else ""
        evidence = InboxRow(
            id=self._parts.ids.ulid(),
            shard=push.shard if push else SHARD,
            kind=KIND,
            operation_id=operation_id,
            body=encode_payment(row),
            trusted_source=True,
            received_at=now,
        )
        new = await self._parts.inbox.add(
            evidence, dedupe_key=f"{KIND}:{row.receipt}:{operation_id}", source="safaricom"
        )
        if new and push:
            log.warning("a payment was found in the list", receipt=row.receipt, operation_id=operation_id)
        elif new:
            log.error("shillings arrived that nobody claims", receipt=row.receipt, amount=row.amount.text())

    async def _show(self, entry: str, *, now: datetime) -> None:
        """It may be a payment: what the inbox cannot read either is put before a person, once."""
        evidence = InboxRow(
            id=self._parts.ids.ulid(),
            shard=SHARD,
            kind=KIND,
            operation_id="",
            body=entry.encode(errors="replace")[:_ENTRY_MAX],
            trusted_source=True,
            received_at=now,
        )
        digest = hashlib.sha256(entry.encode(errors="replace")).hexdigest()
        if await self._parts.inbox.add(evidence, dedupe_key=f"{KIND}:unreadable:{digest}", source="safaricom"):
            log.error("an entry of the list of payments cannot be read", digest=digest)
