"""The judge sees what was lost or doubled: each kind of wrong is planted once."""

from dataclasses import replace

import pytest

from penpay.chaos.judge import AGENT, PAYBILL, UTILITY, Fate, Verdict

PUSH, TRANSFER, RETURN, DEBIT, PAYOUT = "P0000000001", "PP-P0000000002", "PP-P0000000003", "PP-P0000000004", "uuid"
DEPOSIT = Fate(
    "D", "DEPOSIT", "COMPLETED", "CR1", 130_000, 966,
    {PUSH: ("STK", "CONFIRMED"), TRANSFER: ("DERIV_TRANSFER", "CONFIRMED")}, {PAYBILL: 130_000, AGENT: -966},
)  # fmt: skip
WITHDRAWAL = Fate(
    "W", "WITHDRAWAL", "COMPLETED", "CR2", 2000, 249_000,
    {DEBIT: ("DERIV_WITHDRAW", "CONFIRMED"), PAYOUT: ("B2C", "CONFIRMED"), RETURN: ("DERIV_RETURN", "WITHDRAWN")},
    {AGENT: 2000, UTILITY: -249_000},
)  # fmt: skip
PAYMENT = {"receipt": "R0", "reference": PUSH, "amount_minor": 130_000, "reversed_by": ""}
CREDIT = {"kind": "paymentagent_transfer", "description": TRANSFER, "to_loginid": "CR1", "amount_minor": 966}
TAKEN = {
    "kind": "paymentagent_withdraw",
    "description": DEBIT,
    "to_loginid": "",
    "amount_minor": 2000,
    "other_transaction_id": 78,
}
BACK = {"kind": "paymentagent_transfer", "description": RETURN, "to_loginid": "CR2", "amount_minor": 2000}
PAID = {"originator_id": PAYOUT, "amount_minor": 249_000, "charge_minor": 0, "result_code": "0"}


def wrong(fate, *, payments=(), transfers=(), payouts=(), filed=()):
    verdict = Verdict()
    verdict.judge([fate], {"payments": payments, "transfers": transfers, "payouts": payouts}, filed=filed)
    return verdict.wrong


def test_what_agrees_is_right():
    assert wrong(DEPOSIT, payments=[PAYMENT], transfers=[CREDIT]) == []
    assert wrong(WITHDRAWAL, transfers=[TAKEN], payouts=[PAID, {**PAID, "result_code": "1"}]) == []
    given_back = replace(DEPOSIT, state="REVERSED", moved={PAYBILL: 0})
    assert wrong(given_back, payments=[{**PAYMENT, "reversed_by": "R1"}]) == []
    returned = replace(WITHDRAWAL, state="REVERSED", moved={})
    assert wrong(returned, transfers=[TAKEN, BACK]) == []
    assert wrong(replace(DEPOSIT, state="FAILED", moved={})) == []


@pytest.mark.parametrize(
    ("transfers", "payments"),
    [
        ([CREDIT, CREDIT], [PAYMENT]),
        ([], [PAYMENT]),
        ([CREDIT], []),
        ([CREDIT], [PAYMENT, PAYMENT]),
        ([{**CREDIT, "amount_minor": 967}], [PAYMENT]),
        ([{**CREDIT, "to_loginid": "CR9"}], [PAYMENT]),
        ([CREDIT], [{**PAYMENT, "reversed_by": "R1"}]),
        ([CREDIT, {**CREDIT, "description": "PP-P0000000009"}], [PAYMENT]),
        ([CREDIT], [PAYMENT, {**PAYMENT, "reference": "by hand"}]),
    ],
    ids=[
        "credited twice", "not credited", "credited without payment", "paid twice", "another amount",
        "another customer", "credited and given back", "nobody's credit", "nobody's payment",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_deposit_is_seen(transfers, payments):
    assert wrong(DEPOSIT, payments=payments, transfers=transfers)


@pytest.mark.parametrize(
    ("transfers", "payouts"),
    [
        ([TAKEN], [PAID, PAID]),
        ([TAKEN], []),
        ([], [PAID]),
        ([TAKEN, TAKEN], [PAID]),
        ([TAKEN, BACK], [PAID]),
        ([TAKEN], [{**PAID, "amount_minor": 249_100}]),
        ([TAKEN], [{**PAID, "charge_minor": 900}]),
    ],
    ids=[
        "paid out twice", "not paid out", "paid out for nothing", "debited twice", "paid out and returned",
        "another amount", "a charge that is not booked",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_withdrawal_is_seen(transfers, payouts):
    assert wrong(WITHDRAWAL, transfers=transfers, payouts=payouts)


def test_a_person_is_asked_only_about_what_is_open_and_never_about_a_double():
    asked = replace(DEPOSIT, state="IN_REVIEW", moved={PAYBILL: 130_000})
    assert wrong(asked, payments=[PAYMENT], transfers=[CREDIT]), "nothing is open, and the credit is not booked"
    unknown = replace(asked, operations={**asked.operations, TRANSFER: ("DERIV_TRANSFER", "UNKNOWN")})
    assert wrong(unknown, payments=[PAYMENT], transfers=[CREDIT]) == []
    assert wrong(unknown, payments=[PAYMENT], transfers=[CREDIT, CREDIT])


def test_a_credit_that_was_filed_as_nobodys_is_in_the_books_once():
    waiting = replace(WITHDRAWAL, state="IN_REVIEW", moved={})
    assert wrong(waiting, transfers=[TAKEN], filed={"ref:78"}) == []
    assert wrong(waiting, transfers=[TAKEN])
    assert wrong(WITHDRAWAL, transfers=[TAKEN], payouts=[PAID], filed={"ref:78"}), "booked twice"
