"""Problems, transactions and times as customers see them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain import deposit, withdrawal
from penpay.domain.accounts import TimelineStep
from penpay.domain.json_text import canonical_bytes, json_bytes
from penpay.domain.money import kes, usd
from penpay.domain.presentation import evidence_of, rate_text, render_transaction, time_text
from penpay.domain.problems import PROBLEMS, problem
from penpay.domain.timeline import Deadlines, outlook, render_timeline, standing
from penpay.domain.unit import TransactionRow

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DECIDED = """
409 quote_used quote_expired stk_open code_amount_mismatch not_cancellable withdrawal_open request_in_progress
422 amount_out_of_range amount_not_whole daily_limit_exceeded idempotency_key_reused
403 account_frozen pin_wrong phone_not_verified deriv_not_linked pin_not_set withdrawals_held name_mismatch
423 pin_locked
503 rates_unavailable float_low rail_down overloaded not_owner
"""


def row(**other: object) -> TransactionRow:
    usual = {
        "id": "01KAF0Z3T9V5N5W6H3C8Q2YB7D",
        "shard": 0,
        "user_id": "u",
        "type": "DEPOSIT",
        "state": "AWAITING_PAYER",
        "status": "AWAITING_MPESA_CALLBACK",
        "version": 2,
        "send": kes(130_000),
        "receive": usd(966),
        "quote_id": "",
        "mid_rate_e6": 129_500_000,
        "spread_e6": 5_000_000,
        "phone_mask": "2547****126",
        "deriv_loginid": "CR1",
        "route": "",
        "key_hash": "",
        "eat_day": "2026-11-20",
        "limit_usd_minor": 0,
        "counts": True,
        "failure_code": "",
        "data": "{}",
        "next_wake_at": None,
        "created_at": AT,
        "updated_at": AT,
        "completed_at": None,
    }
    return TransactionRow(**{**usual, **other})


def test_every_decided_code_has_its_status():
    for line in DECIDED.strip().splitlines():
        status, *codes = line.split()
        for code in codes:
            assert PROBLEMS[code].status == int(status), code


def test_every_entry_names_itself_and_says_something():
    for code, known in PROBLEMS.items():
        assert known.code == code
        assert known.title
        assert problem(code)["type"] == f"/problems/{code}"
        assert problem(code)["detail"]


def test_a_problem_carries_only_what_helps():
    assert problem("not_found").keys() == {"type", "title", "status", "detail", "code", "retryable"}
    full = problem("overloaded", "d", "/x", retry_after_s=3, errors=[{"field": "f", "message": "m"}])
    assert (full["detail"], full["instance"], full["retry_after_s"]) == ("d", "/x", 3)
    assert full["errors"] == [{"field": "f", "message": "m"}]


def test_the_same_transaction_gives_the_same_bytes():
    evidence = {"mpesa_receipt": "A", "deriv_transaction_id": "1", "refund_receipt": "B"}
    first = json_bytes(render_transaction(row(), evidence))
    again = json_bytes(render_transaction(row(), dict(reversed(evidence.items()))))
    assert first == again


def test_evidence_that_is_not_there_yet_is_null():
    rendered = render_transaction(row(), evidence_of(row()))
    assert rendered["evidence"] == {"mpesa_receipt": None, "deriv_transaction_id": None}


def test_a_stored_row_shows_its_receipts():
    assert evidence_of(row(data='{"receipt":"A","refund_receipt":"B"}')) == {
        "mpesa_receipt": "A",
        "refund_receipt": "B",
    }


@pytest.mark.parametrize(
    ("rate_e6", "text"),
    [
        (129_500_000, "129.50"),
        (129_123_456, "129.123456"),
        (5_000_000, "5.00"),
        (1, "0.000001"),
        (129_120_000, "129.12"),
    ],
)
def test_rates_have_two_to_six_digits(rate_e6: int, text: str):
    assert rate_text(rate_e6) == text


@given(st.integers(1, 10**12))
def test_a_rate_text_loses_nothing(rate_e6: int):
    major, _, minor = rate_text(rate_e6).partition(".")
    assert int(major) * 10**6 + int(minor.ljust(6, "0")) == rate_e6


def test_times_are_utc_with_milliseconds_whatever_their_zone():
    nairobi = datetime(2026, 11, 20, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=3)))
    assert time_text(nairobi) == "2026-11-20T09:00:00.999Z"


def test_canonical_bytes_do_not_depend_on_order():
    assert canonical_bytes({"b": 1, "a": {"d": 1, "c": 2}}) == b'{"a":{"c":2,"d":1},"b":1}'


STAGES = [
    (type_, saga, state) for type_, saga in (("DEPOSIT", deposit), ("WITHDRAWAL", withdrawal)) for state in saga.State
]


@pytest.mark.parametrize(("type_", "saga", "state"), STAGES, ids=lambda one: str(getattr(one, "__name__", one)))
def test_every_stage_has_its_sentence(type_: str, saga, state):
    sentence = outlook(row(type=type_, state=state.value), Deadlines())
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    assert ("awaited" in sentence) == (state not in saga.FINAL)


@pytest.mark.parametrize(("type_", "saga", "state"), STAGES, ids=lambda one: str(getattr(one, "__name__", one)))
def test_the_timeline_and_the_sentence_of_explain_agree(type_: str, saga, state):
    seen = row(type=type_, state=state.value, next_wake_at=AT + timedelta(seconds=20))
    timeline = render_timeline(seen, (), Deadlines())
    assert timeline["outlook"] == outlook(seen, Deadlines())
    if state in saga.FINAL:
        assert timeline["now"] is None
        return
    said = timeline["outlook"].lower()
    assert all(part.lower() in said for name, part in timeline["now"].items() if part and name != "then")
    assert timeline["now"]["next_look_at"] == "2026-11-20T09:00:20.000Z"
    assert (timeline["now"]["then"] is None) == (timeline["now"]["deadline_at"] is None) == (state == "IN_REVIEW")


def test_of_looks_that_found_nothing_a_timeline_tells_the_newest():
    def step(second: int, event: str, stage: str, was: str = "DEBITED", **data: str) -> TimelineStep:
        at = AT + timedelta(seconds=second)
        return TimelineStep(at=at, from_state=was, event=event, to_state=stage, data=data)

    steps = [
        step(0, "DebitConfirmed", "DEBITED", was="DERIV_SENDING"),
        *(step(second, "Woke", "DEBITED") for second in (2, 4, 6)),
        step(7, "Woke", "DEBITED", polled="statement"),
        step(8, "Woke", "DEBITED"),
        step(9, "Woke", "IN_REVIEW"),
    ]
    told = render_timeline(row(type="WITHDRAWAL", state="IN_REVIEW"), steps, Deadlines())["steps"]
    assert [(one["at"][17:19], one["stage"]) for one in told] == [
        ("00", "DEBITED"),
        ("06", "DEBITED"),
        ("07", "DEBITED"),
        ("08", "DEBITED"),
        ("09", "IN_REVIEW"),
    ]


@pytest.mark.parametrize(
    ("type_", "state", "data", "hours"),
    [
        ("WITHDRAWAL", "B2C_UNKNOWN", "{}", 4.0),
        ("WITHDRAWAL", "B2C_UNKNOWN", '{"conversation_id":"AG_1"}', 3.0),
        ("WITHDRAWAL", "RETURN_SENDING", '{"back":["op","INTENT",0,0,0]}', 2.0),
        ("WITHDRAWAL", "RETURN_SENDING", '{"back":["op","UNKNOWN",0,0,0]}', 3.0),
        ("DEPOSIT", "REFUND_SENDING", "{}", 2.0),
        ("DEPOSIT", "REFUND_SENDING", '{"refund":["op","SENT",0,0,0]}', 3.0),
    ],
)
def test_what_was_sent_waits_for_another_time_than_what_was_not(type_: str, state: str, data: str, hours: float):
    deadlines = Deadlines(refund_s=2 * 3600, unknown_s=3 * 3600, same_payout_s=4 * 3600)
    open_ = standing(row(type=type_, state=state, data=data), deadlines)
    assert open_ is not None
    assert open_.deadline_at == AT + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("type_", "place"),
    [
        *(("DEPOSIT", place) for place in ("", "customer", "suspense", "deriv_out", "refund_out", "gone")),
        *(("WITHDRAWAL", place) for place in ("", "deriv_in", "customer", "b2c_out", "deriv_out", "gone")),
    ],
)
def test_every_place_of_the_money_has_words(type_: str, place: str):
    assert outlook(row(type=type_, state="IN_REVIEW", data=f'{{"money_at":"{place}"}}'), Deadlines())


@pytest.mark.parametrize(
    ("type_", "place", "told"),
    [
        ("WITHDRAWAL", "gone", "; 5.00 USD are with us, set aside; awaited"),
        ("DEPOSIT", "gone", "; 5.00 KES are with us, set aside; awaited"),
        ("WITHDRAWAL", "customer", "account with us, and besides 5.00 USD are with us, set aside; awaited"),
    ],
)
def test_money_that_stands_aside_is_no_nothing(type_: str, place: str, told: str):
    data = f'{{"money_at":"{place}","set_aside_minor":500}}'
    send = usd(2_000) if type_ == "WITHDRAWAL" else kes(130_000)
    assert told in outlook(row(type=type_, state="IN_REVIEW", send=send, data=data), Deadlines())


def test_a_withdrawal_is_told_in_its_own_words():
    data = '{"money_at":"b2c_out","state_since":"2026-11-20T09:00:00+00:00"}'
    waiting = row(type="WITHDRAWAL", state="AWAITING_RESULT", data=data, next_wake_at=AT + timedelta(seconds=600))
    sentence = outlook(waiting, Deadlines(payout_result_s=600))
    for part in (
        "M-Pesa took the payout",
        "held for the payout",
        "its result",
        "09:10:00.000Z",
        "asked for its status",
    ):
        assert part in sentence


def test_a_withdrawal_shows_debit_receipt_and_return():
    data = '{"debit_transaction_id":"71","receipt":"QK1","return_transaction_id":"88"}'
    shown = evidence_of(row(type="WITHDRAWAL", data=data))
    assert shown == {"deriv_transaction_id": "71", "mpesa_receipt": "QK1", "deriv_return_id": "88"}
