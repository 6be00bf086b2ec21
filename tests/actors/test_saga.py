"""The saga: evidence in any order becomes decisions, each recorded before anything is done."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from actors.base import ActorKilled, AsyncioActorRef
from actors.deposit_flow import DEPOSIT
from actors.desk import UserParts
from actors.parking import park
from actors.saga import SagaActor, SagaParts
from actors.suspects import Suspects
from actors.user import UserActor
from penpay.domain.admission import Limits
from penpay.domain.decision import Effect, Operation
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.money import kes, usd
from penpay.domain.payments import PullRow, encode_payment
from penpay.domain.rail_end import ABANDONED, Outcome, RailEnd, encode_rail_end
from penpay.domain.review import Approval
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState, TransactionRow
from penpay.messages import (
    AcceptDeposit,
    CancelTransaction,
    EvidenceArrived,
    InboxRow,
    ProbeAnswered,
    Refusal,
    ResolveReview,
    SagaBegan,
    WakeUp,
)
from penpay.messages_rails import (
    DARAJA_GATE,
    DERIV_RESOLVER,
    DERIV_TRANSFERS,
    CheckRecipient,
    ProbeStk,
    ResolveTransfer,
    Submit,
)
from supervisors.tree import saga_host
from tests.actors.house import House, PlainSealer, customer
from tests.domain.books import new_deposit


@pytest.fixture
async def house() -> House:
    house = House()
    parts = UserParts(
        shard=3,
        addresses=house,
        store=house,
        clock=house.clock,
        ids=house.ids,
        sealer=PlainSealer(),
        board=house.board,
        limits=Limits(),
        rules=Rules(),
    )
    user = UserActor.start("U1", parts)
    await user.aask(
        AcceptDeposit(
            customer=customer(),
            route="r",
            key_hash="k",
            fingerprint="f",
            quote_id="",
            amount=kes(130_000),
            phone="",
            request_id="",
        )
    )
    await user.shutdown(1)
    return house


def row_of(house: House) -> TransactionRow:
    (row,) = house.rows.values()
    return row


def parts_of(house: House) -> SagaParts:
    return SagaParts(
        shard=3,
        addresses=house,
        store=house,
        clock=house.clock,
        ids=house.ids,
        rules=Rules(),
        sealer=PlainSealer(),
        suspects=Suspects(house),
    )


@pytest.fixture
async def saga(house: House) -> AsyncIterator[AsyncioActorRef]:
    ref = SagaActor.start(row_of(house).id, parts_of(house))
    yield ref
    await ref.shutdown(1)


@pytest.fixture
async def other(house: House, saga: AsyncioActorRef) -> AsyncIterator[AsyncioActorRef]:
    """The same saga on another node."""
    ref = SagaActor.start(row_of(house).id, parts_of(house))
    yield ref
    await ref.shutdown(1)


def operation(house: House, kind: str) -> str:
    made = [made for unit in house.units.values() for made in unit.new_operations if made.kind == kind]
    return made[-1].id


def evidence(house: House, kind: str, body: bytes, *, of: str = "STK", trusted: bool = True) -> EvidenceArrived:
    row = InboxRow(
        id=house.ids.ulid(),
        shard=3,
        kind=kind,
        operation_id=operation(house, of),
        body=body,
        trusted_source=trusted,
        received_at=house.clock.now(),
    )
    return EvidenceArrived(row)


def rail(house: House, kind: str, outcome: Outcome, *, attempt: int = 1, **more: Any) -> EvidenceArrived:
    end = RailEnd(
        operation_id=operation(house, kind), attempt=attempt, kind=kind, outcome=outcome, at=house.clock.now(), **more
    )
    return evidence(house, "rail", encode_rail_end(end), of=kind)


def accepted(house: House) -> EvidenceArrived:
    return rail(house, "STK", Outcome.CONFIRMED, facts={"checkout_request_id": "ws_1", "merchant_request_id": "m"})


def paid_body(
    at: datetime,
    *,
    amount: float = 1300.0,
    receipt: str = "NLJ7RT61SV",
    checkout: str = "ws_1",
    code: int = 0,
    phone: object = 254712345126,
) -> bytes:
    stamp = int((at + timedelta(hours=3)).strftime("%Y%m%d%H%M%S"))
    items = [
        {"Name": "Amount", "Value": amount},
        {"Name": "MpesaReceiptNumber", "Value": receipt},
        {"Name": "Balance"},
        {"Name": "TransactionDate", "Value": stamp},
        {"Name": "PhoneNumber", "Value": phone},
    ]
    callback: dict[str, Any] = {
        "MerchantRequestID": "m",
        "CheckoutRequestID": checkout,
        "ResultCode": code,
        "ResultDesc": "x",
    }
    if code == 0:
        callback["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": callback}}).encode()


async def settle(saga: AsyncioActorRef, *messages: object) -> None:
    """All of them, one after the other; the last answer comes when the others are done."""
    for message in messages:
        await saga.aask(message)


async def test_a_deposit_runs_from_admission_to_the_dollars(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, SagaBegan(row_of(house)))
    (check,) = house.told_to(DERIV_TRANSFERS)
    assert isinstance(check, CheckRecipient)
    await settle(saga, ProbeAnswered(probe="recipient", operation_id="", outcome="OK"))
    assert [message.operation_id for message in house.told_to(DARAJA_GATE) if isinstance(message, Submit)] == [
        operation(house, "STK")
    ]
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    assert row_of(house).state == "DERIV_SENDING"
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.CONFIRMED, provider_ref="991"))
    row = row_of(house)
    assert (row.state, row.status, row.next_wake_at) == ("COMPLETED", "COMPLETED", None)
    assert [posting.key for unit in house.units.values() for posting in unit.postings] == ["paid", "hold", "done"]


async def test_every_consumed_row_is_consumed_by_the_unit_that_it_caused(house: House, saga: AsyncioActorRef) -> None:
    first, second = accepted(house), evidence(house, "stk", paid_body(house.clock.now()))
    await settle(saga, first, second)
    by_unit = {unit.unit_id.rpartition(":")[2]: unit.consumes for unit in house.units.values()}
    assert (by_unit["2"], by_unit["3"]) == ((first.row.id,), (second.row.id,))


async def refunding(house: House, saga: AsyncioActorRef) -> None:
    """The shillings arrived, Deriv took no dollars for them."""
    refused = {"outcome": Outcome.REFUSED, "code": "TransferDisabled"}
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", **refused))
    assert row_of(house).state == "REFUND_SENDING"


async def test_a_unit_that_moves_an_operation_leaves_an_audit_record_though_its_saga_stays_where_it_is(
    house: House, saga: AsyncioActorRef
) -> None:
    await refunding(house, saga)
    await settle(saga, rail(house, "REVERSAL", Outcome.CONFIRMED, facts={"conversation_id": "AG_1"}))
    last = house.units[f"{row_of(house).id}:{row_of(house).version}"]
    assert [change.to for change in last.operations] == ["SENT"]
    assert [(record.subject, record.detail["steps"]) for record in last.audit] == [
        (row_of(house).id, "REFUND_SENDING>RefundAccepted>REFUND_SENDING")
    ]
    assert last.outbox == (), "its customer sees nothing new"


async def test_an_intent_that_stays_one_leaves_no_audit_record(house: House, saga: AsyncioActorRef) -> None:
    await refunding(house, saga)
    house.clock.turn(3_600)
    version = row_of(house).version
    await settle(saga, WakeUp())
    last = house.units[f"{row_of(house).id}:{version + 1}"]
    assert ([change.to for change in last.operations], last.audit) == (["INTENT"], ())


async def test_a_duplicate_callback_is_consumed_and_changes_nothing(house: House, saga: AsyncioActorRef) -> None:
    body = paid_body(house.clock.now())
    await settle(saga, accepted(house), evidence(house, "stk", body))
    version = row_of(house).version
    again = evidence(house, "stk", body)
    await settle(saga, again)
    assert row_of(house).version == version
    assert again.row.id in house.consumed


async def test_a_callback_for_another_push_is_put_aside(house: House, saga: AsyncioActorRef) -> None:
    swapped = evidence(house, "stk", paid_body(house.clock.now(), checkout="ws_other"))
    await settle(saga, accepted(house), swapped)
    assert row_of(house).state == "AWAITING_PAYER"
    assert swapped.row.id in house.quarantined
    assert house.reviews == ["evidence_unusable"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'{"Body":{}}', b"\xff\xfe", b'{"Body":{"stkCallback":{"ResultCode":0}}}']
)
async def test_garbage_is_put_aside_and_applied_to_nothing(house: House, saga: AsyncioActorRef, body: bytes) -> None:
    await settle(saga, accepted(house), evidence(house, "stk", body))
    assert (row_of(house).state, house.reviews) == ("AWAITING_PAYER", ["evidence_unusable"])


async def test_a_success_from_an_unknown_address_waits_for_a_query(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now()), trusted=False))
    assert row_of(house).state == "AWAITING_PAYER"
    assert isinstance(house.told_to(DARAJA_GATE)[-1], ProbeStk)
    await settle(saga, ProbeAnswered(probe="stk", operation_id=operation(house, "STK"), outcome="PAID"))
    assert row_of(house).state == "DERIV_SENDING"


@pytest.mark.parametrize(("trusted", "asked"), [(True, ["ws_7"]), (False, [])])
async def test_only_a_callback_from_safaricom_names_the_push_to_ask_about(
    house: House, saga: AsyncioActorRef, trusted: bool, asked: list[str]
) -> None:
    """A stranger could name a push that was paid for something else."""
    body = paid_body(house.clock.now(), checkout="ws_7")
    await settle(saga, rail(house, "STK", Outcome.UNKNOWN), evidence(house, "stk", body, trusted=trusted))
    probes = [message for message in house.told_to(DARAJA_GATE) if isinstance(message, ProbeStk)]
    assert [probe.checkout_request_id for probe in probes] == asked


async def test_an_answer_about_the_push_that_a_dropped_claim_named_is_no_evidence(
    house: House, saga: AsyncioActorRef
) -> None:
    body = paid_body(house.clock.now(), checkout="ws_7")
    await settle(saga, rail(house, "STK", Outcome.UNKNOWN), evidence(house, "stk", body), accepted(house))
    paid = ProbeAnswered(probe="stk", operation_id=operation(house, "STK"), outcome="PAID", reference="ws_7")
    await settle(saga, paid)
    assert row_of(house).state == "AWAITING_PAYER"
    await settle(saga, replace(paid, reference="ws_1"))
    assert row_of(house).state == "DERIV_SENDING"


async def test_a_success_without_a_receipt_credits_nothing_by_itself(house: House, saga: AsyncioActorRef) -> None:
    bare = json.dumps(
        {
            "Body": {
                "stkCallback": {
                    "MerchantRequestID": "m",
                    "CheckoutRequestID": "ws_1",
                    "ResultCode": "0",
                    "ResultDesc": "ok",
                }
            }
        }
    )
    await settle(saga, accepted(house), evidence(house, "stk", bare.encode()))
    assert row_of(house).state == "AWAITING_PAYER"


async def test_a_masked_phone_that_fits_is_the_payer_and_another_is_not(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now(), phone="2547****999")))
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["wrong_payer"])


@pytest.mark.parametrize(("tail", "ends"), [("999", ["wrong_payer"]), ("126", []), ("4126", []), ("", [])])
@pytest.mark.parametrize("told", ["evidence", "answer"])
async def test_a_listed_payment_of_another_phone_is_credited_to_nobody(
    house: House, saga: AsyncioActorRef, told: str, tail: str, ends: list[str]
) -> None:
    row = PullRow("NLJ7RT61SV", "P", kes(130_000), house.clock.now(), tail)
    await settle(saga, rail(house, "STK", Outcome.UNKNOWN))
    if told == "evidence":
        await settle(saga, evidence(house, "pull", encode_payment(row)))
    else:
        answer = ProbeAnswered(
            probe="pull",
            operation_id=operation(house, "STK"),
            outcome="PAID",
            reference=row.receipt,
            amount=row.amount,
            paid_at=row.paid_at,
            phone_tail=tail,
        )
        await settle(saga, answer)
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW" if ends else "DERIV_SENDING", ends)


async def test_what_was_stored_before_lists_showed_who_paid_is_credited_as_ever(
    house: House, saga: AsyncioActorRef
) -> None:
    body = json.loads(encode_payment(PullRow("NLJ7RT61SV", "P", kes(130_000), house.clock.now(), "999")))
    del body["phone_tail"]
    await settle(saga, rail(house, "STK", Outcome.UNKNOWN), evidence(house, "pull", json.dumps(body).encode()))
    assert row_of(house).state == "DERIV_SENDING"


async def test_a_receipt_that_another_deposit_used_is_not_credited(house: House, saga: AsyncioActorRef) -> None:
    house.references[("mpesa_receipt", "NLJ7RT61SV")] = "somebody else's operation"
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    assert (row_of(house).state, house.reviews) == ("AWAITING_PAYER", ["reference_taken"])


async def test_what_comes_again_asks_people_once_a_day(house: House, saga: AsyncioActorRef) -> None:
    house.references[("mpesa_receipt", "NLJ7RT61SV")] = "somebody else's operation"
    bodies = [paid_body(house.clock.now()), paid_body(house.clock.now(), checkout="ws_other")]
    rows = [evidence(house, "stk", body) for body in (*bodies, *bodies)]
    await settle(saga, accepted(house), *rows)
    assert house.reviews == ["reference_taken", "evidence_unusable"]
    assert {row.row.id for row in rows} <= house.consumed | house.quarantined
    house.clock.turn(86_400)
    await settle(saga, *(evidence(house, "stk", body) for body in bodies))
    assert house.reviews == ["reference_taken", "evidence_unusable"] * 2


async def test_a_lost_reply_goes_to_the_resolver(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, code="dropped"))
    (resolve,) = house.told_to(DERIV_RESOLVER)
    assert isinstance(resolve, ResolveTransfer)
    found = ProbeAnswered(
        probe="transfer", operation_id=resolve.operation_id, outcome="CONFIRMED", reference="77", amount=usd(966)
    )
    await settle(saga, found)
    assert row_of(house).state == "COMPLETED"


async def test_a_decision_is_about_the_transaction_that_people_looked_at(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(house))
    await park(row_of(house).id, KeyError("x"), parts_of(house))
    before = row_of(house)
    decision = ResolveReview(item_id="I", action="absent", approval=Approval("Achieng", "Kamau", "ticket 7"))
    late = await saga.aask(replace(decision, version=before.version - 1))
    assert late == Refusal("review_not_resolvable", "the transaction has changed since it was looked at")
    assert (row_of(house), house.reviews) == (before, ["parked"])
    done = await saga.aask(replace(decision, version=before.version))
    assert not isinstance(done, Refusal)


async def test_evidence_that_waited_counts_before_a_decision_about_what_people_looked_at(
    house: House, saga: AsyncioActorRef
) -> None:
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    house.attempted.add(operation(house, "DERIV_TRANSFER"))
    await park(row_of(house).id, KeyError("x"), parts_of(house))
    looked_at = row_of(house)
    house.waiting.append(rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, code="dropped").row)
    decision = ResolveReview(
        item_id="I", action="absent", approval=Approval("Achieng", "Kamau", "ticket 7"), version=looked_at.version
    )
    answer = await saga.aask(decision)
    assert answer == Refusal("review_not_resolvable", "the transaction has changed since it was looked at")
    assert row_of(house).version == looked_at.version + 1, "what waited is applied, and nothing is decided"


async def test_a_decision_that_lost_a_race_is_not_made_about_what_nobody_looked_at(
    house: House, saga: AsyncioActorRef
) -> None:
    await settle(saga, accepted(house))
    await park(row_of(house).id, KeyError("x"), parts_of(house))
    read, before = house.load, row_of(house)

    async def overtaken(key: str, **more: Any) -> Any:
        found = await read(key, **more)
        house.rows[before.id] = replace(before, version=before.version + 1)
        return found

    house.load = overtaken  # type: ignore[method-assign]
    answer = await saga.aask(ResolveReview(item_id="I", action="absent", approval=Approval("A", "B", "ticket 7")))
    assert answer == Refusal("review_not_resolvable", "the transaction has changed since it was looked at")
    assert row_of(house).version == before.version + 1


NOT_YET = Refusal("review_not_resolvable", "a call to the provider is still under way: try again in a minute")


@pytest.mark.parametrize("kind", ["STK", "DERIV_TRANSFER"])
async def test_nothing_is_proven_absent_while_its_call_is_under_way(
    house: House, saga: AsyncioActorRef, kind: str
) -> None:
    if kind == "DERIV_TRANSFER":
        await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    called = operation(house, kind)
    house.attempted.add(called)
    house.calling.add(called)
    await park(row_of(house).id, KeyError("x"), parts_of(house))
    before = row_of(house)
    absent = ResolveReview(item_id="I", action="absent", approval=Approval("Achieng", "Kamau", "ticket 7"))
    assert await saga.aask(absent) == NOT_YET
    assert row_of(house) == before
    # The rail died in its call: the next epoch ends the attempt.
    house.calling.clear()
    await settle(saga, rail(house, kind, Outcome.UNKNOWN, code=ABANDONED))
    assert isinstance(await saga.aask(absent), TransactionRow)


async def test_a_call_that_began_while_waiting_evidence_was_applied_is_under_way(
    house: House, saga: AsyncioActorRef
) -> None:
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    called = operation(house, "DERIV_TRANSFER")
    house.attempted.add(called)
    await park(row_of(house).id, KeyError("x"), parts_of(house))
    house.waiting.append(rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, code="dropped").row)
    read = house.load

    async def begun_after(key: str, **more: Any) -> Any:
        found = await read(key, **more)
        house.calling.add(called)
        return found

    house.load = begun_after  # type: ignore[method-assign]
    absent = ResolveReview(item_id="I", action="absent", approval=Approval("Achieng", "Kamau", "ticket 7"))
    assert await saga.aask(absent) == NOT_YET


async def test_people_who_name_an_id_that_was_used_are_told_so_and_nobody_is_asked_anew(
    house: House, saga: AsyncioActorRef
) -> None:
    await settle(saga, accepted(house))
    await park(row_of(house).id, KeyError("x"), parts_of(house))
    house.references["mpesa_receipt", "NLJ7RT61SV"] = "the operation of another"
    before = row_of(house)
    approval = Approval("Achieng", "Kamau", "NLJ7RT61SV")
    answer = await saga.aask(ResolveReview(item_id="I", action="executed", approval=approval))
    assert isinstance(answer, Refusal)
    assert (answer.code, "NLJ7RT61SV was used already" in answer.detail) == ("review_not_resolvable", True)
    assert (row_of(house), house.reviews) == (before, ["parked"])


@pytest.mark.parametrize(
    "late", [{"outcome": Outcome.REFUSED, "code": "x"}, {"outcome": Outcome.UNKNOWN}, {"outcome": Outcome.NOT_SENT}]
)
async def test_the_late_end_of_an_attempt_that_is_over_says_nothing_about_the_next_one(
    house: House, saga: AsyncioActorRef, late: dict[str, Any]
) -> None:
    """A refusal that a node slept over must not give back what its successor's attempt is crediting."""
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN))
    of = operation(house, "DERIV_TRANSFER")
    await settle(
        saga, ProbeAnswered(probe="transfer", operation_id=of, outcome="ABSENT", attempt=1, proof="two clean reads")
    )
    before = row_of(house)
    assert before.state == "DERIV_SENDING"
    await settle(saga, rail(house, "DERIV_TRANSFER", **late))
    assert row_of(house) == before
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.CONFIRMED, attempt=2, provider_ref="t1"))
    assert row_of(house).state == "COMPLETED"


