"""F54: the agent's wallet runs empty."""

from actors.base import AsyncioActorRef
from penpay.domain.board import FloatSnapshot
from tests.actors.house import House
from tests.actors.test_user import asked, code, house, user  # noqa: F401 - fixtures
from tests.faults.stage import Stage

EMPTY = {
    "fault": "refuse",
    "error_code": "PaymentAgentTransferError",
    "error_message": "Your account balance is insufficient to transfer this amount.",
}


async def test_what_was_paid_waits_for_the_top_up(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv={**EMPTY, "times": 2})
    await stage.reaches(deposit, "COMPLETED")
    assert stage.path(deposit).count("DERIV_HELD") == 2
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_nothing_new_is_taken_below_the_amount(house: House, user: AsyncioActorRef) -> None:  # noqa: F811
    house.board.floats["deriv_agent"] = FloatSnapshot(10_000, 9_100, house.clock.now())
    refused = await user.aask(asked())
    assert (refused.status, code(refused)) == (503, "float_low")
    assert refused.retry_after_s > 0
    house.board.floats["deriv_agent"] = FloatSnapshot(10_000_000, 9_100, house.clock.now())
    assert (await user.aask(asked())).status == 202
