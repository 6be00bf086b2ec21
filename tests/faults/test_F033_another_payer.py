"""F33: the payer's phone is masked, or another one."""

import pytest

from actors.base import AsyncioActorRef
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle
from tests.faults.stage import UNASKED, Stage


async def test_a_masked_phone_that_fits_is_the_payer(stage: Stage) -> None:
    deposit = await stage.deposit(stage.customer(), phone={**UNASKED, "phone": "masked"})
    await stage.reaches(deposit, "COMPLETED")
    assert stage.paid_by(deposit) == "callback"


@pytest.mark.parametrize("phone", [254700000999, "254700000999", "2547****999"])
async def test_another_payers_money_is_kept_apart(admitted: House, saga: AsyncioActorRef, phone: object) -> None:
    body = paid_body(admitted.clock.now(), phone=phone)
    await settle(saga, accepted(admitted), evidence(admitted, "stk", body))
    assert (row_of(admitted).state, admitted.reviews) == ("IN_REVIEW", ["wrong_payer"])
    assert [posting.key for unit in admitted.units.values() for posting in unit.postings] == ["suspense"]