@pytest.mark.parametrize("late", [{"outcome": Outcome.REFUSED, "code": "x"}, {"outcome": Outcome.NOT_SENT}])
async def test_nor_does_it_when_the_saga_learns_only_from_a_lost_race_that_the_attempt_is_over(
    house: House, saga: AsyncioActorRef, other: AsyncioActorRef, late: dict[str, Any]
) -> None:
    """Both nodes hold the saga while the shard moves, and the one that is told of the late end is the slower one."""
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN))
    of = operation(house, "DERIV_TRANSFER")
    await settle(
        other, ProbeAnswered(probe="transfer", operation_id=of, outcome="ABSENT", attempt=1, proof="two clean reads")
    )
    before = row_of(house)
    assert before.state == "DERIV_SENDING"
    await settle(saga, rail(house, "DERIV_TRANSFER", **late))
    assert row_of(house) == before


async def test_an_answer_about_another_operation_is_no_evidence(house: House, saga: AsyncioActorRef) -> None:
    await settle(
        saga, accepted(house), ProbeAnswered(probe="stk", operation_id="01K000000000000000000000ZZ", outcome="PAID")
    )
    assert row_of(house).state == "AWAITING_PAYER"


@pytest.mark.parametrize("failure", [Unavailable("database"), OutcomeUnknown("crash"), ActorKilled("ledger#1")])
async def test_a_unit_whose_outcome_is_unknown_is_decided_again_from_the_row(
    house: House, saga: AsyncioActorRef, failure: Exception
) -> None:
    await settle(saga, accepted(house))
    arrived = evidence(house, "stk", paid_body(house.clock.now()))
    house.failing.append(failure)
    with pytest.raises(Unavailable):
        await saga.aask(arrived)
    house.waiting.append(arrived.row)
    await settle(saga, arrived)
    assert row_of(house).state == "DERIV_SENDING"


