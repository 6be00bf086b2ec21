"""Admission: who may begin a deposit, and what a repeated request gets."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from actors.base import ActorKilled, AsyncioActorRef, MailboxFull
from actors.desk import UserParts
from actors.user import UserActor
from penpay.domain.admission import Limits
from penpay.domain.board import FloatSnapshot, FxSnapshot, RailHealth
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.fx import Direction
from penpay.domain.money import Money, kes, usd
from penpay.domain.rules import Rules
from penpay.messages import (
    AcceptDeposit,
    CreateQuote,
    ForgetUser,
    HttpAnswer,
    Quote,
    Refusal,
    SagaBegan,
    TransactionSettled,
)
from tests.actors.house import House, PlainSealer, customer


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
        meter=house,
    )
    ref = UserActor.start("U1", parts)
    yield ref
    await ref.shutdown(1)


def asked(
    amount: Money | None = None,
    *,
    key: str = "key-1",
    fingerprint: str = "f",
    quote_id: str = "",
    phone: str = "",
    **who: Any,
) -> AcceptDeposit:
    if amount is None and not quote_id:
        amount = kes(130_000)
    return AcceptDeposit(
        customer=customer(**who),
        route="POST /deposits",
        key_hash=key,
        fingerprint=fingerprint,
        quote_id=quote_id,
        amount=amount,
        phone=phone,
        request_id="r",
    )


def code(answer: HttpAnswer) -> str:
    return str(json.loads(answer.body).get("code", ""))


async def test_a_good_request_becomes_one_transaction_and_tells_its_saga(house: House, user: AsyncioActorRef) -> None:
    answer = await user.aask(asked())
    body = json.loads(answer.body)
    assert (answer.status, body["status"], body["stage"], body["receive"]["amount"]) == (
        202,
        "PROCESSING",
        "STK_SENDING",
        "9.66",
    )
    assert answer.location == f"/api/v1/transactions/{body['id']}"
    (row,) = house.rows.values()
    began = [message for message in house.told_to(f"shards/3/sagas/{row.id}") if isinstance(message, SagaBegan)]
    assert began == [SagaBegan(row)]


async def test_a_deposit_is_counted_once_in_its_first_status(house: House, user: AsyncioActorRef) -> None:
    await user.aask(asked(deriv_loginid=""))
    assert house.counted == []
    for _ in range(3):
        await user.aask(asked(key="key-2"))
    assert house.counted == [("DEPOSIT", "PROCESSING")]


async def test_a_deposit_whose_record_was_in_doubt_is_counted_when_that_is_over(
    house: House, user: AsyncioActorRef
) -> None:
    house.failing.append(Unavailable("database"))
    assert (await user.aask(asked())).status == 503
    assert house.counted == []
    assert {(await user.aask(asked())).status for _ in range(3)} == {202}
    assert house.counted == [("DEPOSIT", "PROCESSING")]


async def test_the_payers_phone_is_sealed_in_the_intent(house: House, user: AsyncioActorRef) -> None:
    await user.aask(asked())
    (unit,) = house.units.values()
    (push,) = unit.new_operations
    assert b"254712345126" in push.sealed_request
    assert push.recipient == "2547****126"
    assert len(push.reference) == 12


async def test_the_same_key_and_body_get_the_first_answer_byte_for_byte(house: House, user: AsyncioActorRef) -> None:
    first = await user.aask(asked())
    again = await user.aask(asked())
    assert (again.body, again.status, again.location, again.replayed) == (first.body, 202, first.location, True)
    assert len(house.rows) == 1


async def test_the_same_key_with_another_body_is_refused_and_changes_nothing(
    house: House, user: AsyncioActorRef
) -> None:
    await user.aask(asked())
    other = await user.aask(asked(kes(140_000), fingerprint="g"))
    assert (other.status, code(other)) == (422, "idempotency_key_reused")
    assert len(house.rows) == 1


async def test_a_refusal_of_the_business_is_replayed_although_the_reason_has_gone(
    house: House, user: AsyncioActorRef
) -> None:
    first = await user.aask(asked(deriv_loginid=""))
    again = await user.aask(asked())
    assert (first.status, code(first)) == (403, "deriv_not_linked")
    assert json.loads(first.body)["instance"] == "/deposits"
    assert (again.body, again.replayed) == (first.body, True)


@pytest.mark.parametrize("rail", ["daraja", "deriv"])
async def test_a_deposit_whose_prompt_would_come_too_late_is_refused_at_once(
    house: House, user: AsyncioActorRef, rail: str
) -> None:
    house.board.backlogs[rail] = Limits().stk_max_age_s
    first = await user.aask(asked())
    house.board.backlogs[rail] = Limits().stk_max_age_s - 1
    again = await user.aask(asked())
    assert (first.status, code(first), first.retry_after_s, again.status) == (503, "overloaded", 30, 202)


@pytest.mark.parametrize(
    ("rail", "told"), [("daraja", "M-Pesa cannot be reached now."), ("deriv", "Deriv cannot be reached now.")]
)
async def test_why_a_rail_is_down_is_for_operators_only(
    house: House, user: AsyncioActorRef, rail: str, told: str
) -> None:
    house.board.rails[rail] = RailHealth(up=False, reason="InvalidToken: another node runs this rail")
    assert json.loads((await user.aask(asked())).body)["detail"] == told


async def test_a_rate_that_is_missing_does_not_tell_of_its_source(house: House, user: AsyncioActorRef) -> None:
    house.board.fx = FxSnapshot(0, house.clock.now(), "http_500")
    assert json.loads((await user.aask(asked())).body)["detail"] == "There is no reliable exchange rate now."


async def test_a_rail_that_is_down_is_not_remembered_under_the_key(house: House, user: AsyncioActorRef) -> None:
    house.board.rails["deriv"] = RailHealth(up=False, reason="closed", retry_after_s=7)
    first = await user.aask(asked())
    house.board.rails["deriv"] = RailHealth(up=True)
    again = await user.aask(asked())
    assert (first.status, code(first), first.retry_after_s, again.status) == (503, "rail_down", 7, 202)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (kes(100), "amount_out_of_range"),
        (usd(199), "amount_out_of_range"),
        (usd(100_001), "amount_out_of_range"),
        (kes(130_050), "amount_not_whole"),
    ],
)
async def test_amounts_outside_the_limits_are_refused(
    house: House, user: AsyncioActorRef, amount: Money, expected: str
) -> None:
    answer = await user.aask(asked(amount))
    assert (answer.status, code(answer), house.rows) == (422, expected, {})


async def test_one_prompt_per_phone_until_it_is_settled_and_a_minute_has_passed(
    house: House, user: AsyncioActorRef
) -> None:
    await user.aask(asked())
    second = await user.aask(asked(key="key-2"))
    assert (second.status, code(second)) == (409, "stk_open")
    (row,) = house.rows.values()
    house.rows[row.id] = _ended(row)
    user.tell(TransactionSettled(row.id))
    house.clock.turn(61)
    house.board.fx = FxSnapshot(129_500_000, house.clock.now())
    assert (await user.aask(asked(key="key-3"))).status == 202


def _ended(row: Any) -> Any:
    return replace(row, state="COMPLETED", status="COMPLETED")


async def test_the_days_limit_counts_what_was_admitted(house: House, user: AsyncioActorRef) -> None:
    for number in range(2):
        assert (await user.aask(asked(usd(95_000), key=f"k{number}"))).status == 202
        house.rows = {key: _ended(row) for key, row in house.rows.items()}
        house.clock.turn(200)
        house.board.fx = FxSnapshot(129_500_000, house.clock.now())
    over = await user.aask(asked(usd(20_000), key="k9"))
    assert (over.status, code(over)) == (422, "daily_limit_exceeded")


async def test_only_the_customers_own_phone_is_asked(user: AsyncioActorRef) -> None:
    assert code(await user.aask(asked(phone="254700000000"))) == "phone_not_own"


async def test_a_frozen_customer_is_refused(house: House, user: AsyncioActorRef) -> None:
    house.frozen.add("U1")
    assert code(await user.aask(asked())) == "account_frozen"


async def test_an_empty_agent_wallet_refuses_before_anyone_pays(house: House, user: AsyncioActorRef) -> None:
    house.board.floats["deriv_agent"] = FloatSnapshot(1000, 100, house.clock.now())
    assert code(await user.aask(asked())) == "float_low"


async def test_an_old_rate_makes_no_deposit(house: House, user: AsyncioActorRef) -> None:
    house.clock.turn(61)
    answer = await user.aask(asked())
    assert (answer.status, code(answer)) == (503, "rates_unavailable")


async def test_a_quote_is_honoured_once(house: House, user: AsyncioActorRef) -> None:
    quote = await user.aask(CreateQuote(customer=customer(), direction=Direction.DEPOSIT, amount=usd(1000)))
    assert isinstance(quote, Quote)
    assert (quote.send, quote.receive) == (kes(134_500), usd(1000))
    assert (await user.aask(asked(quote_id=quote.id))).status == 202
    assert code(await user.aask(asked(quote_id=quote.id, key="key-2"))) == "quote_used"


async def test_an_expired_quote_is_refused(house: House, user: AsyncioActorRef) -> None:
    quote = await user.aask(CreateQuote(customer=customer(), direction=Direction.DEPOSIT, amount=usd(1000)))
    house.clock.turn(901)
    assert code(await user.aask(asked(quote_id=quote.id))) == "quote_expired"


async def test_a_quote_without_a_rate_is_refused(house: House, user: AsyncioActorRef) -> None:
    house.board.fx = None
    refused = await user.aask(CreateQuote(customer=customer(), direction=Direction.DEPOSIT, amount=usd(1000)))
    assert isinstance(refused, Refusal)
    assert refused.code == "rates_unavailable"


@pytest.mark.parametrize("failure", [Unavailable("database"), OutcomeUnknown("crash"), ActorKilled("ledger#1")])
async def test_an_unknown_outcome_of_the_unit_is_read_again_and_the_key_stays_safe(
    house: House, user: AsyncioActorRef, failure: Exception
) -> None:
    house.failing.append(failure)
    lost = await user.aask(asked())
    assert (lost.status, code(lost)) == (503, "outcome_unknown")
    assert (await user.aask(asked())).status == 202
    assert len(house.rows) == 1


async def test_what_may_still_be_recorded_counts_before_anything_else_begins(
    house: House, user: AsyncioActorRef
) -> None:
    """The ledger may have it in its lane for longer than anybody waits."""
    house.failing += [Unavailable("database"), Unavailable("database")]
    assert (await user.aask(asked())).status == 503
    assert (await user.aask(asked(key="another"))).status == 503
    assert (house.rows, house.failing) == ({}, [])
    refused = await user.aask(asked(key="another"))
    assert (code(refused), len(house.rows)) == ("stk_open", 1)
    assert (await user.aask(asked())).status == 202


async def test_what_found_no_room_at_the_ledger_is_refused_and_never_begun_later(
    house: House, user: AsyncioActorRef
) -> None:
    house.failing.append(MailboxFull("ledger", 2048))
    refused = await user.aask(asked())
    assert (refused.status, code(refused)) == (503, "overloaded")
    house.board.fx = None
    assert code(await user.aask(asked(key="another"))) == "rates_unavailable"
    assert house.rows == {}


async def test_a_known_key_gets_its_first_answer_while_the_ledger_has_no_room(
    house: House, user: AsyncioActorRef
) -> None:
    first = await user.aask(asked())
    # Nothing else stands in the way of another one.
    house.rows.clear()
    await user.aask(ForgetUser())
    house.failing.append(MailboxFull("ledger", 2048))
    again = await user.aask(asked())
    assert (again.status, again.replayed, again.body) == (202, True, first.body)
    assert house.failing == []
