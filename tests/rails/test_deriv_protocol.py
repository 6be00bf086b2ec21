import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain import deriv_protocol as deriv
from penpay.domain.errors import BadInput
from penpay.domain.ids import account_reference, ulid
from penpay.domain.money import Currency, kes, usd
from penpay.domain.rail_end import AGENT_FUNDS
from penpay.domain.statement import description

TRANSFER = {"amount": usd(966), "loginid": "CR123456", "reference": "PP-P9K3W01J9ZAB"}


@given(st.integers(1, 10**11))
def test_an_amount_is_a_number_of_exactly_its_cents(minor):
    text = deriv.encode(deriv.transfer(**{**TRANSFER, "amount": usd(minor)}), 7)
    sent = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert sent["amount"] * 100 == minor
    assert sent["req_id"] == 7


def test_a_transfer_names_only_what_the_schema_knows():
    sent = json.loads(deriv.encode(deriv.transfer(**TRANSFER, dry_run=True), 1))
    assert sent == {
        "paymentagent_transfer": 1,
        "amount": 9.66,
        "currency": "USD",
        "transfer_to": "CR123456",
        "description": "PP-P9K3W01J9ZAB",
        "dry_run": 1,
        "req_id": 1,
    }


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_every_reference_of_ours_fits_a_description(ms, chance):
    reference = account_reference(ulid(ms, chance))
    assert deriv.transfer(amount=usd(1), loginid="CR1", reference=description(reference))


@pytest.mark.parametrize(
    "bad", [{"amount": kes(1)}, {"amount": usd(0)}, {"loginid": "CR1; drop"}, {"reference": "a_b"}]
)
def test_what_deriv_would_refuse_is_our_bug(bad):
    with pytest.raises(AssertionError):
        deriv.transfer(**{**TRANSFER, **bad})


def frame(**members):
    return deriv.decode(json.dumps({"msg_type": "x", "echo_req": {}, **members}))


@pytest.mark.parametrize(
    ("code", "message", "refusal"),
    [
        ("RateLimit", "", ("RateLimit", True)),
        ("InvalidToken", "The token is invalid.", ("InvalidToken", True)),
        ("AuthorizationRequired", "Please log in.", ("AuthorizationRequired", True)),
        ("PermissionDenied", "", ("PermissionDenied", True)),
        ("InputValidationFailed", "Input validation failed: amount", ("InputValidationFailed", False)),
        ("PaymentAgentTransferError", "Login ID (CR1) does not exist.", ("PaymentAgentTransferError", False)),
        ("PaymentAgentTransferError", "Your account balance is insufficient.", (AGENT_FUNDS, True)),
        ("PaymentAgentWithdrawalError", "Your token has expired.", ("PaymentAgentWithdrawalError", False)),
        ("InternalServerError", "Sorry", None),
        ("WrongResponse", "", None),
        ("SomethingNew", "", None),
    ],
)
def test_only_known_codes_prove_a_refusal(code, message, refusal):
    told = deriv.refusal(frame(error={"code": code, "message": message}))
    assert (told and (told.code, told.hold)) == refusal


def test_an_error_without_a_code_proves_nothing():
    assert deriv.refusal(frame(error={})) is None
    assert deriv.refusal(frame(error="what")) is None


def test_balances_and_movements_are_exact():
    members = {"balance": {"balance": 1234567.89, "currency": "USD", "loginid": "CR1"}}
    assert deriv.balance(frame(**members)) == ("CR1", usd(123_456_789))
    moved = deriv.account_transaction(
        frame(
            transaction={
                "action": "withdrawal",
                "amount": -9.66,
                "balance": 100,
                "currency": "USD",
                "transaction_id": 51,
                "transaction_time": 1_760_000_000,
            }
        )
    )
    assert (moved.amount, moved.balance_after) == (usd(-966), usd(10_000))
    assert moved.at == datetime.fromtimestamp(1_760_000_000, UTC)


@pytest.mark.parametrize("members", [{}, {"transaction": {"id": "a"}}, {"transaction": {}}])
def test_the_first_answer_of_a_stream_is_no_movement(members):
    assert deriv.account_transaction(frame(subscription={"id": "a"}, **members)) is None


def told_balance(balance):
    return deriv.balance(frame(balance={"balance": balance, "currency": "USD", "loginid": "CR1"}))[1]


@pytest.mark.parametrize(
    "balance", [1.001, 9.66001, "9.655", 1e300, "1e2", "5 ", "+5", "", "NaN", "\u0665", "1" * 14, None, True, []]
)
def test_what_is_no_amount_of_cents_is_refused(balance):
    with pytest.raises(BadInput):
        told_balance(balance)


@pytest.mark.parametrize(
    ("balance", "minor"),
    [
        ("990.34", 99_034),
        ("-9.66", -966),
        ("5", 500),
        ("990.340000000000000000", 99_034),
        (990.3400000000001, 99_034),
        (-9.659999999999999, -966),
        (990.339999, 99_034),
        (-1e-9, 0),
        (0.1 + 0.2, 30),
    ],
)
def test_an_amount_in_a_text_or_with_the_drift_of_a_float_is_the_amount_that_was_meant(balance, minor):
    assert told_balance(balance) == usd(minor)


@given(st.integers(-(10**12), 10**12), st.integers(-400, 400))
def test_drift_never_makes_another_amount(minor, drift):
    """In units of a hundred-millionth of a dollar, so up to four millionths of one."""
    text = f"{Decimal(minor).scaleb(-2) + Decimal(drift).scaleb(-8):.8f}"
    try:
        assert told_balance(text) == usd(minor)
    except BadInput:
        assert abs(drift) > 100


