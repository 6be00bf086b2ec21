import copy
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.errors import BadInput
from penpay.domain.money import kes
from penpay.domain.mpesa_callbacks import (
    account_balances,
    may_be_of,
    parse_result,
    parse_stk_callback,
    read_amount,
    read_time,
    visible_tail,
)

PAID = {
    "Body": {
        "stkCallback": {
            "MerchantRequestID": "2654-4b64-97ff-b827b542881d3130",
            "CheckoutRequestID": "ws_CO_1007202409152617172396192",
            "ResultCode": 0,
            "ResultDesc": "The service request is processed successfully.",
            "CallbackMetadata": {
                "Item": [
                    {"Name": "Amount", "Value": 1300.00},
                    {"Name": "MpesaReceiptNumber", "Value": "NLJ7RT61SV"},
                    {"Name": "Balance"},
                    {"Name": "TransactionDate", "Value": 20191219102115},
                    {"Name": "PhoneNumber", "Value": 254708374149},
                ]
            },
        }
    }
}
CANCELLED = {
    "Body": {
        "stkCallback": {
            "MerchantRequestID": "8555-67195-1",
            "CheckoutRequestID": "ws_CO_27072017151044001",
            "ResultCode": 1032,
            "ResultDesc": "Request cancelled by user",
        }
    }
}
STATUS = {
    "Result": {
        "ResultType": 0,
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "OriginatorConversationID": "1236-7134259-1",
        "ConversationID": "AG_20240706_20106e9209f64bebd05b",
        "TransactionID": "SG632NMUAB",
        "ResultParameters": {
            "ResultParameter": [
                {"Key": "DebitPartyName", "Value": "600310 - Safaricom333"},
                {"Key": "DebitPartyName", "Value": "254708374149 - John Doe"},
                {"Key": "ReceiptNo", "Value": "SG632NMUAB"},
                {"Key": "Amount", "Value": "10"},
                {"Key": "TransactionReason"},
                {"Key": "TransactionStatus", "Value": "Completed"},
            ]
        },
        "ReferenceData": {"ReferenceItem": {"Key": "Occasion"}},
    }
}


def stk(body):
    return parse_stk_callback(json.dumps(body).encode())


def with_item(name, value):
    body = copy.deepcopy(PAID)
    items = body["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    kept = [item for item in items if item["Name"] != name]
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"] = [*kept, {"Name": name, "Value": value}]
    return body


def test_a_paid_push_is_read_exactly():
    callback = stk(PAID)
    assert callback.checkout_request_id == "ws_CO_1007202409152617172396192"
    assert callback.result_code == "0"
    assert callback.amount == kes(130_000)
    assert callback.receipt == "NLJ7RT61SV"
    assert callback.paid_at == datetime(2019, 12, 19, 7, 21, 15, tzinfo=UTC)
    assert callback.phone_tail == "4149"


def test_a_cancelled_push_has_a_code_and_no_money():
    callback = stk(CANCELLED)
    assert (callback.result_code, callback.amount, callback.receipt) == ("1032", None, "")


@pytest.mark.parametrize(
    ("code", "text"), [(0, "0"), ("0", "0"), (" 0 ", "0"), (1032, "1032"), ("SFC_IC0003", "SFC_IC0003"), (17.0, "17")]
)
def test_codes_come_as_numbers_or_text(code, text):
    body = copy.deepcopy(CANCELLED)
    body["Body"]["stkCallback"]["ResultCode"] = code
    assert stk(body).result_code == text


@pytest.mark.parametrize("amount", [1300, 1300.0, "1300", "1300.00", "1300.0000"])
def test_the_same_amount_in_every_form_is_the_same_money(amount):
    assert stk(with_item("Amount", amount)).amount == kes(130_000)


def test_an_amount_is_never_rounded_through_a_float():
    assert stk(with_item("Amount", 1.1)).amount == kes(110)
    assert read_amount("999999999999.99") == kes(99_999_999_999_999)
    body = json.dumps(PAID).replace("1300.0", "0.29000000000000004")
    with pytest.raises(BadInput):
        parse_stk_callback(body.encode())


@pytest.mark.parametrize("amount", ["-1", "1e3", "1.001", "0", "1,300.00", "Infinity", "١٣", "", " ", "1300.00 KES"])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(BadInput):
        read_amount(amount)


def test_a_single_item_needs_no_list():
    body = copy.deepcopy(PAID)
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"] = {"Name": "Amount", "Value": 1}
    assert stk(body).amount == kes(100)


def test_an_item_repeated_alike_counts_once_and_one_that_differs_is_refused():
    body = copy.deepcopy(PAID)
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"].append({"Name": "Amount", "Value": "1300"})
    with pytest.raises(BadInput, match="two values"):
        stk(body)
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"][-1]["Value"] = 1300.0
    assert stk(body).amount == kes(130_000)


def test_a_key_with_two_values_says_nothing():
    text = json.dumps(CANCELLED).replace('"ResultCode": 1032', '"ResultCode": 1032, "ResultCode": 0')
    with pytest.raises(BadInput):
        parse_stk_callback(text.encode())


@pytest.mark.parametrize(
    ("phone", "tail"),
    [
        ("254708374149", "4149"),
        ("2547 ***** 126", "126"),
        ("2547*****126", "126"),
        ("25470837****", ""),
        ("708374149", "4149"),
        ("+254 708 374 149", "149"),
        ("600997", ""),
        ("0", ""),
        ("000000000000", ""),
        ("a" * 64, ""),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""),
        ("", ""),
    ],
)
def test_only_visible_digits_of_a_phone_are_kept(phone, tail):
    assert visible_tail(phone) == tail


