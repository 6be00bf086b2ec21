"""What both Safaricoms do alike: the sandbox, which our adapter is tested on, and the one that the simulation runs on.

A fact that holds on one of them only is a fault of the other; the sandbox's shapes come from the provider's documents.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penpay.domain.errors import OutcomeUnknown, Refused
from penpay.domain.ids import uuid_text
from penpay.domain.money import Money, kes
from penpay.domain.mpesa_callbacks import (
    ResultCallback,
    StkCallback,
    account_balances,
    parse_result,
    parse_stk_callback,
)
from penpay.domain.payout_codes import payout_fee
from penpay.domain.rail_end import DUPLICATE, SUBSCRIBER_LOCKED
from penpay.ports_rails import Payout, PullList
from tests.contracts.rails.daraja import PHONE, Rail, Scenario, in_the_simulation, on_the_sandbox
from tests.ledger.house import fresh_id

REFERENCE = "P9K3W01J9ZAB"


@pytest.fixture(params=[on_the_sandbox, in_the_simulation], ids=["sandbox", "simulation"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    return lambda scenario: request.param(scenario, tmp_path)


def urls(rail: Rail, name: str = "r") -> dict[str, str]:
    return {"result_url": rail.url(f"/cb/{name}/1"), "timeout_url": rail.url(f"/cb/t/{name}")}


async def push(rail: Rail, amount: Money | None = None) -> Any:
    url = rail.url("/cb/d/00aa")
    return await rail.daraja.stk_push(amount=amount or kes(130_000), phone=PHONE, reference=REFERENCE, callback_url=url)


async def paid(rail: Rail) -> StkCallback:
    await rail.payer("0")
    await push(rail)
    return parse_stk_callback((await rail.callback())[1])


async def result(rail: Rail) -> ResultCallback:
    return parse_result((await rail.callback())[1])


def payout(rail: Rail, amount: Money, *, originator: str = "") -> Payout:
    return Payout(
        originator_conversation_id=originator or uuid_text(fresh_id()), amount=amount, phone=PHONE, **urls(rail, "b")
    )


def test_a_payment_is_told_with_everything_that_credits_it(play):
    async def scenario(rail: Rail) -> None:
        began = rail.now()
        ack = await push(rail)
        path, body = await rail.callback()
        told = parse_stk_callback(body)
        assert path == "/cb/d/00aa"
        assert told.checkout_request_id == ack.checkout_request_id
        assert told.merchant_request_id == ack.merchant_request_id
        assert (told.result_code, told.amount) == ("0", kes(130_000))
        assert told.receipt
        assert told.paid_at is not None
        assert began - timedelta(seconds=1) <= told.paid_at <= rail.now() + timedelta(seconds=1)
        assert PHONE.endswith(told.phone_tail)

    play(scenario)


@pytest.mark.parametrize("code", ["1032", "1037", "1", "2001"])
def test_a_prompt_that_is_not_paid_is_told_by_its_code_and_a_query_says_the_same(play, code):
    async def scenario(rail: Rail) -> None:
        await rail.payer(code)
        ack = await push(rail)
        told = parse_stk_callback((await rail.callback())[1])
        assert (told.checkout_request_id, told.result_code) == (ack.checkout_request_id, code)
        assert (told.receipt, told.amount) == ("", None)
        assert (await rail.daraja.stk_query(ack.checkout_request_id)).result_code == code

    play(scenario)


def test_a_query_is_silent_while_the_prompt_is_open_and_then_tells(play):
    async def scenario(rail: Rail) -> None:
        await rail.payer("0", after_s=0.3)
        ack = await push(rail)
        assert (await rail.daraja.stk_query(ack.checkout_request_id)).result_code == ""
        await rail.callback()
        assert (await rail.daraja.stk_query(ack.checkout_request_id)).result_code == "0"

    play(scenario)


def test_a_phone_shows_one_prompt_at_a_time(play):
    async def scenario(rail: Rail) -> None:
        await rail.payer("0", after_s=0.3)
        await push(rail)
        with pytest.raises(Refused) as caught:
            await push(rail)
        assert caught.value.code == SUBSCRIBER_LOCKED
        assert parse_stk_callback((await rail.callback())[1]).result_code == "0"

    play(scenario)


def test_the_list_holds_the_payments_of_its_period_only(play):
    async def scenario(rail: Rail) -> None:
        payment = await paid(rail)
        now = rail.now()
        minute = timedelta(minutes=1)
        (row,) = (await rail.daraja.pull(since=now - minute, until=now + minute)).rows
        assert (row.receipt, row.reference, row.amount) == (payment.receipt, REFERENCE, kes(130_000))
        assert row.phone_tail == PHONE[-3:]
        assert abs(row.paid_at - payment.paid_at) <= timedelta(seconds=1)
        assert await rail.daraja.pull(since=now - 10 * minute, until=now - 5 * minute) == PullList(())

    play(scenario)


def test_a_reversal_gives_a_payment_back_once(play):
    async def scenario(rail: Rail) -> None:
        payment = await paid(rail)
        await rail.daraja.reverse(receipt=payment.receipt, amount=kes(130_100), **urls(rail))
        assert (await result(rail)).result_code == "R000002", "a payment goes back wholly"
        ack = await rail.daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls(rail))
        told = await result(rail)
        assert (told.result_code, told.conversation_id) == ("0", ack.conversation_id)
        assert told.transaction_id not in {"", payment.receipt}
        assert (told.value("OriginalTransactionID"), told.amount) == (payment.receipt, payment.amount)
        await rail.daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls(rail))
        assert (await result(rail)).result_code == "R000001"
        await rail.daraja.reverse(receipt="NOTHING001", amount=payment.amount, **urls(rail))
        assert (await result(rail)).result_code == "R000002"

    play(scenario)


def test_a_payout_is_taken_once_under_its_id_and_told_with_its_receipt(play):
    async def scenario(rail: Rail) -> None:
        asked = payout(rail, kes(249_000))
        conversation = await rail.daraja.pay_out(asked)
        told = await result(rail)
        assert (told.result_code, told.conversation_id, told.amount) == ("0", conversation, kes(249_000))
        assert told.receipt
        with pytest.raises(OutcomeUnknown) as caught:
            await rail.daraja.pay_out(asked)
        assert caught.value.code == DUPLICATE
        await rail.daraja.pay_out(payout(rail, kes(249_000)))
        assert (await result(rail)).receipt != told.receipt

    play(scenario)


def test_the_status_of_a_payout_is_found_by_our_id_and_by_theirs(play):
    async def scenario(rail: Rail) -> None:
        asked = payout(rail, kes(249_000))
        conversation = await rail.daraja.pay_out(asked)
        told = await result(rail)
        for known_as in (asked.originator_conversation_id, conversation):
            question = await rail.daraja.transaction_status(
                receipt="", conversation_id=known_as, payouts=True, **urls(rail, "s")
            )
            status = await result(rail)
            assert (status.result_code, status.conversation_id) == ("0", question)
            assert (status.transaction_status, status.receipt) == ("Completed", told.receipt)
            assert status.amount == kes(249_000)
            assert status.value("OriginatorConversationID") == asked.originator_conversation_id
            assert status.value("ConversationID") == conversation

    play(scenario)


def test_the_status_of_a_reversal_is_found_by_one_of_its_two_ids(play):
    async def scenario(rail: Rail) -> None:
        payment = await paid(rail)
        ack = await rail.daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls(rail))
        told = await result(rail)
        found = []
        for known_as in (ack.conversation_id, ack.originator_conversation_id):
            await rail.daraja.transaction_status(receipt="", conversation_id=known_as, payouts=False, **urls(rail, "s"))
            found.append(await result(rail))
        completed = [status for status in found if status.transaction_status == "Completed"]
        assert completed
        for status in completed:
            assert (status.result_code, status.receipt) == ("0", told.transaction_id)
            assert (status.value("ConversationID"), status.amount) == (ack.conversation_id, payment.amount)

    play(scenario)


def test_nothing_is_known_of_what_was_never_asked(play):
    async def scenario(rail: Rail) -> None:
        unknown = uuid_text(fresh_id())
        await rail.daraja.transaction_status(receipt="", conversation_id=unknown, payouts=True, **urls(rail, "s"))
        status = await result(rail)
        assert status.result_code != "0"
        assert status.transaction_status != "Completed"

    play(scenario)


def test_balances_move_with_the_money(play):
    async def scenario(rail: Rail) -> None:
        async def held(*, payouts: bool) -> Money:
            await rail.daraja.account_balance(payouts=payouts, **urls(rail, "a"))
            return account_balances((await result(rail)).value("AccountBalance"))["Utility Account"]

        paybill, utility = await held(payouts=False), await held(payouts=True)
        payment = await paid(rail)
        assert (await held(payouts=False)).minor == paybill.minor + 130_000
        await rail.daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls(rail))
        await result(rail)
        assert await held(payouts=False) == paybill
        await rail.daraja.pay_out(payout(rail, kes(249_000)))
        await result(rail)
        assert (await held(payouts=True)).minor in {
            utility.minor - 249_000,
            utility.minor - 249_000 - payout_fee(kes(249_000)).minor,
        }

    play(scenario)
