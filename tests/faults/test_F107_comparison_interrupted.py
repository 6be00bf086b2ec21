"""F107: the comparison with the providers dies on the way, runs twice, and twice at once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.faults.operating import configured, findings, run, until_comparable
from tests.faults.stage import Stage
from tests.harness.crashing_node import DIED


@pytest.fixture
async def unwatched(stage: Stage) -> AsyncIterator[Stage]:
    """The node's own watch over the list is late, so that the comparison finds something."""
    async with configured(stage.installation.node, PENPAY_TIMING__PULL_EVERY_S="86400"):
        yield stage


async def test_it_may_die_anywhere_and_be_repeated_and_books_nothing_twice(unwatched: Stage) -> None:
    stage = unwatched
    await until_comparable(stage)
    who = stage.customer()
    receipt = (await stage.control.post(f"/phones/{who.msisdn}/pay", {"amount_kes": 613}))["receipt"]
    # Only looked at until it is no longer on its way: from then on whoever compares has something to do.
    async with asyncio.timeout(150):
        while (await seen(stage)).get(receipt, {}).get("verdict") != "differs":
            await asyncio.sleep(0.2)
    for point in ("list:after", f"post {receipt}:before"):
        await dies(stage, point)
        assert traces(stage, receipt) == (0, 0), point
    # The node has booked it, and nobody noted that the list was gone through; the next ones find it booked.
    for point in (f"post {receipt}:after", "cursor:before", "cursor:after"):
        await dies(stage, point)
        assert traces(stage, receipt) == (1, 1), point
    for found in await asyncio.gather(findings(stage), findings(stage)):
        assert receipt not in found
    assert traces(stage, receipt) == (1, 1)


async def test_two_that_meet_the_same_payment_at_once_book_it_once(unwatched: Stage) -> None:
    stage = unwatched
    await until_comparable(stage)
    who = stage.customer()
    receipt = (await stage.control.post(f"/phones/{who.msisdn}/pay", {"amount_kes": 614}))["receipt"]
    async with asyncio.timeout(150):
        while (await seen(stage)).get(receipt, {}).get("verdict") != "differs":
            await asyncio.sleep(0.2)
    both = await asyncio.gather(findings(stage), findings(stage))
    assert any(receipt in found for found in both)
    assert traces(stage, receipt) == (1, 1)


async def seen(stage: Stage) -> dict[str, Any]:
    """What a comparison that touches nothing does not find equal, by the provider's id."""
    _, report = await run(stage.installation, "reconcile", "--dry-run")
    return {one["ref"]: one for one in report["findings"]}


async def dies(stage: Stage, point: str) -> None:
    """Compare, and end at this point."""
    environment = {**stage.installation.environment, **(stage.installation.node.env or {}), "CRASH_AT": point}
    argv = (sys.executable, "-m", "tests.harness.dying_comparison")
    async with asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(*argv, env=environment)
        assert await process.wait() == DIED, point


def traces(stage: Stage, receipt: str) -> tuple[int, int]:
    """(times booked, questions asked)."""
    ((booked,),) = stage.rows("SELECT COUNT(*) FROM {ledger}.postings WHERE unit_id = %s", f"ref:{receipt}")
    ((asked,),) = stage.rows("SELECT COUNT(*) FROM {ledger}.review_items WHERE evidence LIKE %s", f"%{receipt}%")
    return int(booked), int(asked)
