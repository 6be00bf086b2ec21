import pytest

from tests.sandbox.conftest import PHONE


async def test_a_paid_push_acknowledges_then_calls_back_with_the_receipt(rails):
    status, ack = await rails.push()
    callback = await rails.inbox.next_stk()
    assert status == 200
    assert ack["ResponseCode"] == "0"
    assert ack["CheckoutRequestID"].startswith("ws_CO_")
    assert callback["CheckoutRequestID"] == ack["CheckoutRequestID"]
    assert callback["MerchantRequestID"] == ack["MerchantRequestID"]
    assert callback["ResultCode"] == 0
    items = callback["CallbackMetadata"]["Item"]
    assert [item["Name"] for item in items] == [
        "Amount",
        "MpesaReceiptNumber",
        "Balance",
        "TransactionDate",
        "PhoneNumber",
    ]
    values = {item["Name"]: item.get("Value") for item in items}
    assert (values["Amount"], values["PhoneNumber"], values["Balance"]) == (1300.0, int(PHONE), None)
    assert isinstance(values["TransactionDate"], int)
    assert "Value" not in items[2]
    truth = await rails.control("/truth")
    assert truth["payments"][0]["receipt"] == values["MpesaReceiptNumber"]
    assert truth["summary"]["paybill"]["current_minor"] - truth["summary"]["paybill"]["opening_minor"] == 130_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"Amount": 0}, "Amount"),
        ({"Amount": 250_001}, "Amount"),
        ({"Amount": 10.5}, "Amount"),
        ({"Amount": "10.00"}, "Amount"),
        ({"Amount": True}, "Amount"),
        ({"Amount": None}, "Amount"),
        ({"PhoneNumber": "0708374149"}, "PhoneNumber"),
        ({"PhoneNumber": "+254708374149"}, "PhoneNumber"),
        ({"PartyA": "254208374149"}, "PartyA"),
        ({"PartyB": "600000"}, "PartyB"),
        ({"AccountReference": "01J9ZK3W00000"}, "AccountReference"),
        ({"AccountReference": "PP-01"}, "AccountReference"),
        ({"TransactionDesc": "fourteen chars"}, "TransactionDesc"),
        ({"TransactionType": "PayBill"}, "TransactionType"),
        ({"Timestamp": "20261341150000"}, "Timestamp"),
        ({"BusinessShortCode": "1743"}, "BusinessShortCode"),
        ({"CallBackURL": "ftp://127.0.0.1/cb"}, "CallBackURL"),
        ({"CallBackURL": "http://127.0.0.1/MPESA/cb"}, "CallBackURL"),
        ({"CallBackURL": "http://127.0.0.1/cb/d/sQl"}, "CallBackURL"),
        ({"CallBackURL": "http://x.ngrok.io/cb"}, "CallBackURL"),
        ({"Surprise": 1}, "Surprise"),
    ],
)
async def test_a_bad_field_is_named(rails, changes, field):
    status, body = await rails.push(**changes)
    assert (status, body["errorCode"]) == (400, "400.002.02")
    assert body["errorMessage"] == f"Bad Request - Invalid {field}"


async def test_a_wrong_password_and_an_unknown_merchant_share_one_code(rails):
    _, wrong = await rails.push(Password="d3Jvbmc=")
    _, nobody = await rails.push(BusinessShortCode="600000")
    assert {wrong["errorCode"], nobody["errorCode"]} == {"500.001.1001"}
    assert (wrong["errorMessage"], nobody["errorMessage"]) == ("Wrong credentials", "Merchant does not exist")


async def test_https_can_be_demanded_of_callbacks(rails):
    await rails.control("/daraja/script", {"knobs": {"https_callbacks": True}})
    _, body = await rails.push()
    assert body["errorMessage"] == "Bad Request - Invalid CallBackURL"


async def test_one_prompt_at_a_time_per_phone(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"outcome": "wait"}]})
    await rails.push()
    status, body = await rails.push()
    assert (status, body["errorCode"]) == (500, "500.001.1001")
    assert "Unable to lock subscriber" in body["errorMessage"]
    other, _ = await rails.push(PhoneNumber="254711000001", PartyA="254711000001")
    assert other == 200