def test_a_transfer_is_executed_only_by_a_one_with_its_number():
    assert (
        deriv.transferred(frame(paymentagent_transfer=1, transaction_id=9, client_to_loginid="CR1")).transaction_id == 9
    )
    for result in (1, 0, 2, "1"):
        with pytest.raises(BadInput):
            deriv.transferred(frame(paymentagent_transfer=result))
    for members in ({"paymentagent_transfer": 2, "transaction_id": 9}, {}):
        with pytest.raises(BadInput):
            deriv.transferred(frame(**members))


def test_a_dry_run_is_passed_by_a_two_or_a_one():
    for result in (2, 1):
        told = deriv.transferred(frame(paymentagent_transfer=result, client_to_loginid="CR1"), dry_run=True)
        assert told == deriv.Transferred(0, "CR1")
    with pytest.raises(BadInput):
        deriv.transferred(frame(paymentagent_transfer=0), dry_run=True)


def test_a_statement_row_keeps_sign_balance_and_words():
    rows = deriv.statement_rows(
        frame(
            statement={
                "count": 1,
                "transactions": [
                    {
                        "action_type": "withdrawal",
                        "amount": -9.66,
                        "balance_after": 90.34,
                        "longcode": "Payment agent transfer",
                        "transaction_id": 12,
                        "transaction_time": 1_760_000_000,
                        "reference_id": None,
                    }
                ],
            }
        ),
        Currency.USD,
    )
    assert [(row.id, row.amount, row.balance_after) for row in rows] == [(12, usd(-966), usd(9034))]


def test_a_row_that_nobody_can_read_hides_no_other():
    row = {"action_type": "withdrawal", "amount": -9.66, "balance_after": 90.34, "transaction_id": 12}
    row |= {"transaction_time": 1_760_000_000}
    broken = row | {"balance_after": "much", "transaction_id": 11}
    guessed = row | {"action_type": "transfer", "amount": 9.66, "transaction_id": 13}
    told = frame(statement={"count": 3, "transactions": [row | {"transaction_id": 14}, guessed, broken, row, "row"]})
    page = deriv.statement_page(told, Currency.USD, "CR9")
    assert ([one.id for one in page.rows], page.listed) == ([14, 12], 5)
    with pytest.raises(BadInput):
        deriv.statement_rows(told, Currency.USD, "CR9")


def test_a_statement_row_names_its_sides_and_says_which_way_it_went():
    transfer = {"action_type": "transfer", "amount": 9.66, "balance_after": 90.34, "transaction_id": 12}
    transfer |= {"transaction_time": 1_760_000_000, "from": {"loginid": "CR9"}, "to": {"loginid": "CR1"}}
    told = frame(statement={"count": 2, "transactions": [transfer, transfer | {"from": None, "to": "CR1"}]})
    first, second = deriv.statement_rows(told, Currency.USD, "CR9")
    assert (first.payer, first.payee, first.amount) == ("CR9", "CR1", usd(-966))
    assert (second.payer, second.payee, second.amount) == ("", "", usd(966))


def test_a_streamed_amount_goes_as_its_action_says():
    told = {"amount": 9.66, "balance": 100, "currency": "USD", "transaction_id": 5, "transaction_time": 1_760_000_000}
    amounts = {
        action: deriv.account_transaction(frame(transaction=told | {"action": action})).amount.minor
        for action in ("withdrawal", "deposit", "escrow")
    }
    assert amounts == {"withdrawal": -966, "deposit": 966, "escrow": 966}


def json_of(floats):
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=15), inner, max_size=3),
        max_leaves=8,
    )


json_values = json_of(st.floats())
finite_values = json_of(st.floats(allow_nan=False, allow_infinity=False))
readers = [
    deriv.identity,
    deriv.site_status,
    deriv.balance,
    deriv.account_transaction,
    deriv.told_time,
    deriv.transferred,
    lambda told: deriv.statement_rows(told, Currency.USD),
]
ERROR_NAMES = ["code", "message", "details", "detail"]
NAMES = ["authorize", "website_status", "balance", "transaction", "time", "paymentagent_transfer", "statement"]


@given(st.dictionaries(st.sampled_from(NAMES), json_values), st.sampled_from(readers))
def test_a_strange_frame_is_read_or_refused(members, reader):
    try:
        reader(deriv.decode(json.dumps({"msg_type": "x", **members})))
    except BadInput:
        return


@given(finite_values | st.fixed_dictionaries({}, optional=dict.fromkeys(ERROR_NAMES, finite_values)))
def test_an_error_of_any_shape_is_an_error_with_a_short_word_for_a_code(fault):
    told = deriv.decode(json.dumps({"msg_type": "x", "error": fault}))
    deriv.refusal(told)
    deriv.asks_to_wait(told)
    deriv.may_ask_again_at(told)
    assert bool(told.error_code) is (fault is not None)
    assert told.error_code.isascii()
    assert len(told.error_code) <= 100


@pytest.mark.parametrize("code", ["", "\ud800", "a b", "x" * 101, 7, None])
def test_what_is_no_word_is_no_error_code(code):
    assert frame(error={"code": code}).error_code == "error_without_code"


@given(st.text(max_size=100))
def test_text_that_is_no_frame_is_refused(text):
    with pytest.raises(BadInput):
        deriv.decode(text)
