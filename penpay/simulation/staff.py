"""Staff who know the truth: they look at the providers' own pages, and end every review with what they saw there."""

import asyncio
import json
from typing import TYPE_CHECKING

from penpay.domain.fx import Direction
from penpay.domain.review import Action, approval_of, closing
from penpay.domain.review_kinds import HOLDING, WITNESS_LATE
from penpay.domain.strays import CREDIT
from penpay.domain.unit import TransactionRow
from penpay.domain.withdrawal_standing import CONTRADICTING_PAYOUT
from penpay.messages import CommitUnit, ResolveReview, ledger_of, saga_of
from penpay.simulation.store.rows import ReviewRow, StoredOperation
from penpay.simulation.verdict import effects_of

if TYPE_CHECKING:
    from penpay.simulation.world import World

ROUNDS_MAX = 12


class Staff:
    """Two named people."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._numbers = 0

    def work(self) -> None:
        """Begin; the world knows when they are done."""
        self._world.staff_done = False
        self._world.loop.create_task(self._work(), name="staff")

    @property
    def unanswered(self) -> list[str]:
        """Transactions that stand before them although they know what is to be done: nobody let them."""
        stored = self._world.server.schema.transactions
        waiting = {one.transaction_id for one in self._questions() if one.kind in HOLDING}
        rows = (stored.rows[transaction_id].row for transaction_id in sorted(waiting))
        return [row.id for row in rows if row.state == "IN_REVIEW" and self._decision(row)[0]]

    def _questions(self) -> list[ReviewRow]:
        return [one for one in self._world.server.schema.review_items if one.closed_at is None]

    async def _work(self) -> None:
        for _ in range(ROUNDS_MAX):
            questions = self._questions()
            if not questions:
                break
            for question in questions:
                await self._answer(question)
            await asyncio.sleep(5.0)
        self._world.staff_done = True

    async def _answer(self, question: ReviewRow) -> None:
        stored = (
            self._world.server.schema.transactions.get(question.transaction_id) if question.transaction_id else None
        )
        if question.kind == CREDIT and self._is_awaited(json.loads(question.evidence)["ref"]):
            return  # it leaves suspense with the answer to the withdrawal's own question
        if stored is None or question.kind not in HOLDING:
            await self._close_item(question)
        elif stored.row.state == "IN_REVIEW":
            action, evidence = self._decision(stored.row)
            if action:
                await self._resolve(question, action, evidence)

    def _is_awaited(self, credit: str) -> bool:
        """Whether it is of a debit whose withdrawal is before people because of that."""
        schema = self._world.server.schema
        waiting = [
            stored.row.id
            for stored in schema.transactions
            if stored.row.state == "IN_REVIEW" and '"money_at":"deriv_in"' in stored.row.data
        ]
        debits = [one for one in schema.provider_operations if one.transaction_id in waiting]
        return any(
            str(one.other_id) == credit and not one.is_odd for one in effects_of(debits, self._world.truth).debits
        )

    # --- what the providers' pages say ------------------------------------------------------------------------------

    def _decision(self, row: TransactionRow) -> tuple[str, str]:
        """What to do about it, judged by the truth alone."""
        operations = [one for one in self._world.server.schema.provider_operations if one.transaction_id == row.id]
        open_ = next((one for one in reversed(operations) if one.state in {"INTENT", "SENT", "UNKNOWN"}), None)
        if open_ is None and '"held_receipt"' in row.data and '"paid_minor"' not in row.data:
            # Somebody claims that it was paid.
            receipts = [one.receipt for one in effects_of(operations, self._world.truth).payments]
            return (Action.EXECUTED, receipts[0]) if receipts else (Action.ABSENT, "portal-says-no")
        if open_ is None and row.failure_code == CONTRADICTING_PAYOUT and '"receipt"' not in row.data:
            receipts = [receipt for one in operations if one.kind == "B2C" and (receipt := self._paid_out(one))]
            return (Action.EXECUTED, receipts[-1]) if receipts else (Action.ABSENT, "portal-says-no")
        if open_ is not None and not self._is_odd(open_):
            executed = self._executed(open_)
            return (Action.EXECUTED, executed) if executed else (Action.ABSENT, "portal-says-no")
        return self._money(row, operations)

    def _is_odd(self, operation: StoredOperation) -> bool:
        did = effects_of([operation], self._world.truth)
        return any(one.is_odd for one in (*did.transfers, *did.debits))

    def _executed(self, operation: StoredOperation) -> str:
        """The provider's id of what it did for this operation; empty when it did nothing."""
        did = effects_of([operation], self._world.truth)
        for transfer in (*did.transfers, *did.debits):
            return str(transfer.id)
        for payment in did.payments:
            return payment.receipt
        if operation.kind == "B2C":
            return self._paid_out(operation)
        if operation.kind == "REVERSAL":
            return self._reversed(operation)
        return ""

    def _paid_out(self, operation: StoredOperation) -> str:
        for payout in self._world.truth.payouts.values():
            if payout.originator_id in operation.request and payout.code == "0":
                return payout.receipt
        return ""

    def _reversed(self, operation: StoredOperation) -> str:
        for payment in self._world.truth.payments.values():
            if payment.receipt in operation.request and payment.reversed_by:
                return payment.reversed_by
        return ""

    def _money(self, row: TransactionRow, operations: list[StoredOperation]) -> tuple[str, str]:
        """Nothing is open: give back what is held, or close."""
        did = effects_of(operations, self._world.truth)
        if any(one.is_odd for one in (*did.transfers, *did.debits)):
            return "", ""  # they talk to Deriv first
        self._numbers += 1
        held = '"money_at":"customer"' in row.data or '"money_at":"suspense"' in row.data
        if '"money_at":"deriv_in"' in row.data:
            shown = [str(one.other_id) for one in did.debits if self._world.deriv.belated.shows(one.other_id)]
            return (Action.EXECUTED, shown[0]) if shown else ("", "")
        if '"set_aside' in row.data and not held:
            return Action.SURPLUS, f"hand-{self._numbers}"
        if did.payments and ('"money_at":""' in row.data or '"money_at"' not in row.data):
            return "", ""  # it is on Safaricom's page and in none of our books: nobody calls that over
        if row.failure_code == WITNESS_LATE and self._numbers % 2:
            return Action.PAY, "ticket-1"
        if held:
            return (Action.REFUND if row.type == Direction.DEPOSIT else Action.RETURN), "ticket-1"
        return Action.CLOSE, "ticket-1"

    # --- what the desk does with it, as `penpay.http.reviews` -----------------------------------------------------

    async def _resolve(self, question: ReviewRow, action: str, evidence: str) -> None:
        approval = approval_of(by="Amina", second="Brian", evidence=evidence, action=action)
        self._world.odds.saw("staff.resolves")
        self._world.tell(f"staff: {action} {question.transaction_id[-6:]} ({question.kind})")
        message = ResolveReview(item_id=question.id, action=action, approval=approval)
        await self._world.door.ask(saga_of(question.shard, question.transaction_id), message)

    async def _close_item(self, question: ReviewRow) -> None:
        world = self._world
        approval = approval_of(by="Amina", second="Brian", evidence="ticket-2", action=Action.CLOSE)
        world.odds.saw("staff.closes")
        unit = closing(question, approval, at=world.clock.now())
        await world.door.ask(ledger_of(question.shard), CommitUnit(unit))