async def test_a_second_push_within_the_spacing_is_refused_though_the_first_ended(rails):
    await rails.control("/daraja/script", {"knobs": {"push_interval_s": 60.0}})
    await rails.paid()
    _, body = await rails.push()
    assert "Unable to lock subscriber" in body["errorMessage"]


@pytest.mark.parametrize("code", ["1", "1032", "1037", "2001", "17", "26", "1001"])
async def test_a_failed_prompt_moves_nothing_and_has_no_metadata(rails, code):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"outcome": code}]})
    _, ack = await rails.push()
    callback = await rails.inbox.next_stk()
    assert callback["ResultCode"] == int(code)
    assert "CallbackMetadata" not in callback
    _, query = await rails.query(ack["CheckoutRequestID"])
    assert query["ResultCode"] == code
    assert (await rails.control("/truth/summary"))["payments"]["count"] == 0


async def test_an_empty_wallet_fails_with_code_1(rails):
    await rails.control(f"/phones/{PHONE}", {"balance_kes": 1299})
    await rails.push()
    assert (await rails.inbox.next_stk())["ResultCode"] == 1


async def test_steps_are_used_up_in_order_and_amounts_keep_theirs(rails):
    await rails.control(
        f"/phones/{PHONE}/script",
        {"steps": [{"outcome": "1032"}, {"outcome": "2001"}], "by_amount": {"77": {"outcome": "26"}}},
    )
    seen = []
    for amount in (100, 77, 100, 77, 100):
        await rails.push(Amount=amount)
        seen.append((await rails.inbox.next_stk())["ResultCode"])
    assert seen == [1032, 26, 2001, 26, 0]


async def test_a_silent_customer_causes_no_callback_and_ends_as_1037(rails):
    await rails.control("/daraja/script", {"knobs": {"prompt_timeout_s": 0.5}})
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"outcome": "silent"}]})
    _, ack = await rails.push()
    pending_status, pending = await rails.query(ack["CheckoutRequestID"])
    assert (pending_status, pending["errorCode"]) == (500, "500.001.1001")
    assert pending["requestId"] == ack["CheckoutRequestID"]
    assert "being processed" in pending["errorMessage"]
    await rails.ended(ack["CheckoutRequestID"])
    _, ended = await rails.query(ack["CheckoutRequestID"])
    assert ended["ResultCode"] == "1037"
    assert (await rails.control("/deliveries"))["deliveries"] == []


async def test_a_lost_callback_leaves_the_payment_to_the_query(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"callback": "lost"}]})
    _, ack = await rails.push()
    await rails.ended(ack["CheckoutRequestID"])
    _, query = await rails.query(ack["CheckoutRequestID"])
    assert query["ResultCode"] == "0"
    assert not query.keys() & {"MpesaReceiptNumber", "Amount", "PhoneNumber"}
    assert (await rails.control("/truth/summary"))["payments"]["count"] == 1
    assert (await rails.control("/deliveries"))["deliveries"] == []


async def test_a_premature_failure_of_the_query_is_followed_by_the_truth(rails):
    step = {"outcome": "wait", "query": ["pending", "1032"]}
    await rails.control(f"/phones/{PHONE}/script", {"steps": [step]})
    _, ack = await rails.push()
    checkout = ack["CheckoutRequestID"]
    first, _ = await rails.query(checkout)
    _, early = await rails.query(checkout)
    await rails.control(f"/pushes/{checkout}/answer", {"result_code": "0"})
    _, late = await rails.query(checkout)
    assert (first, early["ResultCode"], late["ResultCode"]) == (500, "1032", "0")
    assert (await rails.inbox.next_stk())["ResultCode"] == 0


async def test_duplicates_arrive_as_equal_copies_of_one_payment(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"copies": 5}]})
    await rails.push()
    callbacks = [await rails.inbox.next_stk() for _ in range(5)]
    assert all(callback == callbacks[0] for callback in callbacks)
    assert (await rails.control("/truth/summary"))["payments"]["count"] == 1


async def test_the_callback_can_come_before_the_acknowledgement(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"before_ack": True}]})
    await rails.push()
    assert rails.inbox.received.qsize() == 1


