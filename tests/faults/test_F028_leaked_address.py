"""F28: a stranger knows a real callback address."""

from actors.base import AsyncioActorRef
from penpay.messages_rails import DARAJA_GATE, ProbeStk
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle
from tests.faults.stage import WAITS, Stage


async def test_a_large_success_credits_nothing_before_a_query_agrees(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, 12_000, phone=WAITS)
    push = await stage.push_of(who)
    await stage.reaches(deposit, "AWAITING_PAYER")
    told = {"amount_kes": 12_000, "checkout_id": push["checkout_id"], "msisdn": who.msisdn}
    assert await stage.forge(push["callback_url"], **told) == 200
    await stage.answers(who, "1032")
    await stage.reaches(deposit, "FAILED", "IN_REVIEW")
    assert stage.postings(deposit) == []
    assert (await stage.told(who)).counts == (1, 0, 0)


async def test_from_a_foreign_address_every_success_waits_for_a_query(admitted: House, saga: AsyncioActorRef) -> None:
    forged = evidence(admitted, "stk", paid_body(admitted.clock.now()), trusted=False)
    await settle(saga, accepted(admitted), forged)
    assert row_of(admitted).state == "AWAITING_PAYER"
    assert isinstance(admitted.told_to(DARAJA_GATE)[-1], ProbeStk)
