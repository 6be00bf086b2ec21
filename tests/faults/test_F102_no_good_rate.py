"""F102: the rate is absent, old, absurd, zero, no number, or another currency's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.faults.stage import Reply, Stage

GOOD = {"mid": "129.50", "base": "USD", "age_s": 0.0, "status": 200, "raw": ""}
BAD: Mapping[str, Mapping[str, Any]] = {
    "down": {"status": 500},
    "stale": {"age_s": 3600.0},
    "absurd": {"mid": "160.00"},
    "zero": {"mid": "0"},
    "no number": {"mid": "NaN"},
    "another base": {"base": "EUR"},
    "garbage": {"raw": "<html>"},
}


@pytest.fixture
async def rates(stage: Stage) -> AsyncIterator[Stage]:
    """The sources may be turned; both are good again afterwards."""
    yield stage
    await stage.control.post("/fx", {"primary": GOOD, "second": GOOD})
    who = stage.customer()
    async with asyncio.timeout(60):
        while (await quote(stage, who)).status >= 500:
            await asyncio.sleep(0.1)


async def quote(stage: Stage, who: Any) -> Reply:
    return await stage.post(who, "/quotes", {"type": "DEPOSIT", **stage.body(who)})


async def test_there_are_no_new_quotes_and_a_locked_rate_is_honoured(rates: Stage) -> None:
    stage, who, asking = rates, rates.customer(), rates.customer()
    locked = await stage.deposit(who, phone={"outcome": "wait"})
    push = await stage.push_of(who)
    for how, source in BAD.items():
        await stage.control.post("/fx", {"primary": GOOD | source})
        # The last good one serves until it is too old; from then on every kind of bad one keeps quotes away.
        async with asyncio.timeout(60):
            while (refused := await quote(stage, asking)).status < 400:
                await asyncio.sleep(0.1)
        assert (refused.status, refused.code) == (503, "rates_unavailable"), how
        # Through more than one look at the source.
        for _ in range(7):
            assert (await stage.ask(asking)).code == "rates_unavailable", how
            await asyncio.sleep(0.1)
    await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
    await stage.reaches(locked, "COMPLETED")
    (credit,) = (await stage.told(who)).transfers
    # Mid 129.50 and the spread of 5, as it was locked.
    assert credit["amount_minor"] == stage.amount_of(who) * 100 * 10**6 // 134_500_000
