from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.errors import BadInput
from penpay.domain.money import Currency, usd
from penpay.domain.statement import (
    Found,
    LostTransfer,
    StatementRead,
    StatementRow,
    Watermark,
    description,
    mark_before,
    page_of,
    read_for_transfer,
    with_signs,
)

T0 = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
OURS, OTHER = "P9K3W01J9ZAB", "P0000000000Z"
MARK = Watermark(transaction_id=100, balance=usd(1_000_000), server_time_at=T0)
AGENT, CUSTOMER = "CR9000001", "CR1"
LOST = LostTransfer(
    amount=usd(966),
    payer=AGENT,
    payee=CUSTOMER,
    reference=OURS,
    watermark=MARK,
    settled_at=T0 + timedelta(minutes=10),
)


def statement(*movements, balance=None):
    """Rows newest first from (amount, longcode) oldest first, with the balances that follow from them."""
    rows, after = [], MARK.balance.minor
    for number, (amount, longcode) in enumerate(movements, 1):
        after += amount
        at = T0 + timedelta(seconds=number)
        row = StatementRow(
            id=100 + number, at=at, action="withdrawal", amount=usd(amount), balance_after=usd(after), longcode=longcode
        )
        rows.insert(0, row)
    return StatementRead(rows=rows, balances_minor=frozenset({after if balance is None else balance}))


def read(*movements, used=frozenset(), **more):
    return read_for_transfer(statement(*movements, **more), LOST, used=used)


def test_our_reference_is_certain():
    reading = read((-966, f"Agent note: {description(OTHER)}"), (-966, f"Agent note: {description(OURS)}"), (-50, ""))
    assert (reading.found, reading.row.id) == (Found.CONFIRMED, 102)


def test_with_a_row_that_nobody_can_read_only_our_reference_is_certain():
    ours, absent = statement((-966, f"Agent note: {description(OURS)}")), statement((-50, ""))
    for whole, found in (
        (ours, Found.CONFIRMED),
        (statement((-966, "")), Found.INCOMPLETE),
        (absent, Found.INCOMPLETE),
    ):
        partly = replace(whole, complete=False)
        assert read_for_transfer(partly, LOST, used=frozenset()).found is found


def test_without_references_the_only_debit_of_the_amount_is_ours():
    reading = read((-965, ""), (-966, ""), (966, ""))
    assert (reading.found, reading.row.id) == (Found.CONFIRMED, 102)


def test_two_equal_debits_are_a_question_for_a_person():
    assert read((-966, ""), (-966, "")).found is Found.AMBIGUOUS


def test_a_debit_that_belongs_to_another_operation_is_no_candidate():
    assert read((-966, ""), (-966, ""), used=frozenset({101})).row.id == 102
    assert read((-966, ""), used=frozenset({101})).found is Found.CLEAN


def test_a_debit_with_another_reference_is_not_ours():
    assert read((-966, description(OTHER))).found is Found.CLEAN


def test_where_references_show_a_debit_without_one_is_a_question():
    assert read((-50, description(OTHER)), (-966, "by hand")).found is Found.AMBIGUOUS


def test_our_reference_with_another_amount_or_twice_is_a_question():
    assert read((-900, description(OURS))).found is Found.AMBIGUOUS
    assert read((-966, description(OURS)), (-966, description(OURS))).found is Found.AMBIGUOUS


def test_an_older_debit_of_the_amount_is_not_ours():
    before = StatementRow(id=99, at=T0, action="withdrawal", amount=usd(-966), balance_after=MARK.balance)
    old = StatementRead(rows=[before], balances_minor=frozenset({MARK.balance.minor}))
    assert read_for_transfer(old, LOST, used=frozenset()).found is Found.CLEAN


def test_a_debit_after_the_attempt_has_settled_belongs_to_another():
    late = StatementRow(
        id=101,
        at=LOST.settled_at + timedelta(seconds=61),
        action="withdrawal",
        amount=usd(-966),
        balance_after=usd(1_000_000 - 966),
    )
    read = StatementRead(rows=[late], balances_minor=frozenset({1_000_000 - 966}))
    assert read_for_transfer(read, LOST, used=frozenset()).found is Found.CLEAN


def test_nothing_there_is_clean_only_while_balances_join_up():
    assert read().found is Found.CLEAN
    assert read((-50, ""), (70, "")).found is Found.CLEAN
    assert read((-50, ""), balance=1).found is Found.INCOMPLETE


def test_a_gap_in_the_balances_proves_nothing():
    whole = statement((-50, ""), (-966, "hidden"), (-70, ""))
    holed = StatementRead(rows=[whole.rows[0], whole.rows[2]], balances_minor=whole.balances_minor)
    assert read_for_transfer(holed, LOST, used=frozenset()).found is Found.INCOMPLETE


