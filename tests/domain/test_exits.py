"""A question offers what can be decided about it as it stands, and nothing else, whatever its transaction came to."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from penpay.domain import deposit, withdrawal
from penpay.domain.decision import Occasion
from penpay.domain.ids import ulid
from penpay.domain.money import kes, usd
from penpay.domain.review import Action, Approval, ReviewItem
from penpay.domain.review_kinds import BESIDE, HOLDING
from penpay.domain.review_view import BREAKS, Subject, actions_of, preview
from penpay.domain.rules import Rules
from penpay.domain.unit import TransactionRow
from tests.domain.test_review import Stored

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ID, OPERATION = ulid(1_760_000_000_000, bytes(10)), ulid(1_760_000_000_001, bytes(10))
LATER = Occasion(AT + timedelta(hours=7), tuple(ulid(1_760_000_000_002 + one, bytes(10)) for one in range(3)))
RULES = Rules(resend_s=1.0, held_retry_s=1.0, review_due_s=60.0, witness_s=1.0)
CONFIRMED, REFUSED, UNKNOWN = "CONFIRMED", "REFUSED", "UNKNOWN"
PAID = {"paid_minor": 130_000, "receipt": "QK1", "stk": CONFIRMED}
DEBITED = {"debit_transaction_id": "71", "debit": CONFIRMED}
STANDS = {
    "DEPOSIT": {
        "nothing came": {},
        "a payment is claimed": {"held_receipt": "QK1", "held_amount_minor": 130_000, "stk": REFUSED},
        "it is not known whether it was paid": {"stk": UNKNOWN},
        "paid": {**PAID, "money_at": "customer"},
        "in suspense": {**PAID, "money_at": "suspense"},
        "with a surplus": {**PAID, "money_at": "customer", "set_aside_minor": 500},
        "gone, and a surplus is here": {**PAID, "money_at": "gone", "set_aside_minor": 500},
        "the transfer is not known": {**PAID, "money_at": "deriv_out", "transfer": UNKNOWN},
        "the refund is not known": {**PAID, "money_at": "refund_out", "refund": UNKNOWN, "refund_from": "customer"},
        "delivered": {
            **PAID,
            "money_at": "gone",
            "transfer": CONFIRMED,
            "delivered": [["77", 966]],
            "deriv_transaction_id": "77",
        },
        "given back": {**PAID, "money_at": "gone", "refund": CONFIRMED, "refund_receipt": "RK1"},
    },
    "WITHDRAWAL": {
        "nothing was debited": {},
        "it is not known whether it was debited": {"debit": UNKNOWN},
        "the dollars have not arrived": {**DEBITED, "money_at": "deriv_in"},
        "the dollars are here": {**DEBITED, "money_at": "customer"},
        "with a surplus": {**DEBITED, "money_at": "customer", "set_aside_minor": 500},
        "the payout is not known": {**DEBITED, "money_at": "b2c_out", "payout": UNKNOWN, "payouts": 1},
        "the payout was refused": {**DEBITED, "money_at": "customer", "payout": REFUSED, "payouts": 1},
        "the return is not known": {**DEBITED, "money_at": "deriv_out", "back": UNKNOWN, "returns": 1},
        "paid out": {**DEBITED, "money_at": "gone", "payout": CONFIRMED, "payouts": 1, "receipt": "SK1"},
        "given back": {**DEBITED, "money_at": "gone", "back": CONFIRMED, "returns": 1, "return_transaction_id": "72"},
    },
}
STATES = {"DEPOSIT": tuple(deposit.State), "WITHDRAWAL": tuple(withdrawal.State)}
SLOTS = {"DEPOSIT": deposit.OPERATIONS, "WITHDRAWAL": withdrawal.OPERATIONS}
CODES = ("", "contradicting_payout", "transfer_unknown", "witness_late")
RAILS = {
    "nothing is open": (),
    "one has no proven end": (Stored("UNKNOWN", 1, 0),),
    "a rail is at it": (Stored("UNKNOWN", 1, 0, under_way=True),),
}


def row(type_: str, state: str, stands: str, code: str) -> TransactionRow:
    data = {
        name: [OPERATION, value, int(value == UNKNOWN), 1, int(value == REFUSED)] if name in SLOTS[type_] else value
        for name, value in STANDS[type_][stands].items()
    }
    in_kes = type_ == "DEPOSIT"
    return TransactionRow(
        id=ID,
        shard=3,
        user_id="01KAF0Z3T9V5N5W6H3C8Q2YB7C",
        type=type_,
        state=state,
        status=state,
        version=4,
        send=kes(130_000) if in_kes else usd(2_000),
        receive=usd(966) if in_kes else kes(249_000),
        quote_id="",
        mid_rate_e6=129_500_000,
        spread_e6=5_000_000,
        phone_mask="2547****126",
        deriv_loginid="CR1",
        route="",
        key_hash="",
        eat_day="2026-11-20",
        limit_usd_minor=0,
        counts=True,
        failure_code=code,
        data=json.dumps(data),
        next_wake_at=None,
        created_at=AT,
        updated_at=AT,
        completed_at=None,
    )


def question(kind: str = "parked") -> ReviewItem:
    return ReviewItem(
        id=OPERATION,
        shard=3,
        transaction_id=ID,
        operation_id="",
        kind=kind,
        reason="?",
        owner_role="OPS",
        opened_at=AT,
        due_at=AT,
    )


def looked(subject: Subject) -> dict[Action, str]:
    """What two people would be told, hours later, with the times of this installation and a reference of theirs."""
    approval = Approval("Achieng Otieno", "Brian Kamau", "SJK1234567")
    return {action: preview(subject, action, approval, rules=RULES, occasion=LATER).refusal for action in Action}


def accepted(subject: Subject) -> list[Action]:
    return [action for action, refusal in looked(subject).items() if not refusal]


@pytest.mark.parametrize("rails", RAILS)
@pytest.mark.parametrize(
    ("type_", "state"), [(type_, state.value) for type_, states in STATES.items() for state in states]
)
def test_what_is_offered_is_accepted_and_nothing_else_is(type_: str, state: str, rails: str):
    for stands, code, kind in product(STANDS[type_], CODES, (min(HOLDING), min(BESIDE))):
        if code == "contradicting_payout" and "payout" not in STANDS[type_][stands]:
            continue
        subject = Subject(item=question(kind), row=row(type_, state, stands, code), operations=RAILS[rails])
        offered = subject.rendered(AT)["actions"]
        assert offered == accepted(subject), (stands, code, kind)
        assert BREAKS not in looked(subject).values(), (stands, code, kind)
        if kind in HOLDING and state != "IN_REVIEW":
            assert offered == [], (stands, code)


@pytest.mark.parametrize(
    ("type_", "stands", "actions"),
    [
        ("DEPOSIT", "nothing came", ("close",)),
        ("DEPOSIT", "a payment is claimed", ("executed", "absent")),
        ("DEPOSIT", "paid", ("credit", "refund", "settle")),
        ("DEPOSIT", "with a surplus", ("settle", "surplus")),
        ("DEPOSIT", "gone, and a surplus is here", ("settle", "surplus")),
        ("DEPOSIT", "delivered", ("close",)),
        ("WITHDRAWAL", "the dollars have not arrived", ("executed", "settle")),
        ("WITHDRAWAL", "the dollars are here", ("return", "pay", "settle")),
        ("WITHDRAWAL", "with a surplus", ("settle", "surplus")),
        ("WITHDRAWAL", "paid out", ("close",)),
    ],
)
def test_where_the_money_stands_decides(type_: str, stands: str, actions: tuple[str, ...]):
    assert actions_of(Subject(item=question(), row=row(type_, "IN_REVIEW", stands, ""))) == actions


@pytest.mark.parametrize(
    ("rails", "actions"), [("one has no proven end", ("executed", "absent")), ("a rail is at it", ("executed",))]
)
def test_while_an_outcome_is_open_only_that_is_asked(rails: str, actions: tuple[str, ...]):
    subject = Subject(item=question(), row=row("DEPOSIT", "IN_REVIEW", "the transfer is not known", ""))
    assert actions_of(replace(subject, operations=RAILS[rails])) == actions


def test_an_exit_over_which_the_rules_break_is_not_offered_and_hides_no_other_question():
    """A payout contradicts where none was made: no saga writes that, and the list goes on."""
    spoiled = Subject(item=question(), row=row("WITHDRAWAL", "IN_REVIEW", "the dollars are here", CODES[1]))
    assert looked(spoiled)[Action.EXECUTED] == BREAKS
    assert Action.EXECUTED not in actions_of(spoiled)


def test_what_is_closed_offers_nothing():
    found = row("DEPOSIT", "IN_REVIEW", "paid", "")
    assert actions_of(Subject(item=replace(question(), closed_at=AT), row=found)) == ()
