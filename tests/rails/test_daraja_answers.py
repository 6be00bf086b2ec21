"""Daraja's synchronous answers as bytes: what each proves, and that none of them raises anything else."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.adapters import daraja_parse as parse
from penpay.adapters.daraja_parse import Answer, PullPage
from penpay.domain.errors import GatewayError, NotSent, OutcomeUnknown, Refused
from penpay.domain.money import kes
from penpay.domain.rail_end import RATE_LIMITED

ROW = {
    "transactionId": "NLJ7RT61SV",
    "trxDate": "2024-07-06 22:48:52",
    "msisdn": "254708374149",
    "billreference": "P9K3W01J9ZAB",
    "amount": "168.00",
}


@pytest.mark.parametrize("body", [b"", b"<html>401</html>", b'{"fault":{"faultstring":"Invalid ApiKey"}}'])
def test_a_401_is_a_refused_token_whatever_its_body(body):
    assert parse.has_invalid_token(Answer(401, body))
    found = parse.failure(Answer(401, body))
    assert (type(found), found.code) == (NotSent, "http_401")


def test_the_proxy_says_in_words_of_its_own_that_a_product_is_not_ours_or_that_we_are_too_fast():
    words = b'{"fault":{"faultstring":"Invalid API call as no apiproduct match found"}}'
    assert isinstance(parse.failure(Answer(401, words)), Refused)
    for body in (b"", b"<html>", b'{"fault":{"faultstring":"Spike arrest violation"}}'):
        found = parse.failure(Answer(429, body))
        assert (type(found), found.code) == (NotSent, RATE_LIMITED)


@pytest.mark.parametrize("words", ["Spike arrest violation. Allowed rate : 10ps", "Rate limit quota violation."])
def test_the_proxy_says_that_we_are_too_fast_under_500_as_well(words):
    found = parse.failure(Answer(500, json.dumps({"fault": {"faultstring": words}}).encode()))
    assert (type(found), found.code) == (NotSent, RATE_LIMITED)


@pytest.mark.parametrize(("status", "body"), [(500, b""), (503, b"<html>"), (403, b""), (500, b'{"fault":{}}')])
def test_other_answers_without_an_envelope_prove_nothing(status, body):
    assert not parse.has_invalid_token(Answer(status, body))
    assert isinstance(parse.failure(Answer(status, body)), OutcomeUnknown)


# --- the list of payments ---


PAID_AT = datetime(2024, 7, 6, 19, 48, 52, tzinfo=UTC)
HOUR = timedelta(hours=1)


def page(status=200, *, since=PAID_AT - HOUR, until=PAID_AT + HOUR, **answer):
    return parse.pull_page(Answer(status, json.dumps(answer).encode()), since=since, until=until)


@pytest.mark.parametrize(
    "code", [{}, *({"ResponseCode": code} for code in ("0", 0, "00000000", "1000", 1000)), {"responseCode": "1000"}]
)
def test_a_list_is_read_whatever_its_success_is_called(code):
    (row,) = page(Response=[[ROW]], **code).rows
    assert (row.receipt, row.amount) == ("NLJ7RT61SV", kes(16_800))
    assert page(Response=[], **code) == page(Response=[[]], **code) == PullPage()
    assert page(Response=[ROW], errorCode=None, **code).rows == (row,)


@pytest.mark.parametrize(
    ("msisdn", "tail"),
    [
        ("254708374149", "4149"),
        (708374149, "4149"),
        ("2547 ***** 149", "149"),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""),
        (None, ""),
        ({}, ""),
        ("600997", ""),
    ],
)
def test_of_who_paid_the_visible_digits_are_kept_and_none_is_no_obstacle(msisdn, tail):
    (row,) = page(ResponseCode="1000", Response=[[{**ROW, "msisdn": msisdn}]]).rows
    assert row.phone_tail == tail


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, {"ResponseCode": "1001", "ResponseMessage": "none"}),
        (200, {"responseCode": 1001, "Response": []}),
        (404, {"ResponseCode": "1001"}),
        (404, {"errorCode": "1001", "errorMessage": "none"}),
        (500, {"errorCode": 1001}),
    ],
)
def test_none_in_the_period_is_said_in_several_places(status, answer):
    assert page(status, **answer) == PullPage()


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "x",
        {},
        {**ROW, "amount": "0.00"},
        {**ROW, "trxDate": "?"},
        {**ROW, "trxDate": "0001-01-01T00:00:00Z"},
        {**ROW, "transactionId": ""},
    ],
)
def test_one_unreadable_row_does_not_blind_the_list(bad):
    found = page(ResponseCode="1000", Response=[[bad, ROW]])
    assert ([row.receipt for row in found.rows], len(found.unreadable)) == (["NLJ7RT61SV"], 1)


@pytest.mark.parametrize(
    "told",
    [
        *("2024-07-06 22:48:52", "2024-07-06T22:48:52", "20240706224852", "06.07.2024 22:48:52"),
        *("2024-07-06T19:48:52Z", "2024-07-06T22:48:52+03:00"),
        *("2024-07-06T22:48:52Z", "2024-07-06 19:48:52"),  # Nairobi's under the name of UTC, and UTC without a name
    ],
)
def test_a_row_lies_in_the_period_that_was_asked_for_whatever_zone_its_time_names(told):
    (row,) = page(Response=[[{**ROW, "trxDate": told}]]).rows
    assert row.paid_at == PAID_AT


def test_a_row_that_lies_in_the_period_by_no_reading_has_the_time_that_it_names():
    (row,) = page(Response=[[{**ROW, "trxDate": "2024-07-01T10:00:00Z"}]]).rows
    assert row.paid_at == datetime(2024, 7, 1, 10, tzinfo=UTC)


def test_under_a_code_that_nobody_knows_money_counts_and_its_absence_does_not():
    found = page(ResponseCode="7", Response=[[ROW]])
    assert (len(found.rows), found.certain) == (1, False)
    with pytest.raises(OutcomeUnknown):
        page(ResponseCode="7", Response=[])


@pytest.mark.parametrize("answer", [{}, {"ResponseCode": "1000"}, {"ResponseCode": "1000", "Response": {}}])
def test_what_is_no_list_proves_nothing(answer):
    with pytest.raises(OutcomeUnknown):
        page(**answer)


def test_an_error_is_no_list_even_if_it_holds_one():
    with pytest.raises(OutcomeUnknown):
        page(errorCode="500.003.1001", Response=[[ROW]])
    with pytest.raises(NotSent):
        page(429, Response=[[ROW]])


# --- a query ---


def test_a_query_s_answer_about_another_push_decides_nothing():
    answer = {"ResponseCode": "0", "MerchantRequestID": "m", "ResultCode": "0", "ResultDesc": "ok"}
    for told in ({}, {"CheckoutRequestID": "ws_CO_1"}):
        assert parse.stk_status(Answer(200, json.dumps({**answer, **told}).encode()), "ws_CO_1").result_code == "0"
    with pytest.raises(OutcomeUnknown):
        parse.stk_status(Answer(200, json.dumps({**answer, "CheckoutRequestID": "ws_CO_2"}).encode()), "ws_CO_1")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (500, {"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"}),
        (500, {"errorCode": "500.001.1001", "errorMessage": "The transaction is still under processing"}),
        (200, {"ResponseCode": "0", "ResultCode": "4999", "ResultDesc": ""}),
        (200, {"ResponseCode": "0", "ResultCode": 4999, "ResultDesc": "The transaction is still under processing"}),
        (200, {"ResponseCode": "0", "ResultCode": "500.001.1001", "ResultDesc": "The transaction is being processed"}),
    ],
)
def test_a_query_that_says_that_it_goes_on_has_no_verdict(status, told):
    assert parse.stk_status(Answer(status, json.dumps(told).encode()), "ws_CO_1").result_code == ""


@pytest.mark.parametrize("code", ["0", "1032"])
def test_a_query_with_a_verdict_keeps_it(code):
    told = {"ResponseCode": "0", "ResultCode": code, "ResultDesc": "The service request is processed successfully."}
    assert parse.stk_status(Answer(200, json.dumps(told).encode()), "ws_CO_1").result_code == code


# --- answers that nobody foresaw ---

ACK = {"ConversationID": "AG_1", "OriginatorConversationID": "o", "ResponseCode": "0", "ResponseDescription": "ok"}
DOCUMENTED = [
    {"requestId": "1c5b-4ba8", "errorCode": "500.002.1001", "errorMessage": "Duplicate OriginatorConversationID."},
    {"fault": {"faultstring": "Spike arrest violation", "detail": {"errorcode": "policies.ratelimit"}}},
    {"access_token": "t", "expires_in": "3599"},
    {"MerchantRequestID": "m", "CheckoutRequestID": "ws_CO_1", "ResponseCode": "0", "CustomerMessage": "ok"},
    {**ACK},
    {**ACK, "ResponseCode": "2001"},
    {"ResponseCode": "0", "MerchantRequestID": "m", "CheckoutRequestID": "ws_CO_1", "ResultCode": "0"},
    {"ResponseRefID": "1", "ResponseCode": "1000", "ResponseMessage": "Success", "Response": [[ROW, ROW]]},
]
READERS = [
    parse.has_invalid_token,
    parse.access_token,
    parse.accepted,
    parse.stk_ack,
    lambda answer: parse.stk_status(answer, "ws_CO_1"),
    parse.conversation_id,
    parse.payout_conversation_id,
    lambda answer: parse.pull_page(answer, since=PAID_AT - HOUR, until=PAID_AT + HOUR),
]
RAW = {"@long": "1" * 5000, "@huge": "1e99999999999999999999", "@tiny": "-1e-400", "@half": '"\\ud800"', "@nan": "NaN"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200) | st.sampled_from(sorted(RAW)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def answers(draw):
    """A documented answer with any value in any one of its places, under any status."""
    document = json.loads(json.dumps(draw(st.sampled_from(DOCUMENTED))))
    place, key = document, draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], list | dict) and place[key] and draw(st.booleans()):
        place, inside = place[key], place[key]
        key = draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
    place[key] = draw(VALUES)
    text = json.dumps(document)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return Answer(draw(st.sampled_from([200, 400, 401, 404, 429, 500, 503])), text.encode())


@given(answers())
def test_no_answer_raises_anything_but_what_it_proves(answer):
    proven = [parse.failure(answer)]
    for read in READERS:
        try:
            read(answer)
        except GatewayError as error:
            proven.append(error)
    assert all(len(error.code.encode()) <= 100 for error in proven)


@pytest.mark.parametrize("code", [["404.001.03"], {"404.001.03": 1}, None])
def test_a_code_that_is_no_text_is_no_code(code):
    body = json.dumps({"errorCode": code, "errorMessage": "x"}).encode()
    assert not parse.has_invalid_token(Answer(404, body))
    assert isinstance(parse.failure(Answer(404, body)), OutcomeUnknown)


@given(st.binary(max_size=60), st.integers(200, 599))
def test_bytes_that_are_no_answer_raise_nothing_else_either(body, status):
    for read in READERS:
        with suppress(GatewayError):
            read(Answer(status, body))


def test_an_id_that_no_row_can_hold_is_not_understood():
    for key, read in (("CheckoutRequestID", parse.stk_ack), ("ConversationID", parse.conversation_id)):
        with pytest.raises(OutcomeUnknown):
            read(Answer(200, json.dumps({"ResponseCode": "0", key: "x" * 129}).encode()))


def test_half_a_letter_and_a_code_without_end_fit_into_a_row():
    for code in ("\ud800", "x" * 500):
        found = parse.failure(Answer(500, json.dumps({"errorCode": code, "errorMessage": "x"}).encode()))
        assert 0 < len(found.code.encode()) <= 128
