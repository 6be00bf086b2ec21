"""F107: the comparison with the providers dies on the way, runs twice, and twice at once."""

import asyncio
import contextlib
import sys

from tests.faults.operating import findings, run, until_comparable
from tests.faults.stage import Stage


async def test_it_may_be_killed_and_repeated_and_books_nothing_twice(stage: Stage) -> None:
    await until_comparable(stage)
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    receipt = (await stage.control.post(f"/phones/{who.msisdn}/pay", {"amount_kes": 613}))["receipt"]
    environment = {**stage.installation.environment, **(stage.installation.node.env or {})}
    for after_s in (0.6, 0.9, 1.2):
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penpay", "reconcile", "--json", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        await asyncio.sleep(after_s)
        # On a fast machine it may be through by then.
        with contextlib.suppress(ProcessLookupError):
            killed.kill()
        await killed.wait()
    booked = "SELECT COUNT(*) FROM {ledger}.postings WHERE unit_id = %s"
    async with asyncio.timeout(150):
        while stage.rows(booked, f"ref:{receipt}") != [(1,)]:
            await asyncio.gather(findings(stage), findings(stage))
    await run(stage.installation, "reconcile")
    assert stage.rows(booked, f"ref:{receipt}") == [(1,)]
    asked = stage.rows("SELECT COUNT(*) FROM {ledger}.review_items WHERE evidence LIKE %s", f"%{receipt}%")
    assert asked == [(1,)]
