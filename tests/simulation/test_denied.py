"""Whoever paid and was told that they had not is named, whatever is found later; nobody else is."""

from dataclasses import dataclass, field
from math import inf

import pytest

from penpay.domain.fx import Direction
from penpay.simulation.lookout import Failure
from penpay.simulation.play import play
from penpay.simulation.safeguards import SAFEGUARDS
from penpay.simulation.truth import Payment, Push
from penpay.simulation.verdict import PAYABLE_S, Effects, denied
from penpay.simulation.world import Seed, World

PUSHED_S, LONG_S = 10.0, 10.0 + PAYABLE_S + 20.0
QUERY, CALLBACK = '{"code":"1032","source":"query"}', '{"code":"1032","source":"callback"}'


@dataclass(frozen=True, kw_only=True)
class Case:
    """A push at 10 s, what its payer did, and what its deposit failed on. Seconds of the world."""

    named: bool
    paid_s: float = 12.0
    event: str = "PullClean"
    data: str = "{}"
    failed_s: float = LONG_S
    refused_s: list[float] = field(default_factory=list)
    lists: list[tuple[float, float]] = field(default_factory=list)
    callback_denied: bool = False
    jumped_s: float = inf


CASES = {
    "a list that was read behind the payment": Case(named=True, lists=[(LONG_S - 1, LONG_S - 1)]),
    "paid late, and behind the last list": Case(named=False, paid_s=LONG_S - 1, lists=[(LONG_S - 2, LONG_S - 2)]),
    "paid late, and the list was behind": Case(named=False, paid_s=LONG_S - 5, lists=[(LONG_S - 1, LONG_S - 9)]),
    "paid late, and an earlier list was not": Case(named=True, paid_s=15, lists=[(LONG_S - 1, 16), (inf, inf)]),
    "no list at all": Case(named=True, event="Woke"),
    "paid behind the end": Case(named=False, event="Woke", paid_s=LONG_S + 1),
    "a query behind the payment": Case(named=True, event="MpesaRefused", data=QUERY, refused_s=[LONG_S - 1]),
    "a query while the prompt was there": Case(
        named=True, event="MpesaRefused", data=QUERY, paid_s=14, failed_s=13, refused_s=[12]
    ),
    "paid late, and behind the last query": Case(
        named=False, event="MpesaRefused", data=QUERY, paid_s=LONG_S - 1, refused_s=[LONG_S - 2, LONG_S + 1]
    ),
    "a callback that contradicts": Case(
        named=False, event="MpesaRefused", data=CALLBACK, failed_s=13, callback_denied=True
    ),
    "a query beside a callback that contradicts": Case(
        named=True, event="MpesaRefused", data=QUERY, failed_s=13, refused_s=[12.5], callback_denied=True
    ),
    "a callback that nobody posted": Case(named=True, event="MpesaRefused", data=CALLBACK, failed_s=13),
    "a clock that had jumped, while the prompt was there": Case(
        named=False, event="MpesaRefused", data=QUERY, paid_s=14, failed_s=13, refused_s=[12], jumped_s=11
    ),
    "a clock that jumped, and a payment that the list had": Case(
        named=True, lists=[(LONG_S - 1, LONG_S - 1)], jumped_s=11
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_paid_and_was_told_otherwise_is_named_where_it_could_be_known(name):
    case, world = CASES[name], World(Seed(1, faults=()))
    push = Push("ws_CO_1", "", 100, "P1", "", PUSHED_S, code="0", receipt="R1", denied=case.callback_denied)
    push.refused_s += case.refused_s
    world.truth.pushes["ws_CO_1"] = push
    world.truth.lists += case.lists
    world.jumped_s = case.jumped_s
    world.lookout.failures["D1"].append(Failure(case.event, case.data, case.failed_s))
    payment = Payment("R1", "ws_CO_1", "", 100, "P1", case.paid_s)
    said = list(denied(world, "D1", Effects(payments=[payment], transfers=[], debits=[], payouts_minor=[])))
    world.end()
    assert len(said) == case.named
    assert all(line.startswith("D1 was paid after") for line in said)


def _one(always, without=""):
    """A deposit alone, whose payer takes two seconds, and what always befalls it."""
    twists = {"twists": SAFEGUARDS[without].twists} if without else {}
    return play(Seed(3, always=always, faults=(), only=Direction.DEPOSIT, storied=True, **twists))


def test_a_premature_query_fails_nobody_with_the_grace_and_is_named_without_it():
    always = ("query.premature_failure", "callback.lost")
    assert _one(always).wrong == ()
    assert any("failed by MpesaRefused" in line for line in _one(always, without="grace").wrong)


def test_a_lost_answer_fails_nobody_behind_a_clean_list_and_is_named_without_it():
    always = ("daraja.lost_answer", "callback.lost")
    assert _one(always).wrong == ()
    assert any("failed by Woke" in line for line in _one(always, without="clean_list").wrong)


def test_a_callback_that_contradicts_the_payment_is_no_fault_of_ours():
    contradicted = _one(("callback.contradicts",))
    assert any("FAILED" in line for _, line in contradicted.story)
    assert contradicted.wrong == ()