async def test_a_late_callback_overtaken_by_another_phone_is_a_reorder(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"callback_delay_s": 0.5}]})
    _, first = await rails.push()
    _, second = await rails.push(PhoneNumber="254711000001", PartyA="254711000001")
    order = [(await rails.inbox.next_stk())["CheckoutRequestID"] for _ in range(2)]
    assert order == [second["CheckoutRequestID"], first["CheckoutRequestID"]]


async def test_a_cancellation_may_be_followed_by_the_payment(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"extra": ["1032@0.01"], "answer_delay_s": 0.5}]})
    await rails.push()
    assert [(await rails.inbox.next_stk())["ResultCode"] for _ in range(2)] == [1032, 0]


async def test_another_amount_can_be_paid_than_was_asked(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"paid_kes": 1200}]})
    values = await rails.paid()
    assert values["Amount"] == 1200
    assert (await rails.control("/truth/summary"))["payments"]["amount_minor"] == 120_000


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"amount_type": "int"}, {"Amount": 1300}),
        ({"amount_type": "string"}, {"Amount": "1300.00"}),
        ({"phone": "string"}, {"PhoneNumber": PHONE}),
        ({"phone": "masked"}, {"PhoneNumber": "2547 ***** 149"}),
        ({"balance": "number"}, {"Balance": 12345.5}),
    ],
)
async def test_values_vary_in_type_when_a_step_says_so(rails, step, expected):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [step]})
    values = await rails.paid()
    for name, value in expected.items():
        assert (values[name], type(values[name])) == (value, type(value))


async def test_the_shape_of_the_metadata_varies_when_a_step_says_so(rails):
    steps = [
        {"code_type": "string"},
        {"metadata": "none"},
        {"metadata": "no_receipt"},
        {"metadata": "object"},
        {"balance": "absent"},
        {"balance": "packed"},
    ]
    await rails.control(f"/phones/{PHONE}/script", {"steps": steps})
    seen = []
    for _ in steps:
        await rails.push()
        seen.append(await rails.inbox.next_stk())
    text, bare, no_receipt, single, absent, packed = seen
    assert text["ResultCode"] == "0"
    assert "CallbackMetadata" not in bare
    assert "MpesaReceiptNumber" not in {item["Name"] for item in no_receipt["CallbackMetadata"]["Item"]}
    assert single["CallbackMetadata"]["Item"]["Name"] == "Amount"
    assert "Balance" not in {item["Name"] for item in absent["CallbackMetadata"]["Item"]}
    assert packed["CallbackMetadata"]["Item"][2]["Value"].startswith("{Amount={")


async def test_a_callback_is_sent_once_and_never_again(rails):
    await rails.push(CallBackURL="http://127.0.0.1:9/cb/d/00aa")
    log = await rails.delivered(1)
    assert [(one["kind"], one["status"]) for one in log] == [("stk", 0)]


async def test_callbacks_come_from_the_configured_address(rails):
    await rails.control("/daraja/script", {"knobs": {"callback_source": "127.0.0.7"}})
    await rails.paid()
    assert rails.inbox.peers == ["127.0.0.7"]


async def test_a_forged_callback_looks_real_and_moves_nothing(rails):
    told = await rails.control(
        "/forge", {"url": f"{rails.inbox.url}/cb/d/00aa", "amount_kes": 5000, "source": "127.0.0.9"}
    )
    callback = await rails.inbox.next_stk()
    assert told == {"status": 200}
    assert callback["ResultCode"] == 0
    assert rails.inbox.peers == ["127.0.0.9"]
    assert (await rails.control("/truth/summary"))["payments"]["count"] == 0


async def test_an_old_callback_can_be_sent_again(rails):
    values = await rails.paid()
    checkout = (await rails.control("/truth"))["pushes"][0]["checkout_id"]
    await rails.control(f"/pushes/{checkout}/callback", {"copies": 2})
    again = [await rails.inbox.next_stk() for _ in range(2)]
    assert {
        item["Value"] for one in again for item in one["CallbackMetadata"]["Item"] if "Receipt" in item["Name"]
    } == {values["MpesaReceiptNumber"]}


async def test_a_query_for_an_unknown_prompt_is_refused(rails):
    _, body = await rails.query("ws_CO_nothing")
    assert body["errorMessage"] == "Bad Request - Invalid CheckoutRequestID"
