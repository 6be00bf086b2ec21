"""Providers' lists against our books, item by item, to the cent. Source: faults.md F108, I24, I25.

Every movement of the provider is in the books with the same amount, and every booking is in the provider's list. What
is too young to be judged is neither: it is on its way.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from penpay.domain.money import Money

REACH = timedelta(hours=47)
"""How far back Safaricom's list is read: it lists 48 hours; an hour for clocks."""


class Verdict(StrEnum):
    """What a comparison found."""

    AGREES = "agrees"
    MOVING = "moving"
    """Money is on its way: no difference, and no agreement either."""
    DIFFERS = "differs"
    NOT_LISTED_YET = "not listed yet"
    """In the books, and too young for a list that lags: no difference, and nothing that a gate waits for."""
    NOT_TOLD = "not told"
    """The provider could not be asked, so nothing is known."""


class Remedy(StrEnum):
    """What is done about a difference."""

    NONE = ""
    LOOK_AGAIN = "its transaction looks again"
    """The money belongs to an operation of ours whose evidence got lost."""
    SUSPENSE = "booked to suspense, a review is open"
    REVIEW = "a review is open"
    """Money left that no operation of ours explains: it cannot be booked without a person."""
    OTHER_AMOUNT = "a review of both amounts is open"
    """Our books hold another amount under the provider's id: nothing is booked before people know why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One movement in a provider's list; `amount` is signed, what leaves us is below zero."""

    ref: str
    amount: Money
    at: datetime
    reference: str = ""
    """What it says of itself: the reference of one of our operations, if any."""
    phone_tail: str = ""
    """The last digits of who paid, as far as the provider shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A provider's id that our books used up. `amount` is None when it was recorded and not booked."""

    ref: str
    amount: Money | None
    at: datetime
    """When it happened at the provider, as well as we know."""
    transaction_id: str = ""
    """The customer's transaction that it was booked for, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome for one item, or for one balance."""

    source: str
    ref: str
    verdict: Verdict
    words: str
    amount: Money | None = None
    at: datetime | None = None
    remedy: Remedy = Remedy.NONE
    operation_id: str = ""
    """The operation of ours that a movement names, if any."""
    phone_tail: str = ""
    mine: Booked | None = None
    """What our books hold under its id."""
    answered: int = 0
    """How often people have answered a question about the same two amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when on the list is complete, and from when on an item is too young to be judged."""

    since: datetime
    settled_at: datetime


def compare(
    source: str,
    listed: Iterable[Listed],
    booked: Mapping[str, Booked],
    *,
    claims: Mapping[str, str],
    window: Window,
    awaited: frozenset[Money] = frozenset(),
    complete: bool = True,
) -> list[Finding]:
    """Both anti-joins. `booked` holds what was booked for any listed id, and everything booked within the window.

    `claims`: operations of ours by the reference that an item may name. `awaited`: signed amounts that operations of
    ours still wait for; their own evidence decides whose they are. A list that is not `complete` says nothing about
    what is missing from it.
    """
    items = list(listed)
    judged = [_judged(source, item, booked.get(item.ref), claims, window) for item in items]
    findings = [_waited_for(one) if _is_nobodys(one) and one.amount in awaited else one for one in judged]
    if complete:
        findings += _missing(source, {item.ref for item in items}, booked, window)
    return findings


def _judged(source: str, item: Listed, mine: Booked | None, claims: Mapping[str, str], window: Window) -> Finding:
    verdict, words, remedy, operation_id = Verdict.DIFFERS, "", Remedy.NONE, claims.get(item.reference, "")
    if mine is not None and mine.amount == item.amount:
        verdict = Verdict.AGREES
    elif mine is not None and mine.amount is not None:
        words, remedy = f"booked as {mine.amount.text()}", Remedy.OTHER_AMOUNT
    elif mine is not None:
        words = "recorded as evidence, and not booked"
    elif item.at > window.settled_at:
        verdict, words = Verdict.MOVING, "may be on its way into the books"
    elif operation_id:
        words, remedy = "the receipt is in no booking of ours, and names an operation of ours", Remedy.LOOK_AGAIN
    elif item.amount.minor > 0:
        words, remedy = "arrived, and nothing of ours explains it", Remedy.SUSPENSE
    else:
        words, remedy = "left, and nothing of ours explains it", Remedy.REVIEW
    return Finding(
        source=source,
        ref=item.ref,
        verdict=verdict,
        words=words,
        amount=item.amount,
        at=item.at,
        remedy=remedy,
        operation_id=operation_id,
        phone_tail=item.phone_tail,
        mine=mine,
    )


def _is_nobodys(finding: Finding) -> bool:
    return bool(finding.remedy) and finding.mine is None and not finding.operation_id


def _waited_for(finding: Finding) -> Finding:
    words = "an operation of ours waits for this amount"
    return replace(finding, verdict=Verdict.MOVING, words=words, remedy=Remedy.NONE)


def _missing(source: str, listed: set[str], booked: Mapping[str, Booked], window: Window) -> Iterator[Finding]:
    for mine in booked.values():
        if mine.ref in listed or mine.at < window.since:
            continue
        verdict, words = Verdict.DIFFERS, "booked, and the provider does not list it"
        if mine.at > window.settled_at:
            verdict, words = Verdict.NOT_LISTED_YET, "booked, and too young to be missed in the provider's list"
        yield Finding(source=source, ref=mine.ref, verdict=verdict, words=words, amount=mine.amount, at=mine.at)


def compare_balance(account: str, told: Money, books: Money, *, moving: bool) -> Finding:
    """A provider's balance against the sum of our accounts. `moving`: an operation on it has no end yet."""
    gap_minor = told.minor - books.minor
    verdict = Verdict.AGREES if not gap_minor else Verdict.MOVING if moving else Verdict.DIFFERS
    gap = "" if not gap_minor else f"the provider has {Money(abs(gap_minor), told.currency).text()} "
    words = f"{gap}{'more' if gap_minor > 0 else 'less'} than our books" if gap_minor else ""
    return Finding(source="balance", ref=account, verdict=verdict, words=words, amount=told)


def not_told(source: str, ref: str, reason: str) -> Finding:
    """A list, a part of it or a balance that could not be had."""
    return Finding(source=source, ref=ref, verdict=Verdict.NOT_TOLD, words=reason)


def is_clean(findings: Iterable[Finding]) -> bool:
    """Whether everything was compared and agrees: only then may money leave again after a recovery."""
    return all(finding.verdict in {Verdict.AGREES, Verdict.NOT_LISTED_YET} for finding in findings)
