"""Whose credit is whose: what is visible first, then amounts and their number, and nobody guesses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.credits import (
    Awaited,
    Seen,
    UnmatchedCredit,
    credits_of,
    decode_credit,
    encode_credit,
    match_credits,
    match_late_credits,
)
from penpay.domain.debit_proof import both_marks, is_unmarked, marks_from_text, story_of
from penpay.domain.errors import BadInput
from penpay.domain.ids import account_reference, ulid
from penpay.domain.money import usd
from penpay.domain.statement import Found, Reading, StatementRow, Watermark, description

T0 = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
AGENT = "CR9000001"


def op(number):
    return ulid(1_760_000_000_000 + number, number.to_bytes(10))


def debit(number, minor=2000, loginid="", **changes):
    fields = {
        "operation_id": op(number),
        "loginid": loginid or f"CR50{number}",
        "amount": usd(minor),
        "since": T0 + timedelta(seconds=number),
        "until": T0 + timedelta(seconds=number + 600),
    }
    return Awaited(**fields | changes)


def credit(id_, minor=2000, longcode="", **changes):
    row = StatementRow(
        id=id_,
        at=T0 + timedelta(seconds=id_),
        action="deposit",
        amount=usd(minor),
        balance_after=usd(10_000),
        longcode=longcode,
    )
    return replace(row, **changes)


def matched(rows, debits, owners=None):
    found = match_credits(credits_of(rows), debits, owners=owners or {}, agent=AGENT)
    return {id_: (match.seen, match.credit.id if match.credit else 0) for id_, match in found.items()}


def test_the_only_credit_of_the_only_debit_is_its_own():
    assert matched([credit(5)], [debit(1)]) == {op(1): (Seen.CONFIRMED, 5)}


def test_numbers_say_nothing_where_a_credit_cannot_be_read():
    rows, debits = credits_of([credit(5)]), [debit(1)]
    found = match_credits(rows, debits, owners={}, agent=AGENT, complete=False)
    assert (found[op(1)].seen, found[op(1)].credit) == (Seen.PENDING, None)


@pytest.mark.parametrize(
    "row",
    [
        credit(5, 2001),
        credit(5, action="withdrawal", amount=usd(-2000)),
        credit(5, action="buy"),
        credit(5, at=T0 - timedelta(seconds=61)),
        credit(5, at=T0 + timedelta(seconds=662)),
    ],
)
def test_another_amount_action_or_time_is_no_witness(row):
    assert matched([row], [debit(1)]) == {op(1): (Seen.PENDING, 0)}


def test_what_the_agents_account_had_seen_before_the_debit_is_no_witness():
    assert matched([credit(5)], [debit(1, after_id=5)]) == {op(1): (Seen.PENDING, 0)}
    assert matched([credit(6)], [debit(1, after_id=5)]) == {op(1): (Seen.CONFIRMED, 6)}


def test_as_many_credits_as_debits_go_by_age():
    rows, debits = [credit(7), credit(6)], [debit(2), debit(1)]
    assert matched(rows, debits) == {op(1): (Seen.CONFIRMED, 6), op(2): (Seen.CONFIRMED, 7)}


def test_fewer_credits_than_debits_wait_for_the_rest():
    assert matched([credit(6)], [debit(1), debit(2)]) == {op(1): (Seen.PENDING, 0), op(2): (Seen.PENDING, 0)}


def test_more_credits_than_debits_are_a_question_for_a_person():
    assert matched([credit(6), credit(7)], [debit(1)]) == {op(1): (Seen.AMBIGUOUS, 0)}


def test_a_credit_that_one_debit_only_can_have_made_waits_for_nobody_else():
    waiting = [debit(1), debit(2, after_id=6)]
    assert matched([credit(6)], waiting) == {op(1): (Seen.CONFIRMED, 6), op(2): (Seen.PENDING, 0)}
    assert matched([credit(6), credit(7)], waiting) == {op(1): (Seen.CONFIRMED, 6), op(2): (Seen.CONFIRMED, 7)}


def test_two_credits_that_one_debit_only_can_have_made_are_a_question():
    waiting = [debit(1), debit(2, after_id=7)]
    assert matched([credit(6), credit(7)], waiting) == {op(1): (Seen.AMBIGUOUS, 0), op(2): (Seen.AMBIGUOUS, 0)}


def test_amounts_do_not_mix():
    rows, debits = [credit(6, 500), credit(7)], [debit(1), debit(2, 500)]
    assert matched(rows, debits) == {op(1): (Seen.CONFIRMED, 7), op(2): (Seen.CONFIRMED, 6)}


def test_our_reference_decides_before_age_and_number():
    spoken = f"Payment. Agent note: {description(account_reference(op(2)))}"
    rows, debits = [credit(6, longcode=spoken), credit(7), credit(8)], [debit(1), debit(2)]
    assert matched(rows, debits) == {op(2): (Seen.CONFIRMED, 6), op(1): (Seen.AMBIGUOUS, 0)}


def test_the_customers_login_decides_before_age_and_number():
    rows = [credit(6, longcode=f"From CR502 to {AGENT}."), credit(7, longcode=f"From CR501 to {AGENT}.")]
    assert matched(rows, [debit(1), debit(2)]) == {op(1): (Seen.CONFIRMED, 7), op(2): (Seen.CONFIRMED, 6)}


@pytest.mark.parametrize("text", ["From CR999.", "Agent note: PP-P0123456789A", "From CRB12 to CR9000001"])
def test_a_credit_that_names_somebody_else_is_not_taken(text):
    assert matched([credit(6, longcode=text)], [debit(1)]) == {op(1): (Seen.PENDING, 0)}


@pytest.mark.parametrize("sides", [{"payer": "CR999"}, {"payee": "CR999"}, {"payer": AGENT}])
def test_a_credit_between_others_is_not_taken(sides):
    assert matched([credit(6, **sides)], [debit(1)]) == {op(1): (Seen.PENDING, 0)}


def test_the_payer_that_a_row_names_decides_before_text_age_and_number():
    rows = [credit(6, payer="CR502", payee=AGENT, longcode="From CR501."), credit(7, payer="CR501", payee=AGENT)]
    assert matched(rows, [debit(1), debit(2)]) == {op(1): (Seen.CONFIRMED, 7), op(2): (Seen.CONFIRMED, 6)}


def test_a_credit_that_names_only_ourselves_names_nobody():
    assert matched([credit(6, longcode=f"To {AGENT}.")], [debit(1)]) == {op(1): (Seen.CONFIRMED, 6)}


def test_a_credit_of_another_operation_is_not_taken_and_ones_own_is_given_again():
    owners = {6: op(9), 7: op(1)}
    assert matched([credit(6), credit(7)], [debit(1)], owners) == {op(1): (Seen.CONFIRMED, 7)}
    assert matched([credit(6)], [debit(1)], {6: op(9)}) == {op(1): (Seen.PENDING, 0)}


@given(
    rows=st.lists(st.tuples(st.integers(1, 30), st.sampled_from([500, 2000])), max_size=8, unique_by=lambda r: r[0]),
    debits=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([500, 2000])), max_size=6, unique_by=lambda d: d[0]),
    taken=st.sets(st.integers(1, 30), max_size=3),
)
def test_no_credit_is_ever_given_twice_and_none_of_another_amount(rows, debits, taken):
    by_id = {id_: credit(id_, minor) for id_, minor in rows}
    waiting = {op(number): debit(number, minor) for number, minor in debits}
    found = matched(by_id.values(), list(waiting.values()), dict.fromkeys(taken, "another"))
    given_ids = [id_ for seen, id_ in found.values() if seen is Seen.CONFIRMED]
    assert found.keys() == waiting.keys()
    assert len(set(given_ids)) == len(given_ids)
    assert not set(given_ids) & taken
    for operation_id, (seen, id_) in found.items():
        if seen is Seen.CONFIRMED:
            assert by_id[id_].amount == waiting[operation_id].amount


LATE, OPEN = debit(1), debit(2)
MINE, YOURS = (f"From CR50{number} to {AGENT}." for number in (1, 2))


@pytest.mark.parametrize(
    ("rows", "late", "open_", "found"),
    [
        ([], [LATE], [], [(Seen.PENDING, 0)]),
        ([credit(5)], [LATE], [], [(Seen.CONFIRMED, 5)]),
        ([credit(5)], [LATE], [OPEN], [(Seen.PENDING, 0)]),
        ([credit(5)], [LATE], [debit(2, 500)], [(Seen.CONFIRMED, 5)]),
        ([credit(5)], [LATE], [debit(2, after_id=5)], [(Seen.CONFIRMED, 5)]),
        ([credit(5), credit(6)], [LATE], [OPEN], [(Seen.PENDING, 0)]),
        ([credit(5, longcode=MINE)], [LATE], [OPEN], [(Seen.CONFIRMED, 5)]),
        ([credit(5, longcode=YOURS)], [LATE], [OPEN], [(Seen.PENDING, 0)]),
        ([credit(5, longcode=MINE)], [LATE], [debit(2, loginid="CR501")], [(Seen.PENDING, 0)]),
        ([credit(5, payer="CR501", payee=AGENT)], [LATE], [OPEN], [(Seen.CONFIRMED, 5)]),
        ([credit(5, longcode=description(account_reference(op(1))))], [LATE], [OPEN], [(Seen.CONFIRMED, 5)]),
        ([credit(5, longcode=description(account_reference(op(2))))], [LATE], [OPEN], [(Seen.PENDING, 0)]),
        ([credit(5), credit(6)], [LATE], [], [(Seen.AMBIGUOUS, 0)]),
        ([credit(5)], [LATE, debit(3)], [], [(Seen.PENDING, 0)] * 2),
        ([credit(5), credit(6)], [LATE, debit(3)], [], [(Seen.CONFIRMED, 5), (Seen.CONFIRMED, 6)]),
        ([credit(5, at=T0 + timedelta(seconds=662))], [LATE], [], [(Seen.PENDING, 0)]),
        ([credit(5, 2001)], [LATE], [], [(Seen.PENDING, 0)]),
    ],
)
def test_a_late_credit_is_given_where_nobody_who_waits_by_himself_can_have_made_it(rows, late, open_, found):
    matches = match_late_credits(credits_of(rows), late, open_, owners={}, agent=AGENT)
    assert [(match.seen, match.credit.id if match.credit else 0) for match in map(matches.get, map(_id, late))] == found


def _id(one):
    return one.operation_id


def test_a_late_credit_that_was_told_before_is_told_again():
    matches = match_late_credits(credits_of([credit(5)]), [LATE], [OPEN], owners={5: op(1)}, agent=AGENT)
    assert matches[op(1)].seen is Seen.PENDING, "since then somebody waits who can have made it"
    matches = match_late_credits(credits_of([credit(5)]), [LATE], [], owners={5: op(1)}, agent=AGENT)
    assert matches[op(1)].seen is Seen.CONFIRMED


def test_an_unmatched_credit_travels_unchanged():
    told = UnmatchedCredit(transaction_id="77", amount=usd(2000), at=T0, longcode="from £")
    assert decode_credit(encode_credit(told)) == told


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", encode_credit(UnmatchedCredit(transaction_id="7", amount=usd(0), at=T0)), b"\xff"],
)
def test_what_is_no_credit_is_refused(body):
    with pytest.raises(BadInput):
        decode_credit(body)


# --- both sides of a debit ---


def mark(id_, minor):
    return Watermark(transaction_id=id_, balance=usd(minor), server_time_at=T0)


def test_both_marks_are_read_back_each_for_itself():
    stored = {**both_marks(customer=mark(1, 100), agent=mark(2, 200)), "begin": "1-1"}
    assert marks_from_text(stored) == (mark(1, 100), mark(2, 200))
    assert not is_unmarked(stored)
    assert is_unmarked({"begin": "1-1"})
    with pytest.raises(BadInput):
        marks_from_text(mark(1, 100).as_text())


_F = Found


@pytest.mark.parametrize(
    ("customer", "agent", "before", "after"),
    [
        (_F.CONFIRMED, _F.CONFIRMED, _F.CONFIRMED, _F.CONFIRMED),
        (_F.CLEAN, _F.CLEAN, _F.CLEAN, _F.CLEAN),
        (_F.CONFIRMED, _F.CLEAN, _F.INCOMPLETE, _F.AMBIGUOUS),
        (_F.CLEAN, _F.CONFIRMED, _F.INCOMPLETE, _F.AMBIGUOUS),
        (_F.CONFIRMED, _F.INCOMPLETE, _F.INCOMPLETE, _F.INCOMPLETE),
        (_F.INCOMPLETE, _F.CONFIRMED, _F.INCOMPLETE, _F.INCOMPLETE),
        (_F.CLEAN, _F.INCOMPLETE, _F.INCOMPLETE, _F.INCOMPLETE),
        (_F.AMBIGUOUS, _F.CONFIRMED, _F.AMBIGUOUS, _F.AMBIGUOUS),
        (_F.CLEAN, _F.AMBIGUOUS, _F.AMBIGUOUS, _F.AMBIGUOUS),
    ],
)
def test_a_debit_is_what_both_sides_agree_on(customer, agent, before, after):
    row = credit(5)
    sides = {
        "customer": Reading(customer, "c", row if customer is _F.CONFIRMED else None),
        "agent": Reading(agent, "a"),
    }
    assert story_of(**sides, settled=False).found is before
    assert story_of(**sides, settled=True).found is after
    confirmed = story_of(**sides, settled=True)
    assert (confirmed.row is row) == (after is _F.CONFIRMED)
