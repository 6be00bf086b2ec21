"""S12: a withdrawal's approval is bound to its amount and its payee, and dies with any change of either."""

import pytest

from actors.base import AsyncioActorRef
from penpay.client import ApiProblem
from penpay.demo.play import PIN
from tests.actors.house import House, customer
from tests.actors.test_withdrawals import (
    asked,
    code,
    code_for,
    house,  # noqa: F401 - fixtures
    user,  # noqa: F401
)
from tests.faults.stage import Stage
from tests.faults.withdrawing import withdrawer


async def test_another_amount_needs_another_approval(stage: Stage) -> None:
    who = await withdrawer(stage)
    await who.script()
    given = await who.code("21.00")
    for amount in ("21.01", "20.99"):
        with pytest.raises(ApiProblem) as refused:
            await who.client.withdraw(amount, code=given, pin=PIN, key=f"s12-{who.number}-{amount}")
        assert (refused.value.status, refused.value.code) == (409, "code_amount_mismatch"), amount
    assert (await who.told()).counts == (0, 0, 0)
    done = await who.ask(given, amount="21.00")
    await stage.reaches(done, "COMPLETED")
    rails = await who.told()
    assert rails.counts == (1, 1, 0)


async def test_a_newer_approval_replaces_the_one_before(stage: Stage) -> None:
    who = await withdrawer(stage)
    first = await who.code("22.00")
    await who.code("23.00")
    with pytest.raises(ApiProblem) as refused:
        await who.client.withdraw("22.00", code=first, pin=PIN, key=f"s12-{who.number}-first")
    assert (refused.value.status, refused.value.code) == (409, "code_amount_mismatch")
    assert (await who.told()).counts == (0, 0, 0)


async def test_an_approval_of_somebody_else_approves_nothing(stage: Stage) -> None:
    one, other = await withdrawer(stage), await withdrawer(stage)
    given = await one.code("24.00")
    with pytest.raises(ApiProblem) as refused:
        await other.client.withdraw("24.00", code=given, pin=PIN, key=f"s12-{other.number}")
    assert (refused.value.status, refused.value.code) == (409, "code_amount_mismatch")


async def test_another_payee_needs_another_approval(
    house: House,  # noqa: F811
    user: AsyncioActorRef,  # noqa: F811
) -> None:
    """The phone of the account is the payee; it changed between the code and the request."""
    await user.aask(code_for())
    answer = await user.aask(asked(customer=customer(phone="254700000001")))
    assert (answer.status, code(answer), house.rows) == (409, "code_amount_mismatch", {})
