"""A ledger of a page, for tests of the rules: applies decisions and refuses what the real one would refuse."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.ledger_rules import ALLOWED
from penpay.domain.decision import Act, Decision, Effect, Ignored, Occasion, Operation, Rejected
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_row import from_row, to_row
from penpay.domain.deposit_rules import decide as decide_deposit
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.ids import ulid
from penpay.domain.ledger import CHART, Kind, Phase, Side
from penpay.domain.money import kes, usd
from penpay.domain.review_kinds import CAUSES, HOLDING
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState, TransactionRow

T0 = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
RULES = Rules()
SEND = kes(130_000)
RECEIVE = usd(966)


def base_row(deposit: Any) -> TransactionRow:
    return TransactionRow(
        id=deposit.id,
        shard=deposit.shard,
        user_id=deposit.user_id,
        type="DEPOSIT",
        state="CREATED",
        status="PENDING",
        version=0,
        send=deposit.send,
        receive=deposit.receive,
        quote_id="",
        mid_rate_e6=deposit.rate.mid_e6,
        spread_e6=deposit.rate.spread_e6,
        phone_mask=deposit.phone_mask,
        deriv_loginid=deposit.deriv_loginid,
        route="r",
        key_hash="k",
        eat_day="2026-03-01",
        limit_usd_minor=200_000,
        counts=True,
        failure_code="",
        data="{}",
        next_wake_at=None,
        created_at=T0,
        updated_at=T0,
        completed_at=None,
    )


def new_deposit(*, verify_first: bool = False) -> Deposit:
    return Deposit(
        id="T",
        shard=3,
        user_id="U",
        state=State.CREATED,
        version=0,
        send=SEND,
        receive=RECEIVE,
        rate=LockedRate(Direction.DEPOSIT, 129_500_000, 5_000_000),
        quote_id="",
        phone_mask="2547****126",
        deriv_loginid="CR1",
        verify_first=verify_first,
        created_at=T0,
        updated_at=T0,
        state_since=T0,
        stk=Operation(id="op-1", state=OperationState.INTENT),
    )


@dataclass
class Story:
    """One saga, told by events at chosen times; every decision goes through its row and back."""

    saga: Any = field(default_factory=new_deposit)
    rules: Any = decide_deposit
    there: Any = to_row
    back: Any = from_row
    at: datetime = T0
    balances: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    keys: set[str] = field(default_factory=set)
    resolved: set[str] = field(default_factory=set)
    references: dict[tuple[str, str], str] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    reviews: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    """Kinds of questions that evidence closed."""
    questions: list[str] = field(default_factory=list)
    """Kinds of those that are open."""
    edges: set[tuple[str, str]] = field(default_factory=set)
    operations: dict[str, str] = field(default_factory=lambda: {"op-1": "INTENT"})
    ids: int = 0
    frozen: bool = False
    attempted: bool = False

    def happens(self, event: object, *, after_s: float = 0) -> Decision[Any] | Act | Ignored | Rejected:
        self.at += timedelta(seconds=after_s)
        fresh = tuple(ulid(1_770_000_000_000, (self.ids + n).to_bytes(10)) for n in range(3))
        self.ids += 3
        result = self.rules(
            self.saga, event, Occasion(self.at, fresh, frozen=self.frozen, attempted=self.attempted), RULES
        )
        if isinstance(result, Act):
            self.effects = list(result.effects)
        if isinstance(result, Decision) and not self._taken(result, event):
            if self.frozen and not type(event).__name__.startswith("Staff"):
                assert not self._intends(result), f"{event} intends for a frozen customer"
            self._apply(result)
        return result

    @staticmethod
    def _intends(decision: Decision[Any]) -> bool:
        return bool(decision.new_operations) or any(one.to is OperationState.INTENT for one in decision.operations)

    def _taken(self, decision: Decision[Any], event: object) -> bool:
        """The ledger would reject it: a reference of a provider is used by one operation for ever.

        And once only by people, who may type the same one again.
        """
        if type(event).__name__.startswith("Staff") and any(one.key in self.keys for one in decision.postings):
            return True
        used = [
            self.references.get((one.kind, one.ref), one.operation_id) != one.operation_id
            for one in decision.references
        ]
        return any(used)

    @property
    def deposit(self) -> Any:
        return self.saga

    def _apply(self, decision: Decision[Any]) -> None:
        assert decision.expected_version == self.saga.version
        for posting in decision.postings:
            assert posting.key not in self.keys, f"posting {posting.key} twice"
            self.keys.add(posting.key)
            if posting.resolves:
                assert posting.resolves in self.keys
                assert posting.resolves not in self.resolved, f"{posting.resolves} resolved twice"
                self.resolved.add(posting.resolves)
            for entry in posting.entries:
                self.balances[f"{entry.account.code}:{entry.account.currency}"] += entry.amount_minor
                side = CHART[entry.account.code][1]
                kind = CHART[entry.account.code][0]
                balance = self.balances[f"{entry.account.code}:{entry.account.currency}"]
                if kind is not Kind.ASSET:
                    assert side is Side.EITHER or (balance >= 0 if side is Side.DEBIT else balance <= 0), (
                        f"{entry.account.id} at {balance}"
                    )
            assert posting.phase in Phase
        for change in decision.operations:
            assert change.to in ALLOWED[self.operations[change.id]], f"{self.operations[change.id]} to {change.to}"
            self.operations[change.id] = change.to.value
        self.operations |= {made.id: "INTENT" for made in decision.new_operations}
        for reference in decision.references:
            self.references[(reference.kind, reference.ref)] = reference.operation_id
        self.edges |= {(step.from_state, step.to_state) for step in decision.steps}
        self.effects = list(decision.effects)
        self.reviews += [review.kind for review in decision.reviews]
        for closed in decision.reviews_closed:
            self.questions = [kind for kind in self.questions if kind not in closed.kinds]
        self.questions += [review.kind for review in decision.reviews]
        self.answered |= {closed.kind for closed in decision.reviews_closed}
        row = self.there(decision.saga, base_row(decision.saga))
        assert self.back(row) == decision.saga, "the row does not carry the whole saga"
        self.saga = decision.saga

    @property
    def state(self) -> Any:
        return self.saga.state

    def balance(self, account: str) -> int:
        return self.balances[account]

    def clearing(self) -> int:
        names = ("deriv_out:KES", "refund_out:KES", "deriv_out:USD", "deriv_in:USD", "b2c_out:USD")
        return sum(abs(self.balances[name]) for name in names)

    def does(self) -> list[str]:
        return [effect.name for effect in self.effects]


def tells_its_end(story: Any) -> bool:
    """Whether what the customer is told is about the end, and not about a question that was put on the way."""
    code, state = story.saga.failure_code, story.saga.state
    causes = CAUSES | {"account_frozen"} if state == "FAILED" else CAUSES
    return not code if state == "COMPLETED" else bool(code) and code not in HOLDING - causes
