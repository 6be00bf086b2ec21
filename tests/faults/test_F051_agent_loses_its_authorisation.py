"""F51: the agent's token is revoked while money waits."""

import asyncio

from tests.faults.stage import WAITS, Stage


async def test_deposits_wait_and_go_on_when_it_is_known_again(stage: Stage) -> None:
    environment = stage.installation.environment
    token, loginid = environment["PENPAY_DERIV__AGENT_TOKEN"], environment["PENPAY_DERIV__AGENT_LOGINID"]
    who, stranger = stage.customer(), stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    await stage.reaches(deposit, "AWAITING_PAYER")
    await stage.control.post("/deriv/tokens/revoke", {"token": token})
    try:
        await stage.control.post("/deriv/drop", {"loginid": loginid})
        async with asyncio.timeout(30):
            while (refused := await stage.ask(stranger)).status != 503:
                await asyncio.sleep(0.1)
        assert refused.code == "rail_down"
        await stage.answers(who)
        await stage.reaches(deposit, "DERIV_SENDING", "DERIV_HELD")
    finally:
        await stage.control.post("/deriv/tokens/restore", {"token": token, "loginid": loginid})
    # Tries grow rarer, up to one a minute; an operator need not wait for the next.
    assert await stage.operator.restart("rails/deriv/session") == 200
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)
