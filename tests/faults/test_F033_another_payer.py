"""F33: the payer's phone is masked, or another one."""

import pytest

from actors.base import AsyncioActorRef
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle
from tests.faults.operating import until_comparable
from tests.faults.stage import Stage


async def test_a_masked_phone_that_fits_is_the_payer(unlisted: Stage) -> None:
    stage = unlisted
    deposit = await stage.only_called_back(stage.customer(), phone="masked")
    await stage.reaches(deposit, "COMPLETED")
    assert stage.paid_by(deposit) == "callback"


@pytest.mark.parametrize("phone", [254700000999, "254700000999", "2547****999"])
async def test_another_payers_money_is_kept_apart(admitted: House, saga: AsyncioActorRef, phone: object) -> None:
    body = paid_body(admitted.clock.now(), phone=phone)
    await settle(saga, accepted(admitted), evidence(admitted, "stk", body))
    assert (row_of(admitted).state, admitted.reviews) == ("IN_REVIEW", ["wrong_payer"])
    assert [posting.key for unit in admitted.units.values() for posting in unit.postings] == ["suspense"]


async def test_what_somebody_else_pays_by_hand_with_our_reference_credits_nobody(stage: Stage) -> None:
    await until_comparable(stage)
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "1032"})
    await stage.reaches(deposit, "FAILED")
    push = await stage.push_of(who)
    told = {"amount_kes": push["amount_minor"] // 100, "reference": push["reference"]}
    await stage.control.post("/phones/254799000999/pay", told)
    # Only Safaricom's list tells of it, and shows the last digits of who paid.
    await stage.reaches(deposit, "IN_REVIEW", "COMPLETED", within_s=60.0)
    assert (stage.state(deposit), stage.reviews(deposit)) == ("IN_REVIEW", ["wrong_payer"])
    assert stage.postings(deposit) == ["suspense"]
    assert stage.paid_by(deposit) == "pull"
