"""F73: our short code has too few shillings for a payout."""

import asyncio
import re

import pytest

from penpay.client import ApiProblem
from tests.faults.stage import Stage
from tests.faults.withdrawing import held, tree, withdrawer

POLLERS = "rails/daraja/pollers"
_FLOAT = re.compile(r"^penpay_float_minor\{[^}]*mpesa_utility[^}]*\} (\S+)$", re.MULTILINE)


async def _node_knows(stage: Stage, *, poor: bool) -> None:
    """The pollers ask for the balances when they start; wait until the answer shows."""
    assert await stage.operator.restart(POLLERS) == 200
    async with asyncio.timeout(60):
        while True:
            async with stage.session.get(f"{stage.installation.node.internal_url}/metrics") as page:
                shown = _FLOAT.search(await page.text())
            if shown and (float(shown[1]) < 1000) is poor:
                return
            await asyncio.sleep(0.1)


async def test_a_payout_waits_for_the_top_up_and_new_ones_are_refused_early(stage: Stage) -> None:
    who, other = await withdrawer(stage), await withdrawer(stage)
    code = await who.code()
    # Who asks is admitted while nobody knows yet: on a busy machine the balance could be asked for before.
    await tree(stage, POLLERS, "stop")
    taken = (await stage.control.get("/truth/summary"))["utility"]["current_minor"] - 500
    await stage.control.post("/funds", {"account": "utility", "delta_minor": -taken})
    try:
        withdrawal = await who.ask(code)
        await stage.reaches(withdrawal, "B2C_HELD")
        assert (await who.told()).counts == (1, 0, 0)
        await tree(stage, POLLERS, "start")
        await _node_knows(stage, poor=True)
        with pytest.raises(ApiProblem) as told:
            await other.client.withdrawal_code(other.amount)
        assert (told.value.status, told.value.code) == (503, "float_low")
        assert (await other.told()).counts == (0, 0, 0)
    finally:
        await stage.control.post("/funds", {"account": "utility", "delta_minor": taken})
    await stage.reaches(withdrawal, "COMPLETED")
    assert "FAILED" not in stage.path(withdrawal)
    assert (await who.told()).counts == (1, 1, 0)
    assert held(stage, withdrawal) == {}
    await _node_knows(stage, poor=False)
