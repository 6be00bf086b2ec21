import aiohttp
import pytest

from tests.sandbox.conftest import PHONE

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


async def test_a_payout_debits_utility_and_its_charge(rails):
    status, ack = await rails.payout(UUID)
    result = await rails.inbox.next_result()
    told = {item["Key"]: item["Value"] for item in result["ResultParameters"]["ResultParameter"]}
    assert (status, ack["OriginatorConversationID"]) == (200, UUID)
    assert result["OriginatorConversationID"] == UUID
    assert (result["ResultCode"], told["TransactionAmount"]) == (0, 2490)
    assert told["TransactionReceipt"] == result["TransactionID"]
    assert told["TransactionCompletedDateTime"][2] == "."
    summary = await rails.control("/truth/summary")
    assert summary["utility"]["opening_minor"] - summary["utility"]["current_minor"] == 249_000
    assert summary["charges"]["current_minor"] == -900


async def test_the_same_id_is_accepted_once_and_pays_once(rails):
    await rails.payout(UUID)
    status, body = await rails.payout(UUID)
    assert (status, body["errorCode"]) == (500, "500.002.1001")
    assert body["errorMessage"] == "Duplicate OriginatorConversationID."
    await rails.inbox.next_result()
    assert (await rails.control("/truth/summary"))["payouts"] == {"count": 1, "amount_minor": 249_000}


async def test_a_bad_request_does_not_use_the_id_up(rails):
    bad, body = await rails.payout(UUID, Occasion="one s too few")
    good, _ = await rails.payout(UUID)
    assert (bad, body["errorMessage"], good) == (400, "Bad Request - Invalid Occasion", 200)


async def test_a_dropped_acknowledgement_leaves_a_recorded_payout(rails):
    await rails.login()
    await rails.control("/daraja/script", {"steps": [{"op": "b2c", "fault": "reset_after"}]})
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await rails.payout(UUID)
    _, again = await rails.payout(UUID)
    assert again["errorCode"] == "500.002.1001"
    assert (await rails.inbox.next_result())["ResultCode"] == 0


async def test_a_queue_timeout_may_be_followed_by_success(rails):
    step = {"op": "b2c", "callback": "queue_timeout_then_send", "callback_delay_s": 0.4}
    await rails.control("/daraja/script", {"steps": [step]})
    await rails.payout(UUID)
    first_path, _ = await rails.inbox.next()
    result = await rails.inbox.next_result()
    assert first_path == "/cb/t/00aa"
    assert result["ResultCode"] == 0


@pytest.mark.parametrize(
    ("amount", "arrange", "code"),
    [
        (9, {}, 2),
        (250_001, {}, 3),
        (1000, {"receiver_daily_minor": 50_000}, 4),
        (1000, {"wallet_max_minor": 30_050_000}, 8),
    ],
)
async def test_limits_are_told_by_the_result(rails, amount, arrange, code):
    await rails.control("/daraja/script", {"knobs": arrange})
    await rails.payout(UUID, Amount=amount)
    result = await rails.inbox.next_result()
    assert result["ResultCode"] == code
    assert "ResultParameters" not in result
    assert result["TransactionID"]
    assert (await rails.control("/truth/summary"))["payouts"]["count"] == 0


async def test_an_empty_utility_account_and_an_unregistered_phone_have_their_codes(rails):
    await rails.control("/funds", {"account": "utility", "delta_minor": -500_000_000})
    await rails.payout(UUID)
    poor = await rails.inbox.next_result()
    await rails.control(f"/phones/{PHONE}", {"registered": False})
    await rails.payout(UUID.replace("0f", "1f"))
    nobody = await rails.inbox.next_result()
    assert (poor["ResultCode"], nobody["ResultCode"]) == (1, 2040)


async def test_a_failed_payout_is_declined_in_transaction_status(rails):
    await rails.control("/daraja/script", {"steps": [{"op": "b2c", "result_code": "17", "code_type": "string"}]})
    await rails.payout(UUID)
    assert (await rails.inbox.next_result())["ResultCode"] == "17"
    result = await rails.status(OriginalConversationID=UUID)
    told = {item["Key"]: item.get("Value") for item in result["ResultParameters"]["ResultParameter"]}
    assert told["TransactionStatus"] == "Declined"


async def test_reference_data_may_be_an_array(rails):
    await rails.control("/daraja/script", {"steps": [{"op": "b2c", "reference": "array"}]})
    await rails.payout(UUID)
    assert isinstance((await rails.inbox.next_result())["ReferenceData"]["ReferenceItem"], list)


async def test_a_result_may_say_that_it_is_not_the_last_word(rails):
    await rails.control("/daraja/script", {"steps": [{"op": "b2c", "result_type": 1}]})
    await rails.payout(UUID)
    assert (await rails.inbox.next_result())["ResultType"] == 1