@pytest.mark.parametrize(
    ("tail", "fits"),
    [("4126", True), ("126", True), ("26", True), ("", True), ("4127", False), ("127", False), ("27", False)],
)
def test_a_payer_is_another_only_where_digits_that_both_show_differ(tail, fits):
    assert may_be_of(tail, "2547****126") is fits


def test_a_missing_balance_value_or_date_is_no_obstacle():
    body = copy.deepcopy(PAID)
    items = body["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    items[2] = {"Name": "Balance", "Value": "{Amount={CurrencyCode=KES, BasicAmount=1.00}}"}
    items[3] = {"Name": "TransactionDate", "Value": "yesterday"}
    assert stk(body).paid_at is None
    assert stk(body).receipt == "NLJ7RT61SV"


def test_times_of_three_forms_are_nairobi_times():
    expected = datetime(2024, 7, 6, 19, 48, 52, tzinfo=UTC)
    for text in ("20240706224852", "06.07.2024 22:48:52", "2024-07-06 22:48:52"):
        assert read_time(text) == expected


def test_a_result_keeps_repeated_and_valueless_parameters():
    result = parse_result(json.dumps(STATUS).encode())
    assert result.transaction_status == "Completed"
    assert result.amount == kes(1000)
    assert result.receipt == "SG632NMUAB"
    assert result.parameters["DebitPartyName"] == ("600310 - Safaricom333", "254708374149 - John Doe")
    assert result.value("TransactionReason") == ""
    assert "John Doe" not in repr(result)


def test_a_failed_result_has_no_parameters():
    body = {"Result": {**STATUS["Result"], "ResultCode": "R000001", "ResultType": "0"}}
    del body["Result"]["ResultParameters"]
    result = parse_result(json.dumps(body).encode())
    assert (result.result_code, result.result_type, result.parameters) == ("R000001", "0", {})


def test_balances_are_unpacked_and_debts_left_out():
    packed = (
        "Working Account|KES|700000.00|700000.00|0.00|0.00&Utility Account|KES|228037.50|228037.50|0.00|0.00"
        "&Charges Paid Account|KES|-1540.00|-1540.00|0.00|0.00"
    )
    assert account_balances(packed) == {"Working Account": kes(70_000_000), "Utility Account": kes(22_803_750)}


@pytest.mark.parametrize(
    "broken", ["Working Account", "Working Account|KES|1", "Working Account|KES|1|1,000.00|0", "Working Account||1|x|0"]
)
def test_a_broken_account_discards_only_itself(broken):
    packed = f"{broken}&Utility Account|KES|1.00|1.00|0.00|0.00&Other|USD|1.00|1.00|0|0&"
    assert account_balances(packed) == {"Working Account": None, "Utility Account": kes(100)}


@pytest.mark.parametrize("told", ["29464-48063588-1", "53e3-4aa8 3533:1", "ä/ö", "x" * 300, 7])
def test_no_form_of_the_originator_s_id_loses_a_result(told):
    body = {"Result": {**STATUS["Result"], "OriginatorConversationID": told}}
    assert parse_result(json.dumps(body).encode()).originator_conversation_id == str(told)


@pytest.mark.parametrize("parameters", ["", [], None, {}, *({"ResultParameter": empty} for empty in ("", [], None))])
def test_empty_parameters_are_absent_ones_in_every_form(parameters):
    body = {"Result": {**STATUS["Result"], "ResultCode": 2040, "ResultParameters": parameters}}
    assert parse_result(json.dumps(body).encode()).parameters == {}


def test_a_name_in_latin_1_loses_no_result():
    body = {"Result": {**STATUS["Result"], "ResultParameters": {"ResultParameter": {"Key": "Name", "Value": "JOSÉ"}}}}
    for encoding in ("utf-8", "latin-1"):
        assert parse_result(json.dumps(body, ensure_ascii=False).encode(encoding)).value("Name") == "JOSÉ"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)


def paths(tree, prefix=()):
    yield prefix
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from paths(child, (*prefix, key))


def replaced(tree, path, value):
    if not path:
        return value
    changed = copy.deepcopy(tree)
    spot = changed
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return changed


@given(st.sampled_from(list(paths(PAID))), json_values)
def test_a_mutated_callback_is_read_or_refused(path, value):
    body = json.dumps(replaced(PAID, path, value)).encode()
    try:
        callback = parse_stk_callback(body)
    except BadInput:
        return
    assert callback.amount is None or callback.amount.minor > 0
    assert callback.checkout_request_id


@given(st.sampled_from(list(paths(STATUS))), json_values)
def test_a_mutated_result_is_read_or_refused(path, value):
    try:
        result = parse_result(json.dumps(replaced(STATUS, path, value)).encode())
    except BadInput:
        return
    assert result.result_code


@given(st.binary(max_size=300))
def test_garbage_is_refused(body):
    with pytest.raises(BadInput):
        parse_stk_callback(body)


@pytest.mark.parametrize("body", [b'{"a":' * 100_000, b'{"a":' + b"9" * 5000 + b"}", b"[1e99999999999999999999]"])
def test_hostile_json_is_refused_quickly(body):
    with pytest.raises(BadInput):
        parse_result(body)
