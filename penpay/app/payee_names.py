"""Follows payouts to the names that M-Pesa tells afterwards, and puts those that differ before staff.

Money is not stopped by it: M-Pesa names a receiver only in the result, when the shillings have left for good. A payout
goes to the verified number that was frozen at admission, and whose name stands on that line is known too late to refuse
it, but in time to ask who the customer is before the next one; staff can freeze them meanwhile.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from actors.base import ActorCrashed, AskTimeout
from actors.periodic import Job
from penpay.adapters.database import Database
from penpay.adapters.news_store import Happened, MySqlNews
from penpay.adapters.payee_store import MySqlPayeeNames, PayeeName
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.review import PAYEE_NAME
from penpay.domain.unit import ReviewOpened, UnitOfWork
from penpay.messages import CommitUnit, ledger_of
from penpay.ports import Addresses, Clock, Sealer

log = structlog.get_logger()

NAMES_S = 5.0
EVENTS_MAX = 250
PAGES_MAX = 20
"""Of one look at a shard. Pages are small: the loop has others to serve."""
DECIDE_WITHIN = timedelta(hours=24)
ASK_S = 5.0


class PayeeNames:
    """The job of one node; a shard's names are one node's at a time. A question is put before its name is kept."""

    def __init__(self, database: Database, sealer: Sealer, addresses: Addresses, clock: Clock) -> None:
        self._news = MySqlNews(database, reader="names", type_="WITHDRAWAL")
        self._names = MySqlPayeeNames(database, sealer)
        self._addresses = addresses
        self._clock = clock

    def periodic(self) -> Sequence[tuple[str, Job, float]]:
        """Name, job, pause."""
        return [("payee-names", self.look, NAMES_S)]

    async def look(self) -> str:
        """One look at every shard that has news."""
        kept = 0
        for shard in await self._news.shards_with_news():
            for _ in range(PAGES_MAX):
                of_page, is_last = await self._page(shard)
                kept += of_page
                if is_last:
                    break
        return f"{kept} names kept"

    async def _page(self, shard: int) -> tuple[int, bool]:
        """How many names the next events of a shard led to, and whether there is nothing behind them to follow now."""
        events = await self._news.claim(shard, at=self._clock.now(), limit=EVENTS_MAX)
        if events is None:
            return 0, True
        kept, settled, is_last = 0, events[-1].seq if events else 0, len(events) < EVENTS_MAX
        for event in events:
            done = await self._follow(event)
            if done is None:
                settled, is_last = event.seq - 1, True
                break
            kept += done
        await self._news.told(shard, settled, at=self._clock.now())
        return kept, is_last

    async def _follow(self, event: Happened) -> int | None:
        """How many names an event led to; None when its shard cannot be asked now."""
        shown = event.transaction
        if (shown.get("type"), shown.get("status")) != ("WITHDRAWAL", "COMPLETED"):
            return 0
        try:
            found = await self._names.told(shown["id"])
        except ValueError as error:
            # One customer's damaged row must not keep the others' names back.
            log.error("payee_name_unreadable", transaction_id=shown["id"], reason=str(error))  # noqa: TRY400 - no bug
            return 0
        for told in found:
            if asks(told) and not await self._commit(_asked(told, shown["id"])):
                return None
            await self._names.keep(told)
        return len(found)

    async def _commit(self, unit: UnitOfWork) -> bool:
        """False when the shard cannot answer now. A unit that is there already says the same."""
        try:
            await self._addresses.ask(ledger_of(unit.shard), CommitUnit(unit), timeout_s=ASK_S)
        except (Unavailable, AskTimeout, ActorCrashed, OutcomeUnknown) as error:
            log.info("payee_name_postponed", unit_id=unit.unit_id, reason=type(error).__name__)
            return False
        return True


def asks(told: PayeeName) -> bool:
    """Whether a person must look: the names differ, and the payout before did not show the very same."""
    return not told.matched and told.score != told.former_score


def _asked(told: PayeeName, transaction_id: str) -> UnitOfWork:
    """Says who it is about and how like the names are; the names themselves are read by whoever decides."""
    opened = ReviewOpened(
        id=told.id,
        transaction_id="",
        operation_id="",
        kind=PAYEE_NAME,
        reason="M-Pesa knows the receiver of a payout under another name: ask, freeze if need be, then close",
        owner_role="COMPLIANCE",
        due_at=told.told_at + DECIDE_WITHIN,
        evidence={"user": told.user_id, "score": str(told.score), "transaction": transaction_id},
    )
    return UnitOfWork(
        unit_id=f"payee:{told.id}", shard=told.shard, at=told.told_at, user_id=told.user_id, reviews=(opened,)
    )
