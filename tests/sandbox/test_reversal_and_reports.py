from datetime import UTC, datetime, timedelta

import pytest

from tests.sandbox.conftest import PHONE


def parameters(result):
    return {item["Key"]: item.get("Value") for item in result["ResultParameters"]["ResultParameter"]}


async def test_a_reversal_gives_the_payment_back_with_a_receipt_of_its_own(rails):
    paid = await rails.paid()
    status, ack = await rails.reverse(paid["MpesaReceiptNumber"], 1300)
    result = await rails.inbox.next_result()
    assert (status, ack["ResponseCode"]) == (200, "0")
    assert result["ResultCode"] == 0
    assert result["ConversationID"] == ack["ConversationID"]
    assert result["OriginatorConversationID"] == ack["OriginatorConversationID"]
    assert result["TransactionID"] != paid["MpesaReceiptNumber"]
    assert parameters(result)["OriginalTransactionID"] == paid["MpesaReceiptNumber"]
    summary = await rails.control("/truth/summary")
    assert summary["paybill"]["current_minor"] == summary["paybill"]["opening_minor"]
    assert summary["reversals"] == {"count": 1, "amount_minor": 130_000}


async def test_a_second_reversal_is_already_reversed_and_moves_nothing(rails):
    paid = await rails.paid()
    for _ in range(2):
        await rails.reverse(paid["MpesaReceiptNumber"], 1300)
    results = [await rails.inbox.next_result() for _ in range(2)]
    assert [one["ResultCode"] for one in results] == [0, "R000001"]
    assert "ResultParameters" not in results[1]
    assert (await rails.control("/truth/summary"))["reversals"]["count"] == 1


async def test_an_unknown_original_is_invalid(rails):
    await rails.reverse("TKNOSUCH01", 1300)
    assert (await rails.inbox.next_result())["ResultCode"] == "R000002"


async def test_a_reversal_without_funds_is_refused_with_1(rails):
    paid = await rails.paid()
    balance = (await rails.control("/truth/summary"))["paybill"]["current_minor"]
    await rails.control("/funds", {"account": "paybill", "delta_minor": -balance})
    await rails.reverse(paid["MpesaReceiptNumber"], 1300)
    assert (await rails.inbox.next_result())["ResultCode"] == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"RecieverIdentifierType": "4"}, "RecieverIdentifierType"),
        ({"Remarks": "x"}, "Remarks"),
        ({"Occasion": "x"}, "Occasion"),
        ({"CommandID": "Reversal"}, "CommandID"),
        ({"ReceiverParty": "600000"}, "ReceiverParty"),
    ],
)
async def test_a_reversal_names_its_bad_field(rails, changes, field):
    status, body = await rails.reverse("TK00000001", 1300, **changes)
    assert (status, body["errorMessage"]) == (400, f"Bad Request - Invalid {field}")


async def test_a_lost_result_is_found_by_transaction_status(rails):
    paid = await rails.paid()
    await rails.control("/daraja/script", {"steps": [{"op": "reversal", "callback": "lost"}]})
    _, ack = await rails.reverse(paid["MpesaReceiptNumber"], 1300)
    by_ours = parameters(await rails.status(OriginalConversationID=ack["OriginatorConversationID"]))
    by_theirs = parameters(await rails.status(OriginalConversationID=ack["ConversationID"]))
    assert by_ours == by_theirs
    assert by_ours["TransactionStatus"] == "Completed"


async def test_wrong_credentials_are_2001_and_then_lock(rails):
    await rails.control("/daraja/script", {"knobs": {"credential_tries": 2}})
    codes = []
    for password in ("no", "no", "Sandbox#2026"):
        await rails.reverse("TK00000001", 1300, SecurityCredential=rails.credential(password))
        codes.append((await rails.inbox.next_result())["ResultCode"])
    assert codes == [2001, 2001, 8006]
    await rails.control("/daraja/script", {"unlock_credential": True})
    await rails.reverse("TK00000001", 1300)
    assert (await rails.inbox.next_result())["ResultCode"] == "R000002"


async def test_transaction_status_has_its_odd_shape(rails):
    paid = await rails.paid()
    result = await rails.status(TransactionID=paid["MpesaReceiptNumber"])
    items = result["ResultParameters"]["ResultParameter"]
    names = [item["Key"] for item in items]
    reason = next(item for item in items if item["Key"] == "TransactionReason")
    assert result["ResultCode"] == 0
    assert names.count("DebitPartyName") == 2
    assert "Value" not in reason
    told = parameters(result)
    assert (told["TransactionStatus"], told["Amount"], told["ReceiptNo"]) == (
        "Completed",
        "1300.00",
        paid["MpesaReceiptNumber"],
    )


