"""Ways of production that few worlds go: each is counted where a commit shows it, so that none of them dies unseen."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penpay.domain.fx import Direction
from penpay.domain.review_kinds import WITNESS_LATE
from penpay.domain.statement import description
from penpay.domain.strays import CLAIMED
from penpay.domain.unit import TransactionRow
from penpay.simulation.store.rows import ReferenceRow, ReviewRow, StoredTransaction

if TYPE_CHECKING:
    from penpay.simulation.store.tables import Change
    from penpay.simulation.world import World

PATHS = frozenset(
    {
        "path.witness_told_late",
        "path.credit_claimed",
        "path.credit_claimed_between_shards",
        "path.claim_interrupted",
        "path.payout_declined_without_result",
        "path.refund_declined_without_result",
        "path.refund_untold",
        "path.dollars_after_all",
        "path.dollars_after_all_twice",
        "path.dollars_after_all_astray",
        "path.transfer_undone",
        "path.return_undone",
        "path.return_made_again",
    }
)
"""A credit told to a withdrawal that people look at; one that they take out of suspense for it, from another shard, and
with a crash before it is booked there; questions about a payout and a Reversal of which no result tells; dollars that
leave for a deposit when its shillings are on their way back; and dollars of a deposit and of a return that a statement
showed and somebody else got, with a return that is made once more."""
_QUESTIONS = {
    ("payout_unknown", "the status of the payout"): "path.payout_declined_without_result",
    ("refund_overdue", "the status of the Reversal"): "path.refund_declined_without_result",
    ("refund_overdue", "Safaricom neither acknowledged"): "path.refund_untold",
}
INTERRUPTED = 0.6
_TOLD = frozenset({"COMPLETED", "REVERSED", "IN_REVIEW"})
"""Where a transfer has been believed, or people are asked about it: whatever is said now comes behind that."""


class Paths:
    """Looks at commits, and does what is to happen at exactly such a moment."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def committed(self, change: "Change") -> None:
        """One row has changed."""
        row, new = change.after, change.before is None
        if isinstance(row, ReviewRow) and new:
            for path in _asked(row):
                self._world.odds.saw(path)
        elif isinstance(row, ReferenceRow) and new and row.kind == CLAIMED:
            self._claimed(row.operation_id)
        elif isinstance(row, StoredTransaction):
            self._moved(row, change.before)

    def _claimed(self, operation_id: str) -> None:
        world = self._world
        world.odds.saw("path.credit_claimed")
        if world.server.schema.provider_operations.rows[operation_id].shard:
            world.odds.saw("path.credit_claimed_between_shards")
        if world.dice_of(f"claim of {operation_id}").random() < INTERRUPTED:
            world.post.send(0.0, self._interrupt, operation_id)

    def _interrupt(self, operation_id: str) -> None:
        """The credit is given away, and whoever was to take it dies: perhaps just before, perhaps just after."""
        schema = self._world.server.schema
        withdrawal = schema.transactions.rows[schema.provider_operations.rows[operation_id].transaction_id]
        if '"money_at":"deriv_in"' in withdrawal.row.data:
            self._world.odds.saw("path.claim_interrupted")
        for name in list(self._world.nodes):
            self._world.crash(name)

    def _moved(self, stored: StoredTransaction, before: object) -> None:
        row, world = stored.row, self._world
        if row.state == "REFUND_SENDING" and world.deriv.belated.keeps_any:
            sent = {one.reference for one in world.server.schema.provider_operations if one.transaction_id == row.id}
            world.deriv.give_up({description(reference) for reference in sent})
        if row.state in _TOLD and world.deriv.belated.keeps_words:
            sent = {one.reference for one in world.server.schema.provider_operations if one.transaction_id == row.id}
            world.deriv.belated.says({description(reference) for reference in sent})
        if not isinstance(before, StoredTransaction) or before.row.data == row.data:
            return
        for path in _told(row.data) - _told(before.row.data):
            world.odds.saw(path)
        for path in _undone(row) - _undone(before.row):
            world.odds.saw(path)


def _asked(question: ReviewRow) -> Iterator[str]:
    if question.kind == WITNESS_LATE:
        yield "path.witness_told_late"
    for (kind, words), path in _QUESTIONS.items():
        if question.kind == kind and question.reason.startswith(words):
            yield path


def _told(data: str) -> set[str]:
    """What the row of a deposit knows of dollars and shillings that both left."""
    if '"delivered"' not in data or '"refund_from"' not in data:
        return set()
    told = json.loads(data)
    found = {"path.dollars_after_all"}
    if len(told["delivered"]) > 1:
        found.add("path.dollars_after_all_twice")
    if told.get("misdirected_transaction_id"):
        found.add("path.dollars_after_all_astray")
    return found


def _undone(row: TransactionRow) -> set[str]:
    """What it knows of dollars that had been taken for the customer's."""
    if '"undone"' not in row.data:
        return set()
    if row.type == Direction.DEPOSIT:
        return {"path.transfer_undone"}
    again = row.state == "REVERSED" and json.loads(row.data)["returns"] > 1
    return {"path.return_undone", "path.return_made_again"} if again else {"path.return_undone"}
