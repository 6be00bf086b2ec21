"""Lists against books: both anti-joins, to the cent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.money import Money, kes, usd
from penpay.domain.reconciliation import (
    Booked,
    Listed,
    Remedy,
    Verdict,
    Window,
    compare,
    compare_balance,
    is_clean,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WINDOW = Window(since=NOW - timedelta(hours=47), settled_at=NOW - timedelta(minutes=10))
OLD = NOW - timedelta(hours=1)


def listed(amount: Money, *, at: datetime = OLD, reference: str = "", ref: str = "R1") -> Listed:
    return Listed(ref=ref, amount=amount, at=at, reference=reference)


def booked(amount: Money | None, *, at: datetime = OLD, ref: str = "R1") -> dict[str, Booked]:
    return {ref: Booked(ref=ref, amount=amount, at=at)}


def test_a_list_that_cannot_be_read_to_its_end_says_nothing_about_what_it_lacks():
    assert compare("payments", [], booked(kes(500)), claims={}, window=WINDOW, complete=False) == []
    (found,) = compare("payments", [listed(kes(500))], {}, claims={}, window=WINDOW, complete=False)
    assert found.remedy is Remedy.SUSPENSE


@pytest.mark.parametrize(
    ("items", "books", "verdict", "remedy"),
    [
        ([listed(kes(500))], booked(kes(500)), Verdict.AGREES, Remedy.NONE),
        ([listed(kes(500))], booked(kes(499)), Verdict.DIFFERS, Remedy.OTHER_AMOUNT),
        ([listed(kes(500))], booked(kes(-500)), Verdict.DIFFERS, Remedy.OTHER_AMOUNT),
        ([listed(kes(500))], booked(usd(500)), Verdict.DIFFERS, Remedy.OTHER_AMOUNT),
        ([listed(kes(500))], booked(None), Verdict.DIFFERS, Remedy.NONE),
        ([listed(kes(500))], {}, Verdict.DIFFERS, Remedy.SUSPENSE),
        ([listed(usd(-500))], {}, Verdict.DIFFERS, Remedy.REVIEW),
        ([listed(kes(500), reference="MINE")], {}, Verdict.DIFFERS, Remedy.LOOK_AGAIN),
        ([listed(kes(500), reference="OTHER")], {}, Verdict.DIFFERS, Remedy.SUSPENSE),
        ([listed(kes(500), at=NOW)], {}, Verdict.MOVING, Remedy.NONE),
        ([listed(kes(500), at=NOW, reference="MINE")], {}, Verdict.MOVING, Remedy.NONE),
        ([listed(kes(500), at=NOW)], booked(kes(499)), Verdict.DIFFERS, Remedy.OTHER_AMOUNT),
        ([listed(usd(2_000))], booked(usd(694)), Verdict.DIFFERS, Remedy.OTHER_AMOUNT),
        ([listed(usd(2_000))], {}, Verdict.MOVING, Remedy.NONE),
        ([listed(usd(-2_000))], {}, Verdict.DIFFERS, Remedy.REVIEW),
        ([], booked(kes(500)), Verdict.DIFFERS, Remedy.NONE),
    ],
)
def test_each_item_has_one_verdict(items, books, verdict: Verdict, remedy: Remedy):
    waiting = frozenset({usd(2_000)})
    (found,) = compare("payments", items, books, claims={"MINE": "op"}, window=WINDOW, awaited=waiting)
    assert (found.verdict, found.remedy) == (verdict, remedy)
    assert remedy is not Remedy.LOOK_AGAIN or found.operation_id == "op"
    assert (verdict is Verdict.AGREES) == (found.words == "")


def test_what_was_booked_before_the_window_is_not_missed():
    before = WINDOW.since - timedelta(seconds=1)
    assert compare("agent", [], booked(usd(500), at=before), claims={}, window=WINDOW) == []


def test_what_was_booked_just_now_is_named_and_not_missed():
    """A list may lag: for some minutes after a start nothing else may be there to compare."""
    (found,) = compare("agent", [], booked(usd(500), at=NOW), claims={}, window=WINDOW)
    assert (found.verdict, found.amount, found.remedy) == (Verdict.NOT_LISTED_YET, usd(500), Remedy.NONE)
    assert is_clean([found]), "a list that always lags a little would keep a gate closed for ever"


def test_a_finding_says_who_paid_as_far_as_the_list_does():
    item = replace(listed(kes(500)), phone_tail="4126")
    (found,) = compare("payments", [item], {}, claims={}, window=WINDOW)
    assert (found.remedy, found.phone_tail) == (Remedy.SUSPENSE, "4126")


@given(
    st.dictionaries(st.integers(1, 40), st.integers(1, 10**6), max_size=30),
    st.sets(st.integers(1, 40)),
    st.sets(st.integers(1, 40)),
)
def test_only_equal_sides_are_clean(amounts: dict[int, int], lost: set[int], forgotten: set[int]):
    theirs = [listed(kes(minor), ref=str(n)) for n, minor in amounts.items() if n not in lost]
    ours = {str(n): Booked(ref=str(n), amount=kes(minor), at=OLD) for n, minor in amounts.items() if n not in forgotten}
    findings = compare("payments", theirs, ours, claims={}, window=WINDOW)
    assert is_clean(findings) == (not (lost ^ forgotten) & amounts.keys())
    differing = {one.ref for one in findings if one.verdict is Verdict.DIFFERS}
    assert differing == {str(n) for n in (lost ^ forgotten) & amounts.keys()}


@pytest.mark.parametrize(
    ("told", "books", "moving", "verdict", "words"),
    [
        (usd(100), usd(100), False, Verdict.AGREES, ""),
        (usd(100), usd(100), True, Verdict.AGREES, ""),
        (usd(101), usd(100), True, Verdict.MOVING, "0.01 more"),
        (usd(101), usd(100), False, Verdict.DIFFERS, "0.01 more"),
        (usd(99), usd(100), False, Verdict.DIFFERS, "0.01 less"),
    ],
)
def test_a_balance_agrees_to_the_cent(told: Money, books: Money, moving: bool, verdict: Verdict, words: str):
    found = compare_balance("deriv_agent", told, books, moving=moving)
    assert found.verdict is verdict
    assert words in found.words
    assert is_clean([found]) == (verdict is Verdict.AGREES)