async def test_transaction_status_does_not_see_what_is_too_young(rails):
    await rails.control("/daraja/script", {"knobs": {"status_lag_s": 60.0}})
    paid = await rails.paid()
    result = await rails.status(TransactionID=paid["MpesaReceiptNumber"])
    assert result["ResultCode"] == "SFC_IC0003"
    assert "ResultParameters" not in result


async def test_the_account_balance_is_one_packed_string(rails):
    await rails.paid()
    body = rails.async_body(CommandID="AccountBalance", PartyA="174379", IdentifierType="4")
    await rails.post("/mpesa/accountbalance/v1/query", body)
    packed = parameters(await rails.inbox.next_result())["AccountBalance"]
    accounts = {part.split("|")[0]: part.split("|")[1:] for part in packed.split("&")}
    assert accounts["Utility Account"] == ["KES", "1001300.00", "1001300.00", "0.00", "0.00"]
    assert accounts["Working Account"][0] == "KES"


async def test_the_account_balance_has_no_occasion_field(rails):
    body = rails.async_body(CommandID="AccountBalance", PartyA="174379", IdentifierType="4", Occasion="x")
    status, refused = await rails.post("/mpesa/accountbalance/v1/query", body)
    assert (status, refused["errorMessage"]) == (400, "Bad Request - Invalid Occasion")


def pull_body(begin, end, offset=0):
    nairobi = timedelta(hours=3)
    return {
        "ShortCode": "174379",
        "StartDate": f"{begin + nairobi:%Y-%m-%d %H:%M:%S}",
        "EndDate": f"{end + nairobi:%Y-%m-%d %H:%M:%S}",
        "OffSetValue": str(offset),
    }


async def test_pull_lists_payments_whose_callbacks_never_came(rails):
    await rails.control(f"/phones/{PHONE}/script", {"steps": [{"callback": "lost"}]})
    _, ack = await rails.push()
    await rails.ended(ack["CheckoutRequestID"])
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=1))
    status, body = await rails.post("/pulltransactions/v1/query", pull_body(*window))
    row = body["Response"][0][0]
    assert (status, body["ResponseCode"]) == (200, "1000")
    assert (row["billreference"], row["amount"], row["transactiontype"]) == (
        "9K3W01J9ZAB",
        "1300.00",
        "c2b-pay-bill-debit",
    )
    assert row["trxDate"].endswith("Z")
    assert row["msisdn"] == f"{PHONE[:4]} ***** {PHONE[-3:]}"
    assert row["transactionId"] == (await rails.control("/truth"))["payments"][0]["receipt"]


async def test_pull_pages_by_row_offset_and_says_1001_for_nothing(rails):
    await rails.control("/daraja/script", {"knobs": {"pull_page": 2}})
    for number in range(3):
        await rails.control(f"/phones/{PHONE}/pay", {"amount_kes": 10 + number, "reference": "BYHAND"})
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=1))
    pages = [(await rails.post("/pulltransactions/v1/query", pull_body(*window, offset)))[1] for offset in (0, 2, 3)]
    assert [[row["amount"] for row in page["Response"][0]] for page in pages] == [["10.00", "11.00"], ["12.00"], []]
    assert [page["ResponseCode"] for page in pages] == ["1000", "1000", "1001"]


async def test_pull_forgets_what_is_older_than_48_hours(rails):
    await rails.control(f"/phones/{PHONE}/pay", {"amount_kes": 10})
    payment = next(iter(rails.house.truth.world.payments.values()))
    payment.paid_epoch_s -= 49 * 3600
    now = datetime.now(UTC)
    _, body = await rails.post("/pulltransactions/v1/query", pull_body(now - timedelta(days=5), now))
    assert body["ResponseCode"] == "1001"


async def test_a_short_code_is_registered_for_pull_once(rails):
    body = {
        "ShortCode": "174379",
        "RequestType": "Pull",
        "NominatedNumber": PHONE,
        "CallBackURL": f"{rails.inbox.url}/cb/p/00aa",
    }
    codes = [(await rails.post("/pulltransactions/v1/register", body))[1]["ResponseStatus"] for _ in range(2)]
    assert codes == ["1000", "1001"]


async def test_safaricom_may_take_a_payment_back_by_itself(rails):
    paid = await rails.paid()
    await rails.control(f"/payments/{paid['MpesaReceiptNumber']}/reverse", {})
    await rails.reverse(paid["MpesaReceiptNumber"], 1300)
    assert (await rails.inbox.next_result())["ResultCode"] == "R000001"