async def test_a_lost_race_is_decided_again(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(house))
    row = row_of(house)
    house.rows[row.id] = replace(row, version=row.version + 1)
    await settle(saga, evidence(house, "stk", paid_body(house.clock.now())))
    assert (row_of(house).state, row_of(house).version) == ("DERIV_SENDING", row.version + 2)


async def test_a_frozen_customers_payment_is_booked_without_an_intent(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(house))
    house.frozen.add("U1")
    await settle(saga, evidence(house, "stk", paid_body(house.clock.now())))
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["account_frozen"])
    assert [posting.key for unit in house.units.values() for posting in unit.postings] == ["paid"]


async def test_evidence_that_waited_in_the_inbox_is_applied_on_waking(house: House, saga: AsyncioActorRef) -> None:
    house.waiting.append(accepted(house).row)
    house.clock.turn(11)
    await settle(saga, WakeUp())
    assert row_of(house).state == "AWAITING_PAYER"


async def test_cancel_works_until_the_rail_has_made_an_attempt(house: House, saga: AsyncioActorRef) -> None:
    house.attempted.add(operation(house, "STK"))
    refused = await saga.aask(CancelTransaction("U1"))
    assert isinstance(refused, Refusal)
    assert refused.code == "not_cancellable"
    house.attempted.clear()
    cancelled = await saga.aask(CancelTransaction("U1"))
    assert isinstance(cancelled, TransactionRow)
    assert (cancelled.state, cancelled.failure_code) == ("FAILED", "cancelled")


