"""F52: a burst of transfers, and Deriv says that there are too many."""

import asyncio

from tests.faults.stage import Stage


async def test_all_of_them_end_once(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(12)]
    limited = {"op": "paymentagent_transfer", "match": {"dry_run": 0}, "times": 5, "fault": "refuse"}
    await stage.control.post("/deriv/script", {"steps": [{**limited, "error_code": "RateLimit"}]})
    deposits = await asyncio.gather(*(stage.deposit(who) for who in crowd))
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.told(who)).counts == (1, 1, 1)
