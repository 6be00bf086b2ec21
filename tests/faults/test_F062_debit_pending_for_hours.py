"""F62: for hours nobody says whether the debit was done, and then it was not."""

from actors.base import AsyncioActorRef
from penpay.domain.rail_end import Outcome
from penpay.messages import ProbeAnswered, WakeUp
from penpay.messages_rails import DARAJA_GATE, DERIV_WITHDRAWALS, Submit
from tests.actors.house import House
from tests.actors.test_withdrawals import (
    house,  # noqa: F401 - fixtures
    operation,
    rail,
    row_of,
    saga,  # noqa: F401
    settle,
    user,  # noqa: F401
)


async def test_nothing_is_paid_before_its_end_and_the_end_books_nothing(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,  # noqa: F811
) -> None:
    await settle(saga, rail(house, "DERIV_WITHDRAW", Outcome.UNKNOWN, code="pending"))
    sent = [told for told in house.told_to(DERIV_WITHDRAWALS) if isinstance(told, Submit)]
    for _ in range(12):
        house.clock.turn(900)
        await settle(saga, WakeUp())
        assert row_of(house).state == "DERIV_UNKNOWN"
    assert not [told for told in house.told_to(DARAJA_GATE) if isinstance(told, Submit)]
    # The code may be spent: the debit is not tried again.
    assert [told for told in house.told_to(DERIV_WITHDRAWALS) if isinstance(told, Submit)] == sent
    of = operation(house, "DERIV_WITHDRAW")
    await settle(saga, ProbeAnswered(probe="debit", operation_id=of, outcome="ABSENT", proof="two clean reads"))
    assert row_of(house).state == "FAILED"
    assert not [posting.key for unit in house.units.values() for posting in unit.postings]
