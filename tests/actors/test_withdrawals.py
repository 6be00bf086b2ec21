"""Withdrawals through their actors: admission bound to a code, then the saga from the debit to the payout."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from actors.base import ActorKilled, AskTimeout, AsyncioActorRef, MailboxFull, NoSuchActor
from actors.desk import UserParts
from actors.parking import park
from actors.saga import SagaActor, SagaParts
from actors.suspects import Suspects
from actors.user import UserActor
from penpay.domain.admission import Limits
from penpay.domain.board import FloatSnapshot, RailHealth
from penpay.domain.errors import Unavailable
from penpay.domain.ids import uuid_text
from penpay.domain.money import Money, usd
from penpay.domain.rail_end import ABANDONED, ANOTHER_RECIPIENT, Outcome, RailEnd, encode_rail_end
from penpay.domain.review import Approval
from penpay.domain.rules import Rules
from penpay.domain.unit import TransactionRow
from penpay.messages import (
    AcceptWithdrawal,
    EvidenceArrived,
    HttpAnswer,
    InboxRow,
    ProbeAnswered,
    Refusal,
    RequestWithdrawalCode,
    ResolveReview,
    SagaBegan,
    TransactionSettled,
    WakeUp,
)
from penpay.messages_rails import (
    DARAJA_GATE,
    DERIV_CREDITS,
    DERIV_TRANSFERS,
    DERIV_WITHDRAWALS,
    ProbePayout,
    ProbeWitness,
    StopPayouts,
    Submit,
)
from tests.actors.house import House, PlainSealer, customer

SEND = usd(2000)
APPROVAL = Approval("a", "b", "ticket 1")
PARTS: dict[str, Any] = {"sealer": PlainSealer(), "rules": Rules()}


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def user(house: House) -> AsyncIterator[AsyncioActorRef]:
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
        agent_loginid="CRAGENT",
        meter=house,
    )
    ref = UserActor.start("U1", parts)
    yield ref
    await ref.shutdown(1)


def code_for(amount: Money = SEND, **who: Any) -> RequestWithdrawalCode:
    return RequestWithdrawalCode(customer=customer(**who), quote_id="", amount=amount, deriv_token="t", email="e")


def asked(amount: Money = SEND, *, key: str = "k", **more: Any) -> AcceptWithdrawal:
    known = {
        "customer": customer(),
        "route": "w",
        "key_hash": key,
        "fingerprint": "f",
        "quote_id": "",
        "amount": amount,
    }
    return AcceptWithdrawal(**{**known, "verification_code": "abcd1234", "deriv_token": "t", **more})


def code(answer: HttpAnswer) -> str:
    return str(json.loads(answer.body).get("code", ""))


async def admitted(user: AsyncioActorRef) -> HttpAnswer:
    await user.aask(code_for())
    answer: HttpAnswer = await user.aask(asked())
    assert answer.status == 202
    return answer


async def test_a_withdrawal_is_admitted_for_the_amount_that_its_code_was_asked_for(
    house: House, user: AsyncioActorRef
) -> None:
    body = json.loads((await admitted(user)).body)
    assert (body["type"], body["stage"], body["receive"]["amount"]) == ("WITHDRAWAL", "DERIV_SENDING", "2490.00")
    (unit,) = house.units.values()
    (debit,) = unit.new_operations
    assert debit.request == {"loginid": "CR100", "paymentagent_loginid": "CRAGENT"}
    assert b"abcd1234" in debit.sealed_request
    assert "abcd1234" not in repr(unit)


@pytest.mark.parametrize(("amount", "phone"), [(usd(2100), "254712345126"), (usd(2000), "254700000001")])
async def test_another_amount_or_payee_needs_a_code_of_its_own(
    house: House, user: AsyncioActorRef, amount: Money, phone: str
) -> None:
    await user.aask(code_for())
    answer = await user.aask(asked(amount, customer=customer(phone=phone)))
    assert (answer.status, code(answer), house.rows) == (409, "code_amount_mismatch", {})


async def test_one_withdrawal_at_a_time(house: House, user: AsyncioActorRef) -> None:
    await admitted(user)
    second = await user.aask(asked(key="k2"))
    assert (second.status, code(second)) == (409, "withdrawal_open")


async def test_a_repeated_key_gets_the_first_answer(house: House, user: AsyncioActorRef) -> None:
    first = await admitted(user)
    again = await user.aask(asked())
    assert (again.body, again.replayed) == (first.body, True)
    assert house.counted == [("WITHDRAWAL", "AWAITING_DERIV_CONFIRMATION")]


async def test_what_cannot_be_paid_out_is_refused_before_the_dollars_move(house: House, user: AsyncioActorRef) -> None:
    await user.aask(code_for())
    house.board.floats["mpesa_utility"] = FloatSnapshot(100_000, 0, house.clock.now())
    assert code(await user.aask(asked())) == "float_low"
    house.board.floats.clear()
    house.board.rails["b2c"] = RailHealth(up=False, reason="initiator")
    refused = await user.aask(asked())
    assert (code(refused), json.loads(refused.body)["detail"]) == ("rail_down", "M-Pesa takes no payouts now.")
    assert code(await user.aask(code_for())) == "rail_down"


async def test_a_code_that_deriv_was_not_asked_for_says_so(house: House, user: AsyncioActorRef) -> None:
    def answered(answer: object) -> Callable[..., Awaitable[object]]:
        async def ask(address: str, message: object, *, timeout_s: float = 5.0) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    not_asked = (NoSuchActor("rails/deriv/withdrawals"), MailboxFull("r", 1), Refusal("rail_down", untouched=True))
    for answer in not_asked:
        house.ask = answered(answer)  # type: ignore[method-assign]
        refused = await user.aask(code_for())
        assert (refused.status, code(refused), refused.untouched) == (503, "rail_down", True)
    house.ask = answered(Refusal("rail_down"))  # type: ignore[method-assign]
    refused = await user.aask(code_for())
    assert (refused.status, refused.untouched) == (503, False)
    house.board.fx = None
    refused = await user.aask(code_for())
    assert (refused.status, code(refused), refused.untouched) == (503, "rates_unavailable", True)


@pytest.mark.parametrize("lost", [AskTimeout("no answer in 7 s"), ActorKilled("rails/deriv/withdrawals#1")])
async def test_a_rail_that_does_not_answer_ends_no_user(
    house: House, user: AsyncioActorRef, monkeypatch: pytest.MonkeyPatch, lost: Exception
) -> None:
    async def silent(address: str, message: object, *, timeout_s: float = 5.0) -> object:
        raise lost

    with monkeypatch.context() as away:
        away.setattr(house, "ask", silent)
        refused = await user.aask(code_for())
    assert (refused.status, code(refused), refused.untouched) == (503, "outcome_unknown", False)
    assert refused.retry_after_s > 0
    assert (await user.aask(code_for())).status == 202


@pytest.mark.parametrize("lost", [AskTimeout("no answer in 8 s"), ActorKilled("shards/3/ledger#1")])
async def test_a_ledger_that_does_not_answer_ends_no_user(
    house: House, user: AsyncioActorRef, monkeypatch: pytest.MonkeyPatch, lost: Exception
) -> None:
    async def silent(address: str, message: object, *, timeout_s: float = 5.0) -> object:
        raise lost

    await user.aask(code_for())
    with monkeypatch.context() as away:
        away.setattr(house, "ask", silent)
        begun, refused = await user.aask(asked()), await user.aask(asked(usd(2_100), key="k2"))
    assert [(one.status, code(one)) for one in (begun, refused)] == [(503, "outcome_unknown")] * 2
    assert (await user.aask(asked())).status == 202


async def test_a_code_counts_once_deriv_mailed_it_and_not_before(
    house: House, user: AsyncioActorRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("database")

    with monkeypatch.context() as broken:
        broken.setattr(house, "remember_code", away)
        with pytest.raises(Unavailable):
            await user.aask(code_for())
    assert len(house.mailed) == 1
    monkeypatch.setattr(house, "load", away)
    refused = await user.aask(code_for())
    assert (refused.status, code(refused), refused.untouched) == (503, "unavailable", True)
    assert len(house.mailed) == 1


async def test_a_hold_after_a_change_refuses_and_says_until_when(house: House, user: AsyncioActorRef) -> None:
    await user.aask(code_for())
    answer = await user.aask(asked(held_until=house.clock.at.replace(hour=20)))
    assert (answer.status, code(answer)) == (403, "withdrawals_held")
    assert "20:00" in json.loads(answer.body)["detail"]


# --- the saga ---------------------------------------------------------------------------------------------------


def saga_parts(house: House) -> SagaParts:
    suspects = Suspects(house)
    return SagaParts(
        shard=3, addresses=house, store=house, clock=house.clock, ids=house.ids, suspects=suspects, **PARTS
    )


@pytest.fixture
async def saga(house: House, user: AsyncioActorRef) -> AsyncIterator[AsyncioActorRef]:
    await admitted(user)
    ref = SagaActor.start(row_of(house).id, saga_parts(house))
    yield ref
    await ref.shutdown(1)


def row_of(house: House) -> TransactionRow:
    """The newest."""
    return list(house.rows.values())[-1]


def operation(house: House, kind: str) -> str:
    return [made for unit in house.units.values() for made in unit.new_operations if made.kind == kind][-1].id


def evidence(house: House, kind: str, body: bytes, *, of: str) -> EvidenceArrived:
    return EvidenceArrived(
        InboxRow(
            id=house.ids.ulid(),
            shard=3,
            kind=kind,
            operation_id=of,
            body=body,
            trusted_source=True,
            received_at=house.clock.now(),
        )
    )


def rail(house: House, kind: str, outcome: Outcome, **more: Any) -> EvidenceArrived:
    of = operation(house, kind)
    end = RailEnd(operation_id=of, attempt=1, kind=kind, outcome=outcome, at=house.clock.now(), **more)
    return evidence(house, "rail", encode_rail_end(end), of=of)


def result(house: House, code: int, *, receipt: str = "SG632NMUAB", of: str = "") -> EvidenceArrived:
    parameters = {
        "ResultParameter": [
            {"Key": "TransactionAmount", "Value": 2490},
            {"Key": "TransactionReceipt", "Value": receipt},
        ]
    }
    of = of or operation(house, "B2C")
    body: dict[str, Any] = {"ResultType": 0, "ResultCode": code, "ResultDesc": "x", "TransactionID": receipt}
    body["OriginatorConversationID"] = uuid_text(of)
    if code == 0:
        body["ResultParameters"] = parameters
    return evidence(house, "b2c", json.dumps({"Result": body}).encode(), of=of)


def status(house: House, verdict: str) -> EvidenceArrived:
    parameters = {
        "ResultParameter": [{"Key": "TransactionStatus", "Value": verdict}, {"Key": "ReceiptNo", "Value": ""}]
    }
    body = {"ResultType": 0, "ResultCode": 0, "ResultDesc": "x", "TransactionID": "", "ResultParameters": parameters}
    return evidence(house, "txstatus", json.dumps({"Result": body}).encode(), of=operation(house, "B2C"))


async def settle(saga: AsyncioActorRef, *messages: object) -> None:
    for message in messages:
        await saga.aask(message)


def witness(house: House, reference: str = "a1") -> ProbeAnswered:
    of = operation(house, "DERIV_WITHDRAW")
    return ProbeAnswered(probe="witness", operation_id=of, outcome="CONFIRMED", reference=reference, amount=usd(2000))


async def to_payout(house: House, saga: AsyncioActorRef, debit: str = "c1", credit: str = "a1") -> None:
    debited = rail(house, "DERIV_WITHDRAW", Outcome.CONFIRMED, provider_ref=debit)
    await settle(saga, debited, witness(house, credit))


async def to_the_end(house: House, saga: AsyncioActorRef, debit: str, credit: str, receipt: str) -> None:
    await to_payout(house, saga, debit, credit)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED), result(house, 0, receipt=receipt))


@pytest.mark.parametrize("passing", [True, False])
async def test_an_ended_withdrawal_that_opens_again_as_the_next_one_begins_takes_nothing_from_it(
    house: House, user: AsyncioActorRef, saga: AsyncioActorRef, *, passing: bool
) -> None:
    """Whether the late result passes the admission on its way to the ledger, or comes when it is recorded."""
    await to_the_end(house, saga, "c1", "a1", "SG1")
    first, failed = row_of(house).id, result(house, 2040)

    under_way, goes_on = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        under_way.set()
        await goes_on.wait()

    await user.aask(TransactionSettled(first))
    await user.aask(code_for())
    house.meanwhile.append(waits)
    admission = asyncio.ensure_future(user.aask(asked(key="k2")))
    await under_way.wait()
    if passing:
        await saga.aask(failed)
    goes_on.set()
    assert (await admission).status == 202
    if not passing:
        await saga.aask(failed)
    second = row_of(house).id
    assert [house.rows[one].state for one in (first, second)] == ["IN_REVIEW", "DERIV_SENDING"]
    told = [one for one in house.told if isinstance(one[1], TransactionSettled)]
    assert told == [("shards/3/users/U1", TransactionSettled(first))] * 2, "that it ended, and that it is open again"
    await user.aask(told[-1][1])
    assert code(await user.aask(asked(key="k3"))) == "withdrawal_open"

    other = SagaActor.start(second, saga_parts(house))
    await to_the_end(house, other, "c2", "a2", "SG2")
    await other.shutdown(1)
    await saga.aask(ResolveReview(item_id="i", action="close", approval=APPROVAL))
    assert [house.rows[one].state for one in (first, second)] == ["COMPLETED", "COMPLETED"]
    for one in (first, second):
        paid = [
            (entry.account.code, entry.amount_minor)
            for unit in house.units.values()
            if unit.transaction is not None and unit.transaction.row.id == one
            for posting in unit.postings
            for entry in posting.entries
        ]
        assert sum(minor for name, minor in paid if name == "deriv_agent") == 2000
        assert sum(minor for name, minor in paid if name == "mpesa_utility") == -249_000
        assert sum(minor for name, minor in paid if name in {"customer", "b2c_out", "deriv_in"}) == 0
    used = sum(one.usd_minor for one in (await house.load("U1", eat_day="2026-03-01")).withdrawals)
    assert used == 4000, "both count for the day"


async def test_a_withdrawal_runs_from_admission_to_the_shillings(house: House, saga: AsyncioActorRef) -> None:
    await settle(saga, SagaBegan(row_of(house)))
    (submit,) = house.told_to(DERIV_WITHDRAWALS)
    assert isinstance(submit, Submit)
    await settle(saga, rail(house, "DERIV_WITHDRAW", Outcome.CONFIRMED, provider_ref="c1"))
    assert isinstance(house.told_to(DERIV_CREDITS)[-1], ProbeWitness)
    await settle(saga, witness(house))
    assert (row_of(house).state, isinstance(house.told_to(DARAJA_GATE)[-1], Submit)) == ("B2C_SENDING", True)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={"conversation_id": "AG_1"}), result(house, 0))
    assert row_of(house).state == "COMPLETED"
    keys = [posting.key for unit in house.units.values() for posting in unit.postings]
    assert keys == ["debited", "witnessed", "payout_hold", "payout_done"]


async def test_the_payout_goes_to_the_payee_of_admission_under_an_id_of_its_own(
    house: House, saga: AsyncioActorRef
) -> None:
    await to_payout(house, saga)
    (payout,) = [made for unit in house.units.values() for made in unit.new_operations if made.kind == "B2C"]
    aad = f"provider_operations|sealed_request|{payout.id}"
    assert PlainSealer().open(payout.sealed_request, aad=aad, user_id="U1", data_key=b"k") == b"254712345126"
    assert len(payout.request["originator_conversation_id"]) == 36


async def test_a_failed_result_stops_all_payouts_when_our_initiator_is_at_fault(
    house: House, saga: AsyncioActorRef
) -> None:
    await to_payout(house, saga)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={}), result(house, 2001))
    assert house.told_to(DARAJA_GATE)[-1] == StopPayouts(code="2001")
    assert row_of(house).state == "B2C_UNKNOWN"


async def test_the_status_is_asked_by_our_id_and_by_safaricoms_in_turns(house: House, saga: AsyncioActorRef) -> None:
    await to_payout(house, saga)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={"conversation_id": "AG_1"}))
    for seconds in (601, 61, 61):
        house.clock.turn(seconds)
        await settle(saga, WakeUp())
    asked = [message.conversation_id for message in house.told_to(DARAJA_GATE) if isinstance(message, ProbePayout)]
    assert asked == ["", "AG_1", ""]


async def test_dollars_go_back_only_after_two_pieces_of_evidence(house: House, saga: AsyncioActorRef) -> None:
    await to_payout(house, saga)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={}), result(house, 2040), status(house, "Declined"))
    assert row_of(house).state == "B2C_UNKNOWN"
    house.clock.turn(601)
    await settle(saga, status(house, "Declined"))
    assert row_of(house).state == "RETURN_SENDING"
    await settle(saga, rail(house, "DERIV_RETURN", Outcome.CONFIRMED, provider_ref="r1"))
    assert row_of(house).state == "REVERSED"


async def test_a_success_of_a_payout_that_was_replaced_completes_nothing(house: House, saga: AsyncioActorRef) -> None:
    await to_payout(house, saga)
    first = operation(house, "B2C")
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={}), result(house, 1))
    house.clock.turn(601)
    await settle(saga, status(house, "Declined"))
    house.clock.turn(31)
    await settle(saga, WakeUp())
    assert operation(house, "B2C") != first
    await settle(saga, result(house, 0, of=first))
    assert (row_of(house).state, house.reviews) == ("B2C_SENDING", ["evidence_unusable"])


@pytest.mark.parametrize("kind", ["DERIV_WITHDRAW", "B2C", "DERIV_RETURN"])
async def test_nobody_gives_dollars_back_while_the_call_that_moves_them_is_under_way(
    house: House, saga: AsyncioActorRef, kind: str
) -> None:
    if kind != "DERIV_WITHDRAW":
        await to_payout(house, saga)
    if kind == "DERIV_RETURN":
        await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={}), result(house, 2040))
        house.clock.turn(601)
        await settle(saga, status(house, "Failed"))
        assert row_of(house).state == "RETURN_SENDING"
    called = operation(house, kind)
    house.attempted.add(called)
    house.calling.add(called)
    await park(row_of(house).id, KeyError("x"), saga_parts(house))
    before = row_of(house)
    absent = ResolveReview(item_id="i", action="absent", approval=APPROVAL)
    refusal = await saga.aask(absent)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, "try again in a minute" in refusal.detail) == ("review_not_resolvable", True)
    assert row_of(house) == before
    # The rail died in its call: the next epoch ends the attempt.
    house.calling.clear()
    await settle(saga, rail(house, kind, Outcome.UNKNOWN, code=ABANDONED))
    assert isinstance(await saga.aask(absent), TransactionRow)


async def test_staff_may_give_back_what_a_frozen_customer_withdrew(house: House, saga: AsyncioActorRef) -> None:
    house.frozen.add("U1")
    await to_payout(house, saga)
    assert row_of(house).state == "IN_REVIEW"
    wrong = await saga.aask(ResolveReview(item_id="i", action="credit", approval=APPROVAL))
    assert isinstance(wrong, Refusal)
    house.frozen.clear()
    done = await saga.aask(ResolveReview(item_id="i", action="return", approval=APPROVAL))
    assert isinstance(done, TransactionRow)
    assert done.state == "RETURN_SENDING"


def took(house: House) -> dict[str, int]:
    """What this one transaction has on each account of dollars."""
    found: dict[str, int] = {}
    for unit in house.units.values():
        for entry in (entry for posting in unit.postings for entry in posting.entries):
            if entry.account.currency == "USD":
                name = str(entry.account.code)
                found[name] = found.get(name, 0) + entry.amount_minor
    return {name: minor for name, minor in found.items() if minor}


async def test_a_return_of_another_amount_than_asked_comes_before_people(house: House, saga: AsyncioActorRef) -> None:
    """No provider tells of one; if an answer did, nothing would be booked as what it is not."""
    await to_payout(house, saga)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={}), result(house, 2040))
    house.clock.turn(601)
    await settle(saga, status(house, "Declined"))
    await settle(saga, rail(house, "DERIV_RETURN", Outcome.UNKNOWN, code="timed_out"))
    found = {"operation_id": operation(house, "DERIV_RETURN"), "outcome": "CONFIRMED", "reference": "r1"}
    await settle(saga, ProbeAnswered(probe="transfer", amount=usd(1900), **found))
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["return_ambiguous"])
    assert took(house) == {"deriv_agent": 2000, "deriv_out": -2000}
    executed = ResolveReview(item_id="i", action="executed", approval=Approval("a", "b", "r1"))
    assert isinstance(await saga.aask(executed), TransactionRow)
    assert (row_of(house).state, took(house)) == ("REVERSED", {})


@pytest.mark.parametrize("reply_first", [False, True], ids=["statement first", "reply first"])
async def test_a_return_that_somebody_else_got_is_made_once_more_whichever_is_told_first(
    house: House, saga: AsyncioActorRef, *, reply_first: bool
) -> None:
    await to_payout(house, saga)
    await settle(saga, rail(house, "B2C", Outcome.CONFIRMED, facts={}), result(house, 2040))
    house.clock.turn(601)
    await settle(saga, status(house, "Declined"))
    await settle(saga, rail(house, "DERIV_RETURN", Outcome.UNKNOWN, code="timed_out"))
    first = operation(house, "DERIV_RETURN")
    shown = ProbeAnswered(
        probe="transfer", operation_id=first, outcome="CONFIRMED", reference="r1", amount=SEND, proof="reference"
    )
    facts = {"client_to_loginid": "CR2"}
    late = rail(house, "DERIV_RETURN", Outcome.CONFIRMED, code=ANOTHER_RECIPIENT, provider_ref="r1", facts=facts)
    told = [late, shown] if reply_first else [shown, late]
    await settle(saga, *told, *told)
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["contradicting_return"])
    assert took(house) == {"customer": -2000, "write_off": 2000}
    assert isinstance(await saga.aask(ResolveReview(item_id="i", action="close", approval=APPROVAL)), Refusal)

    assert isinstance(await saga.aask(ResolveReview(item_id="i", action="return", approval=APPROVAL)), TransactionRow)
    second = operation(house, "DERIV_RETURN")
    submitted = [one for one in house.told_to(DERIV_TRANSFERS) if isinstance(one, Submit)]
    assert second != first
    assert (submitted[-1].operation_id, submitted[-1].loginid) == (second, "CR100")
    await settle(saga, rail(house, "DERIV_RETURN", Outcome.CONFIRMED, provider_ref="r2"))
    assert (row_of(house).state, took(house)) == ("REVERSED", {"deriv_agent": -2000, "write_off": 2000})
    assert json.loads(row_of(house).data)["return_transaction_id"] == "r2"
    refused = await saga.aask(ResolveReview(item_id="i", action="return", approval=APPROVAL))
    assert isinstance(refused, Refusal), "exactly once"