def test_a_row_after_the_settle_window_closes_the_chain_on_a_busy_account():
    late = StatementRow(
        id=101, at=LOST.settled_at, action="deposit", amount=usd(5), balance_after=usd(1_000_005), longcode=""
    )
    busy = StatementRead(rows=[late], balances_minor=frozenset({7}))
    assert read_for_transfer(busy, LOST, used=frozenset()).found is Found.CLEAN


def test_on_an_account_that_never_moved_the_first_rows_must_explain_everything():
    fresh = replace(
        LOST,
        watermark=Watermark(transaction_id=0, balance=MARK.balance, server_time_at=T0),
        settled_at=T0,
    )
    nothing = StatementRead(rows=[], balances_minor=frozenset({MARK.balance.minor}))
    assert read_for_transfer(nothing, fresh, used=frozenset()).found is Found.CLEAN
    moved = StatementRead(rows=[], balances_minor=frozenset({MARK.balance.minor - 966}))
    assert read_for_transfer(moved, fresh, used=frozenset()).found is Found.INCOMPLETE


def test_books_that_forgot_ask_a_person_about_a_reference_that_they_do_not_know():
    shown = statement((-966, f"Agent note: {description(OTHER)}"))
    assert read_for_transfer(shown, LOST, used=frozenset()).found is Found.CLEAN
    forgotten = replace(LOST, forgotten=True)
    assert read_for_transfer(shown, forgotten, used=frozenset()).found is Found.AMBIGUOUS
    assert read_for_transfer(statement((-965, "")), forgotten, used=frozenset()).found is Found.CLEAN


@pytest.mark.parametrize("words", ["", description(OURS)])
def test_books_that_forgot_ask_a_person_about_what_was_filed_as_nobodys(words):
    forgotten = replace(LOST, forgotten=True)
    assert read_for_transfer(statement((-966, words)), forgotten, used=frozenset()).found is Found.CONFIRMED
    filed = replace(forgotten, strays=frozenset({101}))
    assert read_for_transfer(statement((-966, words)), filed, used=frozenset()).found is Found.AMBIGUOUS


def test_the_mark_of_what_was_forgotten_lies_before_all_rows_since_then():
    rows = statement((-5, ""), (-966, ""), (7, ""))
    mark = mark_before(rows, T0, Currency.USD)
    assert (mark.transaction_id, mark.balance) == (100, MARK.balance)
    assert read_for_transfer(rows, replace(LOST, watermark=mark), used=frozenset()).row.id == 102
    nothing = StatementRead(rows=[], balances_minor=frozenset({77}))
    assert mark_before(nothing, T0, Currency.USD) == Watermark(transaction_id=0, balance=usd(77), server_time_at=T0)


@given(
    st.lists(st.tuples(st.sampled_from([-966, -965, 966, 10]), st.sampled_from(["", description(OTHER)])), max_size=8),
    st.integers(0, 8),
    st.booleans(),
    st.booleans(),
)
def test_an_executed_transfer_is_never_called_absent(movements, place, visible, hidden):
    """Whatever else happens on the account, and whether or not the row already shows."""
    executed = (-966, description(OURS) if visible else "")
    place = min(place, len(movements))
    truth = statement(*movements[:place], executed, *movements[place:])
    shown = [row for row in truth.rows if not (hidden and row.id == 101 + place)]
    reading = read_for_transfer(StatementRead(rows=shown, balances_minor=truth.balances_minor), LOST, used=frozenset())
    assert reading.found is not Found.CLEAN
    if visible and not hidden:
        assert (reading.found, reading.row.id) == (Found.CONFIRMED, 101 + place)


def told(*changes, credit=False, minor=-966):
    """What is found where each row of the amount is told otherwise."""
    seen = statement(*[(minor, "")] * len(changes))
    rows = [replace(row, **change) for row, change in zip(seen.rows, changes, strict=True)]
    lost = replace(LOST, payer=CUSTOMER, payee=AGENT, credit=True) if credit else LOST
    reading = read_for_transfer(replace(seen, rows=rows), lost, used=frozenset())
    return reading.found, reading.row.id if reading.row else 0


@pytest.mark.parametrize("action", ["withdrawal", "transfer", ""])
def test_only_money_for_somebody_else_is_a_transfer_of_ours(action):
    assert told({"action": action}) == (Found.CONFIRMED, 101)
    for other in ("buy", "sell", "hold", "release", "adjustment", "virtual_credit", "deposit"):
        assert told({"action": other}) == (Found.CLEAN, 0)
        assert told({"action": other}, {"action": action}) == (Found.CONFIRMED, 101)


