"""F72: Safaricom says for certain that it did not pay."""

import asyncio

import pytest

from penpay.client import ApiProblem
from tests.faults.stage import Stage
from tests.faults.withdrawing import BALANCE_MINOR, held, operations, slow, withdrawer


@pytest.mark.parametrize("code", ["2040", *slow("2", "3", "4", "8", "SFC_IC0003")])
async def test_for_the_payees_cause_the_dollars_go_back(stage: Stage, code: str) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_code": code})
    await stage.reaches(withdrawal, "REVERSED")
    assert (await who.told()).counts == (1, 0, 1)
    assert await who.balance_minor() == BALANCE_MINOR
    assert stage.postings(withdrawal) == [
        "debited",
        "witnessed",
        "payout_hold",
        "payout_void",
        "return_hold",
        "return_done",
    ]
    assert held(stage, withdrawal) == {}


@pytest.mark.parametrize("code", ["1", *slow("26")])
async def test_for_our_floats_cause_another_payout_follows_later(stage: Stage, code: str) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_code": code})
    await stage.reaches(withdrawal, "COMPLETED")
    assert "B2C_HELD" in stage.path(withdrawal)
    assert "FAILED" not in stage.path(withdrawal)
    told = await who.told()
    assert (told.counts, len(told.payouts)) == ((1, 1, 0), 2)
    assert [state for state, _ in operations(stage, withdrawal, "B2C")] == ["REFUSED", "CONFIRMED"]
    assert held(stage, withdrawal) == {}


@pytest.mark.parametrize("code", ["2001", *slow("21", "8006")])
async def test_for_our_initiators_cause_all_payouts_stop_until_somebody_looked(stage: Stage, code: str) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_code": code})
    await stage.reaches(withdrawal, "B2C_UNKNOWN", "B2C_HELD")
    try:
        problem = await refused(stage)
        assert (problem.status, problem.code) == (503, "rail_down")
        assert stage.state(withdrawal) in {"B2C_UNKNOWN", "B2C_HELD", "B2C_SENDING"}
    finally:
        assert await stage.operator.restart("rails/daraja/gate") == 200
    await stage.reaches(withdrawal, "COMPLETED")
    assert "FAILED" not in stage.path(withdrawal)
    assert (await who.told()).counts == (1, 1, 0)


async def test_a_code_that_nobody_knows_waits_for_a_person(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_code": "4711"})
    await stage.reaches(withdrawal, "IN_REVIEW")
    assert stage.reviews(withdrawal) == ["payout_refused"]
    assert (await who.told()).counts == (1, 0, 0)
    # The hold of the payout that failed is given up: the dollars are the customer's again, until people decide.
    assert held(stage, withdrawal) == {"customer": -who.amount_minor}


async def refused(stage: Stage) -> ApiProblem:
    """Why somebody gets no code to withdraw with: what is recorded is heard of by the rail a moment later."""
    async with asyncio.timeout(60):
        while True:
            who = await withdrawer(stage)
            try:
                await who.client.withdrawal_code(who.amount)
            except ApiProblem as problem:
                assert (await who.told()).counts == (0, 0, 0)
                return problem
