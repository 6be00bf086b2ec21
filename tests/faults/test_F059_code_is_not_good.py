"""F59: a code that is wrong, expired or used."""

import pytest

from penpay.client import ApiProblem
from tests.faults.stage import Stage
from tests.faults.withdrawing import BALANCE_MINOR, Withdrawer, operations, slow, withdrawer


async def _fails_without_a_trace(stage: Stage, who: Withdrawer, code: str) -> None:
    withdrawal = await who.ask(code)
    await stage.reaches(withdrawal, "FAILED")
    assert stage.postings(withdrawal) == []
    assert operations(stage, withdrawal, "DERIV_WITHDRAW") == [("REFUSED", 1)]
    assert operations(stage, withdrawal, "B2C") == []
    assert (await who.client.transaction(withdrawal))["failure"]["code"] == "deriv_debit_refused"


@pytest.mark.parametrize("error", ["PaymentAgentWithdrawError", *slow("InvalidToken")])
async def test_a_wrong_code_moves_nothing(stage: Stage, error: str) -> None:
    who = await withdrawer(stage)
    code = await who.code()
    await stage.control.post("/deriv/script", {"knobs": {"bad_code_error": error}})
    try:
        await _fails_without_a_trace(stage, who, "".join(reversed(code)))
    finally:
        await stage.control.post("/deriv/script", {"knobs": {"bad_code_error": "PaymentAgentWithdrawError"}})
    assert (await who.told()).counts == (0, 0, 0)
    assert await who.balance_minor() == BALANCE_MINOR


async def test_an_expired_code_moves_nothing(stage: Stage) -> None:
    who = await withdrawer(stage)
    await stage.control.post("/deriv/script", {"knobs": {"code_ttl_s": 0.0}})
    try:
        code = await who.code()
    finally:
        await stage.control.post("/deriv/script", {"knobs": {"code_ttl_s": 3600.0}})
    await _fails_without_a_trace(stage, who, code)
    assert (await who.told()).counts == (0, 0, 0)


async def test_a_used_code_debits_once(stage: Stage) -> None:
    who = await withdrawer(stage)
    code = await who.code()
    await stage.reaches(await who.ask(code), "COMPLETED")
    await _fails_without_a_trace(stage, who, code)
    assert (await who.told()).counts == (1, 1, 0)


async def test_attempts_to_get_codes_are_counted(stage: Stage) -> None:
    who = await withdrawer(stage)
    for _ in range(5):
        await who.code()
    with pytest.raises(ApiProblem) as told:
        await who.client.withdrawal_code(who.amount)
    assert told.value.code == "rate_limited"
