"""What people copy from a table stands there whole, also on a narrow terminal or in a pipe."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from penpay.domain.accounts import TimelineStep
from penpay.domain.money import usd
from penpay.domain.overview import Late
from penpay.domain.reconciliation import Finding, Remedy, Verdict
from penpay.domain.review import Action, Approval, ReviewItem
from penpay.domain.review_view import Preview, Subject
from penpay.domain.story import Story
from penpay.domain.timeline import Deadlines
from penpay.explain import show as show_story
from penpay.explain import show_oldest
from penpay.operator import show_tree
from penpay.reconcile import Report
from penpay.reconcile import show as show_report
from penpay.review import show_items, show_preview
from tests.commands.test_reviewing import TRANSACTION, operation, rows

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ITEM = "01KAF0Z3T9V5N5W6H3C8Q2YB7F"
OTHER = "01KAF0Z3T9V5N5W6H3C8Q2YB8A"
REASON = "Deriv refused, and what it says is long enough for two lines or three"
MARKS = "[/tmp/x] [b'abc', None] [red]"
"""What exceptions, providers and colleagues write, and what our own colours are written with."""


SOON = Deadlines()


def item(reason: str = REASON) -> ReviewItem:
    return ReviewItem(
        id=ITEM,
        shard=0,
        transaction_id=TRANSACTION,
        operation_id="",
        kind="deriv_refused",
        reason=reason,
        owner_role="OPS",
        opened_at=AT,
        due_at=AT + timedelta(hours=4),
    )


def on_paper(width: int = 300) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=width), text


def open_item(reason: str = REASON) -> Subject:
    return Subject(item=item(reason), row=rows().row)


def test_nothing_of_an_open_item_is_cut() -> None:
    console, text = on_paper(80)
    show_items(console, [open_item()], AT)
    said = text.getvalue()
    whole = (ITEM, TRANSACTION, "2026-11-20T13:00:00.000Z", "OPS", "0 min", "DEPOSIT IN_REVIEW", "1300.00 KES")
    assert [words for words in whole if words not in said] == []
    assert [word for word in REASON.split() if word not in said] == []


def test_an_amount_that_differs_is_not_cut() -> None:
    console, text = on_paper(80)
    told_by_long_amounts(console)
    assert "100002332.31 USD" in text.getvalue()
    assert "115761.00" in text.getvalue()


def same_money_shown(console: Console, item_: ReviewItem) -> None:
    show_items(console, [Subject(item=item_)], AT)
    show_preview(console, Preview(item=item_, action="settle", approval="A B and C D"))
    show_preview(console, Preview(item=item_, action="settle", approval="A B and C D", refusal="no"))
    show_story(console, story(questions=[item_]), SOON)


def test_the_oldest_open_transactions_are_shown_whole_with_their_ages() -> None:
    console, text = on_paper(60)
    created_at = AT - timedelta(hours=3, minutes=5)
    show_oldest(console, [Late(TRANSACTION, "DEPOSIT", "DERIV_UNKNOWN", usd(966), created_at, AT)], AT)
    assert TRANSACTION in text.getvalue()
    for word in ("DEPOSIT", "DERIV_UNKNOWN", "9.66 USD", "3 h 5 min"):
        assert word in " ".join(text.getvalue().split())


def test_what_may_be_the_same_money_is_named_wherever_a_question_is_shown() -> None:
    console, text = on_paper(80)
    missing = replace(item(), id=OTHER, kind="receipt_missing")
    told = {"ref": "TK4ARHC36G", "amount": "1300.00", "currency": "KES", "at": "2026-11-20T09:00:00.000Z"}
    stray = replace(item(), transaction_id="", kind="payment_unmatched", evidence=told, same_money=(missing,))
    same_money_shown(console, stray)
    named = [line for line in text.getvalue().splitlines() if f"receipt_missing {OTHER} {TRANSACTION}" in line]
    assert len(named) == 4
    assert all("settle the listed payment with its own receipt" in line for line in named)
    console, text = on_paper(80)
    same_money_shown(console, item())
    assert "same money" not in text.getvalue()


def told_by_long_amounts(console: Console) -> None:
    words = "the provider has 115761.00 less than our books"
    show_report(console, Report([differing(ref="deriv_agent", words=words, amount=usd(10_000_233_231), at=AT)]))


def told_by_long_evidence(console: Console) -> None:
    data = {"checkout_request_id": "ws_CO_28112026124001000001974", "amount": "15.01"}
    step = TimelineStep(at=AT, from_state="PAID", event="DerivOutcomeUnknown", to_state="DERIV_UNKNOWN", data=data)
    paid = replace(operation("CONFIRMED", 1, 0), provider_ref="AG_20261128_000000000000000000001974")
    show_story(console, story(steps=[step], operations=[paid], questions=[item()]), SOON)


@pytest.mark.parametrize("told", [told_by_long_amounts, told_by_long_evidence])
def test_no_table_is_cut_at_the_edge_of_a_narrow_terminal(told: Any) -> None:
    """Ids may go on in the next line, and miss no letter."""
    console, text = on_paper(80)
    told(console)
    rows_of_tables = [line for line in text.getvalue().splitlines() if line.startswith(("│", "┃", "┏", "┡", "└"))]
    assert rows_of_tables
    assert [line for line in rows_of_tables if line[-1] not in "│┃┓┩┘"] == []


def differing(**about: Any) -> Finding:
    return Finding(source="balance", verdict=Verdict.DIFFERS, **about)


def told_by_tree(console: Console) -> None:
    member = {"path": "penpay/jobs", "kind": "job", "state": "running", "restarts": 1, "mailbox_depth": 0}
    show_tree(console, {**member, "oldest_message_s": 0, "last_failure": MARKS, "children": []})


def told_by_job(console: Console) -> None:
    member = {"path": "penpay/jobs/invariants", "kind": "job", "state": "running", "restarts": 0, "mailbox_depth": 0}
    observed = {"observed": {"runs": 7, "last": MARKS}}
    show_tree(console, {**member, **observed, "oldest_message_s": 0, "last_failure": None, "children": []})


def told_by_ill_actor(console: Console) -> None:
    member = {"path": "penpay/shards/0/ledger", "kind": "ledger", "state": "running", "restarts": 0, "mailbox_depth": 0}
    observed = {"observed": {"epoch": 3, "problem": MARKS}}
    show_tree(console, {**member, **observed, "oldest_message_s": 0, "last_failure": None, "children": []})


def told_by_list(console: Console) -> None:
    show_items(console, [open_item(MARKS)], AT)


def told_by_preview(console: Console) -> None:
    show_preview(console, Preview(item=item(), action=Action.CLOSE, approval=Approval("A B", "C D", MARKS).text()))


def told_by_refusal(console: Console) -> None:
    show_preview(console, Preview(item=item(), action=Action.CLOSE, approval="A B and C D", refusal=MARKS))


def told_by_comparison(console: Console) -> None:
    show_report(console, Report([differing(ref="71", words=MARKS)]))


def test_balances_are_shown_also_where_they_agree() -> None:
    """An alert that one is low begins here."""
    low = Finding(source="balance", ref="deriv_agent", verdict=Verdict.AGREES, words="", amount=usd(199_999))
    untold = Finding(source="balance", ref="mpesa_utility", verdict=Verdict.NOT_TOLD, words="never told")
    console, text = on_paper(120)
    show_report(console, Report([low, untold]))
    assert "deriv_agent 1999.99 USD" in text.getvalue()
    assert Report([low, untold]).as_json()["balances"] == {"deriv_agent": {"amount": "1999.99", "currency": "USD"}}


@pytest.mark.parametrize(("acted", "title"), [(True, "what was done"), (False, "what would be done")])
def test_a_comparison_that_does_nothing_does_not_say_that_it_did(title: str, *, acted: bool) -> None:
    console, text = on_paper(120)
    show_report(console, Report([differing(ref="71", words="", remedy=Remedy.SUSPENSE)], acted=acted))
    assert title in text.getvalue()


def told_by_steps(console: Console) -> None:
    step = TimelineStep(at=AT, from_state="PAID", event="DerivRefused", to_state="IN_REVIEW", data={"code": MARKS})
    show_story(console, story(steps=[step]), SOON)


def told_by_operations(console: Console) -> None:
    show_story(console, story(operations=[replace(operation("REFUSED", 1, 1), code=MARKS)]), SOON)


def told_by_questions(console: Console) -> None:
    show_story(console, story(questions=[item(MARKS)]), SOON)


def story(**other: Any) -> Story:
    empty: dict[str, Any] = {"operations": [], "steps": [], "legs": [], "questions": [], "unconsumed": 0}
    return Story(row=rows().row, **{**empty, **other})


@pytest.mark.parametrize(
    "told",
    [
        told_by_tree,
        told_by_job,
        told_by_ill_actor,
        told_by_list,
        told_by_preview,
        told_by_refusal,
        told_by_comparison,
        told_by_steps,
        told_by_operations,
        told_by_questions,
    ],
    ids=lambda told: told.__name__.removeprefix("told_by_"),
)
def test_words_of_others_are_shown_as_they_are_and_break_nothing(told: Any) -> None:
    console, text = on_paper()
    told(console)
    assert MARKS in text.getvalue()
