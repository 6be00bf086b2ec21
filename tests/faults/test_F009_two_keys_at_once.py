"""F9: a bad client sends the same wish with two keys."""

import asyncio

from tests.faults.stage import Stage


async def test_the_second_waits_for_the_first_prompt(stage: Stage) -> None:
    who = stage.customer()
    await stage.control.script_phone(who.msisdn, {"answer_delay_s": 2.0})
    replies = await asyncio.gather(stage.ask(who), stage.ask(who))
    assert sorted(reply.status for reply in replies) == [202, 409]
    (refused,) = (reply for reply in replies if reply.status == 409)
    assert refused.code == "stk_open"
    assert int(refused.headers["Retry-After"]) > 0
    assert stage.transactions_of(who) == 1
