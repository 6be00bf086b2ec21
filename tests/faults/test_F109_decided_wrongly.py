"""F109: staff decide wrongly, and evidence contradicts them later."""

from datetime import timedelta

import pytest

from actors.base import AsyncioActorRef
from penpay.domain.errors import BadInput
from penpay.domain.review import Approval, approval_of
from penpay.domain.unit import TransactionRow
from penpay.messages import ResolveReview
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle


@pytest.mark.parametrize(("second", "evidence"), [("", "ticket 9"), ("achieng", "ticket 9"), ("Brian", "")])
def test_nobody_decides_alone_or_without_a_reference(second: str, evidence: str) -> None:
    with pytest.raises(BadInput):
        approval_of(by="Achieng", second=second, evidence=evidence, action="refund")


async def test_what_they_decided_is_asked_again_when_money_contradicts_it(
    admitted: House, saga: AsyncioActorRef
) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now(), amount=100.0)))
    assert row_of(house).state == "IN_REVIEW"
    decided = await saga.aask(
        ResolveReview(item_id="i", action="refund", approval=Approval("Achieng", "Brian", "ticket 9"))
    )
    assert isinstance(decided, TransactionRow)
    assert decided.state == "REFUND_SENDING"
    house.clock.turn(60)
    again = paid_body(house.clock.now() + timedelta(0), receipt="NLJ9OTHER1")
    await settle(saga, evidence(house, "stk", again))
    assert row_of(house).state == "IN_REVIEW"
    assert len(house.reviews) == 2
