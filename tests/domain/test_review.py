"""Who may decide about a review, and what their decision means to the saga."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from penpay.domain import deposit_events, withdrawal_events
from penpay.domain.errors import BadInput
from penpay.domain.review import Action, Approval, ReviewItem, approval_of, closing, staff_event, undecidable, unproven
from penpay.domain.review_kinds import BESIDE
from penpay.domain.review_view import Subject, actions_of

MODULES = (("DEPOSIT", deposit_events), ("WITHDRAWAL", withdrawal_events))


def test_an_approval_names_two_people_and_what_it_rests_on():
    approval = approval_of(by=" Achieng  Otieno ", second="b.kamau@example.com", evidence="ticket 4711", action="close")
    assert approval.text() == "Achieng Otieno and b.kamau@example.com, ticket 4711"


@pytest.mark.parametrize(
    ("by", "second", "evidence", "field"),
    [
        ("Achieng", "Achieng", "ticket 1", "second"),
        ("Achieng", " ACHIENG ", "ticket 1", "second"),
        ("Achieng  Otieno", "achieng otieno", "ticket 1", "second"),
        ("", "Kamau", "ticket 1", "by"),
        ("A", "Kamau", "ticket 1", "by"),
        ("Achieng", "", "ticket 1", "second"),
        ("Achieng", "Kamau; DROP", "ticket 1", "second"),
        ("Achieng", "..", "ticket 1", "second"),
        ("Achieng", "__", "ticket 1", "second"),
        ("Achieng", "2 4@7", "ticket 1", "second"),
        ("Achieng", "K. 7", "ticket 1", "second"),
        ("Achieng", "K" * 61, "ticket 1", "second"),
        ("A B", "\u0391 B", "ticket 1", "second"),
        ("\u0391chieng", "Kamau", "ticket 1", "by"),
        ("Achieng_Otieno", "Achieng Otieno", "ticket 1", "second"),
        ("Achieng", "Kamau", "", "evidence"),
        ("Achieng", "Kamau", "   ", "evidence"),
        ("Achieng", "Kamau", "x" * 121, "evidence"),
        ("Achieng", "Kamau", "tick\x07et", "evidence"),
        ("Achieng", "Kamau", "payer 254712345678 rang", "evidence"),
        ("Achieng", "Kamau", "rang from 0712345678", "evidence"),
        ("Achieng", "Kamau", "call_+254112345678", "evidence"),
        ("Achieng 254712345678", "Kamau", "ticket 1", "by"),
    ],
)
def test_nobody_decides_alone_or_without_a_reference(by: str, second: str, evidence: str, field: str):
    with pytest.raises(BadInput) as refused:
        approval_of(by=by, second=second, evidence=evidence, action="close")
    assert refused.value.field == field


@pytest.mark.parametrize("evidence", ["ticket 254712345678901", "SJK0712345678", "case 712345678", "2547****678"])
def test_digits_that_are_no_whole_phone_may_be_a_reference(evidence: str):
    assert approval_of(by="Achieng", second="Kamau", evidence=evidence, action="close").evidence == evidence


@pytest.mark.parametrize("action", ["executed", "settle", "surplus"])
def test_what_happened_at_a_provider_is_named_by_its_own_id(action: str):
    with pytest.raises(BadInput) as refused:
        approval_of(by="Achieng", second="Kamau", evidence="ticket 4711", action=action)
    assert refused.value.field == "evidence"
    assert approval_of(by="Achieng", second="Kamau", evidence="SJK1234567", action=action).evidence == "SJK1234567"


@pytest.mark.parametrize(
    ("type_", "action", "event"),
    [
        ("DEPOSIT", "credit", deposit_events.StaffCredited),
        ("DEPOSIT", "refund", deposit_events.StaffRefunded),
        ("DEPOSIT", "close", deposit_events.StaffClosed),
        ("DEPOSIT", "pay", None),
        ("DEPOSIT", "return", None),
        ("WITHDRAWAL", "pay", withdrawal_events.StaffPaid),
        ("WITHDRAWAL", "return", withdrawal_events.StaffReturned),
        ("WITHDRAWAL", "close", withdrawal_events.StaffClosed),
        ("WITHDRAWAL", "own", None),
        ("DEPOSIT", "own", None),
        ("WITHDRAWAL", "credit", None),
        ("WITHDRAWAL", "refund", None),
        *((type_, action, module.StaffProved) for type_, module in MODULES for action in ("executed", "absent")),
        *((type_, action, module.StaffSettled) for type_, module in MODULES for action in ("settle", "surplus")),
    ],
)
def test_each_type_has_its_own_exits(type_: str, action: str, event: type | None):
    made = staff_event(type_, Action(action), Approval("a", "b", "c-1"))
    assert (type(made) if made else None) is event
    assert made is None or made.approval == "a and b, c-1"


AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def item(**other: object) -> ReviewItem:
    usual = {"id": "i", "shard": 3, "transaction_id": "t", "operation_id": "", "kind": "evidence_unusable"}
    usual |= {"reason": "?", "owner_role": "OPS", "opened_at": AT, "due_at": AT}
    return ReviewItem(**{**usual, **other})


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        ({"kind": "parked"}, True),
        ({"kind": "evidence_unusable"}, False),
        ({"kind": "nobody_knows_it"}, False),
        ({"kind": "parked", "transaction_id": ""}, False),
    ],
)
def test_a_saga_waits_for_some_questions_about_it(other: dict[str, str], *, holds: bool):
    assert item(**other).holds is holds


@pytest.mark.parametrize(
    ("other", "actions"),
    [
        *(({"kind": kind}, ("close",)) for kind in sorted(BESIDE)),
        ({"kind": "evidence_unmatched", "transaction_id": ""}, ("close",)),
        ({"kind": "name_mismatch", "transaction_id": ""}, ("approve", "close")),
        ({"kind": "name_mismatch", "transaction_id": "", "closed_at": AT}, ()),
        (
            {
                "kind": "payment_unmatched",
                "transaction_id": "",
                "evidence": {"ref": "QK1", "amount": "1.00", "currency": "KES", "at": "x"},
            },
            ("settle", "own"),
        ),
    ],
)
def test_what_may_be_done_with_a_question_that_no_saga_waits_for(other: dict[str, object], actions: tuple[str, ...]):
    assert actions_of(Subject(item=item(**other))) == actions


def test_closing_one_question_touches_nothing_else():
    unit = closing(item(), Approval("Achieng", "Kamau", "ticket 1"), at=AT)
    (closed,), (record,) = unit.reviews_closed, unit.audit
    assert (unit.unit_id, unit.shard, closed.item_id, closed.transaction_id) == ("review:i:closed", 3, "i", "t")
    assert (unit.transaction, unit.postings, unit.operations, unit.new_operations) == (None, (), (), ())
    assert (record.actor, record.detail["second"], record.detail["evidence"]) == ("staff:Achieng", "Kamau", "ticket 1")


@dataclass(frozen=True)
class Stored:
    state: str
    attempts: int
    attempts_closed: int
    under_way: bool = False
    id: str = "op"


@pytest.mark.parametrize(
    ("operation", "open_ended"),
    [
        (Stored("INTENT", 0, 0), False),
        (Stored("INTENT", 1, 0), True),
        (Stored("INTENT", 1, 1), False),
        (Stored("SENT", 1, 0), True),
        (Stored("UNKNOWN", 2, 1), True),
        (Stored("UNKNOWN", 1, 1), True),
        (Stored("CONFIRMED", 1, 0), False),
        (Stored("REFUSED", 1, 0), False),
        (Stored("WITHDRAWN", 1, 1), False),
    ],
)
def test_an_attempt_without_a_proven_end_may_still_move_money(operation: Stored, open_ended: bool):
    assert unproven([operation]) == (("op",) if open_ended else ())


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize(
    ("operation", "decides"),
    [
        (Stored("INTENT", 0, 0), set(Action)),
        (Stored("REFUSED", 1, 0), set(Action)),
        (Stored("INTENT", 1, 0), {Action.EXECUTED, Action.ABSENT}),
        (Stored("UNKNOWN", 1, 0), {Action.EXECUTED, Action.ABSENT}),
        (Stored("INTENT", 1, 0, under_way=True), {Action.EXECUTED}),
        (Stored("UNKNOWN", 2, 0, under_way=True), {Action.EXECUTED}),
        (Stored("REFUSED", 1, 0, under_way=True), {Action.EXECUTED}),
    ],
)
def test_what_a_rail_may_be_doing_just_now_is_not_decided(operation: Stored, decides: set[Action], action: Action):
    assert (undecidable(action, [operation]) == "") is (action in decides)
