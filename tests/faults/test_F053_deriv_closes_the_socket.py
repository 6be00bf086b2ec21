"""F53: Deriv announces an update and drops everybody, or just drops everybody."""

import asyncio

import pytest

from tests.faults.stage import Stage
from tests.faults.withdrawing import operations

END = (
    "SELECT event, JSON_VALUE(data, '$.proof'), JSON_VALUE(data, '$.code') FROM {ledger}.transaction_events"
    " WHERE transaction_id = %s AND event LIKE 'Deriv%%' ORDER BY seq"
)


@pytest.fixture(autouse=True)
async def rested(stage: Stage) -> None:
    """Tries to connect grow rarer with every drop; each test begins with the first pause."""
    assert await stage.operator.restart("rails/deriv/session") == 200


async def test_before_an_update_nothing_new_is_sent_and_what_is_in_flight_ends_by_its_reply(stage: Stage) -> None:
    sent, waiting, asking = stage.customer(), stage.customer(), stage.customer()
    later = await stage.deposit(waiting, phone={"outcome": "wait"})
    push = await stage.push_of(waiting)
    first = await stage.deposit(sent, deriv={"fault": "late_reply", "fault_delay_s": 1.5})
    # Deriv has it: an attempt that is only recorded may still be kept back.
    async with asyncio.timeout(60):
        while not (await stage.told(sent)).transfers:
            await asyncio.sleep(0.02)
    await stage.control.post("/deriv/site", {"status": "updating", "drop_after_s": 60})
    try:
        await until_deriv_says(stage, "site is updating")
        assert (await stage.ask(asking)).code == "rail_down"
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        await stage.reaches(first, "COMPLETED")
        await stage.reaches(later, "DERIV_SENDING")
        # The socket is open all the time, and was good for the other one's reply.
        assert stage.rows(END, first) == [("DerivConfirmed", "reply", None)]
        assert operations(stage, later, "DERIV_TRANSFER") == [("INTENT", 0)]
    finally:
        await stage.control.post("/deriv/site", {"status": "up"})
    await stage.reaches(later, "COMPLETED", within_s=40)
    for who in (sent, waiting):
        assert (await stage.told(who)).counts == (1, 1, 1)


async def test_after_an_update_money_goes_on(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "wait"})
    push = await stage.push_of(who)
    await stage.control.post("/deriv/site", {"status": "updating", "drop_after_s": 60})
    try:
        await until_deriv_says(stage, "site is updating")
        await stage.control.post("/deriv/site", {"status": "down"})
        await stage.control.post("/deriv/drop", {})
        await until_deriv_says(stage, "connection")
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        await stage.reaches(deposit, "DERIV_SENDING")
        await until_deriv_says(stage, "no connection")
        assert operations(stage, deposit, "DERIV_TRANSFER") == [("INTENT", 0)]
    finally:
        await stage.control.post("/deriv/site", {"status": "up"})
    await stage.reaches(deposit, "COMPLETED", within_s=40)
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_what_was_in_flight_on_a_dropped_socket_is_looked_for_and_what_waited_is_sent_on_the_next(
    stage: Stage,
) -> None:
    crowd = [stage.customer() for _ in range(3)]
    late = stage.customer()
    deposits = await asyncio.gather(*(stage.deposit(who, deriv={"fault": "no_reply"}) for who in crowd))
    async with asyncio.timeout(60):
        while [len((await stage.told(who)).transfers) for who in crowd] != [1] * len(crowd):
            await asyncio.sleep(0.02)
    await stage.control.post("/deriv/drop", {})
    waited = await stage.deposit(late)
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED", within_s=40)
        lost, found = stage.rows(END, deposit)
        assert lost[0] == "DerivOutcomeUnknown"
        assert found[:2] == ("DerivConfirmed", "statement")
        assert operations(stage, deposit, "DERIV_TRANSFER") == [("CONFIRMED", 1)]
        assert (await stage.told(who)).counts == (1, 1, 1)
    await stage.reaches(waited, "COMPLETED", within_s=40)
    assert (await stage.told(late)).counts == (1, 1, 1)


async def until_deriv_says(stage: Stage, reason: str) -> None:
    """Wait until the rail gives this as the reason why it takes no business."""
    async with asyncio.timeout(60):
        while reason not in str((await stage.operator.ready())["dependencies"]["deriv"]):
            await asyncio.sleep(0.05)
