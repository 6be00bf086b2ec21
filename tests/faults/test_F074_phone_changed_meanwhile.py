"""F74: the customer's phone changes between the code and the payout."""

from actors.base import AsyncioActorRef
from tests.actors.house import House, PlainSealer, customer
from tests.actors.test_withdrawals import (
    asked,
    code,
    code_for,
    house,  # noqa: F401 - fixtures
    row_of,
    saga,  # noqa: F401
    settle,
    to_payout,
    user,  # noqa: F401
)
from tests.actors.test_withdrawals import result as result_of

NEW_PHONE = "254700000001"


async def test_a_code_for_the_old_phone_approves_nothing_for_the_new_one(
    house: House,  # noqa: F811
    user: AsyncioActorRef,  # noqa: F811
) -> None:
    await user.aask(code_for())
    answer = await user.aask(asked(customer=customer(phone=NEW_PHONE)))
    assert (answer.status, code(answer), house.rows) == (409, "code_amount_mismatch", {})


async def test_the_payee_is_frozen_with_the_request(
    house: House,  # noqa: F811
    user: AsyncioActorRef,  # noqa: F811
    saga: AsyncioActorRef,  # noqa: F811
) -> None:
    # They ask with the new phone while the withdrawal is open: refused, and the open one keeps its payee.
    second = await user.aask(asked(key="k2", customer=customer(phone=NEW_PHONE)))
    assert second.status == 409
    await to_payout(house, saga)
    (payout,) = [made for unit in house.units.values() for made in unit.new_operations if made.kind == "B2C"]
    aad = f"provider_operations|sealed_request|{payout.id}"
    assert PlainSealer().open(payout.sealed_request, aad=aad, user_id="U1", data_key=b"k") == b"254712345126"
    await settle(saga, result_of(house, 0))
    assert row_of(house).state == "COMPLETED"
