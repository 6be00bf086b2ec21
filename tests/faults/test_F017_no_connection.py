"""F17: the connection fails before or after bytes of the push have left."""

import pytest

from penpay.domain.errors import NotSent, OutcomeUnknown
from penpay.domain.money import kes
from penpay.stack import free_port
from tests.faults.stage import Stage


async def push(daraja):
    await daraja.stk_push(amount=kes(100_000), phone="254712345678", reference="P1", callback_url="http://127.0.0.1/cb")


async def test_without_a_connection_nothing_was_sent(daraja_at) -> None:
    with pytest.raises(NotSent):
        await push(daraja_at(f"http://127.0.0.1:{free_port()}"))


@pytest.mark.slow
async def test_a_connection_cut_behind_the_request_leaves_it_open(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"fault": "reset"})
    await stage.reaches(deposit, "FAILED")
    # It was not executed, but that is known only from the provider's list after its time.
    assert "STK_UNKNOWN" in stage.path(deposit)
    assert (await stage.told(who)).counts == (0, 0, 0)


async def test_a_connection_cut_is_no_proof_of_anything(daraja_at, stage: Stage) -> None:
    rails = stage.installation.environment["PENPAY_DARAJA__BASE_URL"]
    await stage.control.post(
        "/daraja/script", {"steps": [{"op": "stk", "match": {"PhoneNumber": 254712345678}, "fault": "reset"}]}
    )
    with pytest.raises(OutcomeUnknown):
        await push(daraja_at(rails))