async def test_a_stranger_cannot_cancel(saga: AsyncioActorRef) -> None:
    refused = await saga.aask(CancelTransaction("U2"))
    assert isinstance(refused, Refusal)
    assert refused.code == "not_found"


async def test_a_parked_saga_stands_in_front_of_a_person_once(house: House) -> None:
    transaction_id = row_of(house).id
    for _ in range(2):
        await park(transaction_id, RuntimeError("poison"), parts_of(house))
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["parked"])


async def test_a_saga_whose_last_unit_was_durable_after_all_is_parked_from_there(house: House) -> None:
    transaction_id = row_of(house).id
    read, newer = house.load, replace(row_of(house), version=row_of(house).version + 1)

    async def overtaken(key: str, **more: Any) -> Any:
        found = await read(key, **more)
        house.rows[transaction_id] = newer
        return found

    house.load = overtaken  # type: ignore[method-assign]
    await park(transaction_id, RuntimeError("poison"), parts_of(house))
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["parked"])


def test_a_reversal_is_asked_about_by_both_of_its_ids_in_turns() -> None:
    refund = Operation(id="01J0000000000000000000BACK", state=OperationState.SENT)
    deposit = replace(new_deposit(), refund=refund, refund_originator_conversation_id="12345-1")
    asked = [
        DEPOSIT.message(replace(deposit, polls=polls), Effect("probe_reversal", refund.id))[1] for polls in (1, 2, 3)
    ]
    assert [probe.originator_conversation_id for probe in asked] == ["", "12345-1", ""]


async def test_a_saga_that_only_waits_is_out_of_memory_after_twice_its_time(house: House):
    """Looked for every 15 s it had stayed for 20: at 500 deposits a second that is all of the 10,000 which may wait."""
    assert saga_host(parts_of(house)).sweep_s <= SagaActor.IDLE_S