def test_an_action_that_deriv_does_not_document_is_a_question():
    for credit, minor in ((False, -966), (True, 966)):
        assert told({"action": "escrow"}, credit=credit, minor=minor)[0] is Found.AMBIGUOUS
    assert told({"action": "escrow", "longcode": description(OURS)}) == (Found.CONFIRMED, 101)


@pytest.mark.parametrize("action", ["deposit", "transfer", ""])
def test_only_money_from_somebody_else_is_a_credit_of_ours(action):
    assert told({"action": action}, credit=True, minor=966) == (Found.CONFIRMED, 101)
    for other in ("sell", "release", "adjustment", "virtual_credit", "withdrawal"):
        assert told({"action": other}, credit=True, minor=966) == (Found.CLEAN, 0)


def test_a_row_between_others_is_not_ours_and_one_that_names_them_is():
    others = [{"payee": "CR2"}, {"payer": "CR2"}, {"payer": CUSTOMER, "payee": AGENT}]
    for other in others:
        assert told(other) == (Found.CLEAN, 0)
        assert told(other, {}) == (Found.CONFIRMED, 101)
    ours = {"payer": AGENT, "payee": CUSTOMER}
    assert told({}, ours) == (Found.CONFIRMED, 101)
    assert told({}, {}, ours) == (Found.CONFIRMED, 101)
    assert told(ours, ours)[0] is Found.AMBIGUOUS


def test_a_row_that_names_two_others_is_a_question_for_it_changed_this_account():
    """What it calls its sides is not what we take for logins: nobody may conclude that nothing happened."""
    odd, ours = {"action": "transfer", "payer": "W1", "payee": "W2"}, {"payer": AGENT, "payee": CUSTOMER}
    assert told(odd)[0] is told(odd, {})[0] is Found.AMBIGUOUS
    assert told(odd, ours) == (Found.CONFIRMED, 101)
    assert told({**odd, "longcode": description(OURS)})[0] is Found.AMBIGUOUS
    assert told(odd, credit=True, minor=966)[0] is Found.AMBIGUOUS


def test_our_reference_in_a_row_for_somebody_else_is_a_question():
    spoken = {"longcode": description(OURS)}
    assert told(spoken) == (Found.CONFIRMED, 101)
    for odd in ({"payee": "CR2"}, {"action": "adjustment"}):
        assert told({**spoken, **odd})[0] is Found.AMBIGUOUS


def row(id_, minor, after, **changes):
    fields = {"id": id_, "at": T0, "action": "transfer", "amount": usd(minor), "balance_after": usd(after)}
    return StatementRow(**fields | changes)


@pytest.mark.parametrize(
    ("action", "minor"),
    [
        *((action, -5) for action in ("withdrawal", "buy", "hold")),
        *((action, 5) for action in ("deposit", "sell", "release", "adjustment", "virtual_credit")),
    ],
)
def test_what_happened_says_which_way_an_amount_went(action, minor):
    assert [told.amount for told in with_signs([row(1, 5, 100, action=action)], AGENT)] == [usd(minor)]
    (signed,) = with_signs([row(1, minor, 100, action=action)], AGENT)
    assert signed.amount == usd(minor)


def test_a_transfer_without_a_sign_goes_as_its_sides_or_the_balances_say():
    out, back = {"payer": AGENT, "payee": CUSTOMER}, {"payer": CUSTOMER, "payee": AGENT}
    rows = [row(4, 5, 85), row(3, 5, 90, **out), row(2, 5, 95, **back), row(1, 5, 90)]
    assert [one.amount.minor for one in with_signs(rows, AGENT)] == [-5, -5, 5, 5]
    assert [one.amount.minor for one in with_signs(rows, CUSTOMER)] == [-5, 5, -5, 5]
    assert [one.id for one in with_signs(rows, AGENT)] == [4, 3, 2, 1]


def test_a_transfer_in_front_of_one_that_cannot_be_read_goes_as_the_balances_say():
    page = page_of([row(4, 5, 85), row(3, 5, 90), None, row(1, 5, 100)], AGENT)
    assert [(one.id, one.amount.minor) for one in page.rows] == [(4, -5), (1, 5)]


def test_a_sign_that_is_written_hides_no_gap():
    rows = [row(2, -5, 105), row(1, 5, 100)]
    assert [one.amount.minor for one in with_signs(rows, AGENT)] == [-5, 5]


def test_a_watermark_survives_its_row():
    assert Watermark.from_text(MARK.as_text()) == MARK
    with pytest.raises(BadInput):
        Watermark.from_text({"transaction_id": "1"})
