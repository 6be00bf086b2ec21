"""Questions about names: a link in another name is put before staff, and closed when the customer changes the link.

The link is the truth, the review item follows: whatever was lost between the two is put again by the next run.
"""

from datetime import timedelta

import structlog

from actors.base import ActorCrashed, AskTimeout
from penpay.adapters.kyc_store import MySqlKyc, NameQuestion
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.review import NAME_MISMATCH
from penpay.domain.unit import ReviewClosed, ReviewOpened, UnitOfWork
from penpay.messages import CommitUnit, ledger_of
from penpay.ports import Addresses, Clock, Ids

log = structlog.get_logger()

NAME_QUESTIONS_S = 3.0
DECIDE_WITHIN = timedelta(hours=24)
ASK_S = 5.0


class NameQuestions:
    """The job of one node. A unit is named after its question, so two nodes put it once."""

    def __init__(self, kyc: MySqlKyc, addresses: Addresses, ids: Ids, clock: Clock) -> None:
        self._kyc = kyc
        self._addresses = addresses
        self._ids = ids
        self._clock = clock

    async def put(self) -> str:
        """Put what waits, close what has passed. Shards of other nodes are theirs."""
        done = 0
        for question in await self._kyc.questions(new_id=self._ids.ulid):
            done += await self._commit(_asked(question))
        for review_id, shard in await self._kyc.outlived():
            closed = ReviewClosed(
                transaction_id="", kind=NAME_MISMATCH, resolution="the customer changed the link", item_id=review_id
            )
            unit_id = f"review:{review_id}:closed"
            done += await self._commit(
                UnitOfWork(unit_id=unit_id, shard=shard, at=self._clock.now(), reviews_closed=(closed,))
            )
        return f"{done} put or closed"

    async def _commit(self, unit: UnitOfWork) -> bool:
        """False when its shard cannot answer now; the next run tries again."""
        try:
            await self._addresses.ask(ledger_of(unit.shard), CommitUnit(unit), timeout_s=ASK_S)
        except (Unavailable, AskTimeout, ActorCrashed, OutcomeUnknown) as error:
            log.info("name_question_postponed", unit_id=unit.unit_id, reason=type(error).__name__)
            return False
        return True


def _asked(question: NameQuestion) -> UnitOfWork:
    """Says who it is about and how like the names are; the names themselves are read by whoever decides."""
    opened = ReviewOpened(
        id=question.review_id,
        transaction_id="",
        operation_id="",
        kind=NAME_MISMATCH,
        reason="the Deriv account is in another name: approve it, or close to forget the link",
        owner_role="COMPLIANCE",
        due_at=question.linked_at + DECIDE_WITHIN,
        evidence={"user": question.user_id, "score": str(question.score)},
    )
    return UnitOfWork(
        unit_id=f"name:{question.review_id}",
        shard=question.shard,
        at=question.linked_at,
        user_id=question.user_id,
        reviews=(opened,),
    )
