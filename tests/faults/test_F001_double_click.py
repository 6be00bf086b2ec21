"""F1: the same key and body at the same time."""

import asyncio

from tests.faults.stage import Stage


async def test_twenty_equal_requests_at_once_are_one_deposit(stage: Stage) -> None:
    who = stage.customer()
    replies = await asyncio.gather(*(stage.ask(who, key="same") for _ in range(20)))
    assert {reply.status for reply in replies} <= {202, 409}
    assert len({reply.raw for reply in replies if reply.status == 202}) == 1
    assert all("Retry-After" in reply.headers for reply in replies if reply.status == 409)
    assert stage.transactions_of(who) == 1
