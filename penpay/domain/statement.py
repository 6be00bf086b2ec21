"""A Deriv statement as evidence of a movement whose answer was lost: the agent's, or a customer's own.

Source: the Deriv reference, part A12. The statement carries no id of ours for certain, so proof is built from order,
amounts and balances that join without a gap.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from penpay.domain.errors import BadInput
from penpay.domain.money import Currency, Money

_DESCRIPTION = re.compile(r"PP-P[0-9A-HJKMNP-TV-Z]{11}(?![0-9A-Za-z])", re.ASCII)
MOVES_OUT = frozenset({"withdrawal", "transfer"})
"""Actions that bring dollars to somebody else. Which of them Deriv uses for payment agents is not documented."""
MOVES_IN = frozenset({"deposit", "transfer"})
"""The same of dollars from somebody else. Trades, fees and corrections only count where balances have to join."""
_OTHER = frozenset({"buy", "sell", "hold", "release", "adjustment", "virtual_credit"})
_LEAVES = frozenset({"withdrawal", "buy", "hold"})
_ARRIVES = frozenset({"deposit", "sell", "release"})
CLOCK_MARGIN = timedelta(seconds=60)
"""The window of an attempt begins this long before it and ends this long after it has settled: clocks differ."""


def description(reference: str) -> str:
    """What a transfer says of itself: our reference, in letters that Deriv takes and a reader recognises."""
    text = f"PP-{reference}"
    assert _DESCRIPTION.fullmatch(text), "a reference is made by `ids.account_reference`"
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One movement of an account. `amount` is signed: a debit is below zero.

    `payer` and `payee` are logins; Deriv names them for the action `transfer` only, if at all.
    """

    id: int
    at: datetime
    action: str
    amount: Money
    balance_after: Money
    longcode: str = field(default="", repr=False)
    payer: str = ""
    payee: str = ""


def signed_by(action: str, amount: Money) -> Money:
    """An amount as it changed the account, by what happened; as it is written where that does not say."""
    size = abs(amount.minor)
    minor = -size if action in _LEAVES else size if action in _ARRIVES else amount.minor
    return Money(minor, amount.currency)


def with_signs(rows: Sequence[StatementRow], account: str) -> Sequence[StatementRow]:
    """Rows of `account`, in their order, with amounts that say which way they went: they may be written without."""
    ordered = sorted(rows, key=lambda row: row.id)
    changes = {row.id: row.balance_after.minor - before.balance_after.minor for before, row in pairwise(ordered)}
    return [replace(row, amount=_signed(row, account, changes.get(row.id))) for row in rows]


@dataclass(frozen=True, slots=True)
class StatementPage:
    """The rows of one page that can be read, and how many were listed: one that cannot hides no other."""

    rows: Sequence[StatementRow]
    listed: int


def page_of(listed: Sequence[StatementRow | None], account: str) -> StatementPage:
    """A page as listed, newest first; None is a row that nobody can read.

    A transfer that names no side is known by how it left the balance: behind such a row it cannot be read either. Its
    own balance still says which way the one in front of it went, so signs come first.
    """
    blind = {
        row.id
        for row, older in pairwise(listed)
        if row is not None and older is None and row.action == "transfer" and not (row.payer or row.payee)
    }
    signed = with_signs([row for row in listed if row is not None], account)
    return StatementPage([row for row in signed if row.id not in blind], len(listed))


def _signed(row: StatementRow, account: str, change_minor: int | None) -> Money:
    """A transfer goes either way: who paid it decides, or else how it left the balance."""
    amount = signed_by(row.action, row.amount)
    outgoing = Money(-abs(amount.minor), amount.currency)
    if row.action != "transfer":
        return amount
    if account and account in {row.payer, row.payee} and row.payer != row.payee:
        return outgoing if account == row.payer else Money(-outgoing.minor, amount.currency)
    return outgoing if change_minor == outgoing.minor else amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """The account just before an attempt: its newest movement and the balance after it, and Deriv's time.

    `transaction_id` 0: the account had never moved.
    """

    transaction_id: int
    balance: Money
    server_time_at: datetime

    def as_text(self) -> dict[str, str]:
        """What is stored with the attempt."""
        return {
            "transaction_id": str(self.transaction_id),
            "balance_minor": str(self.balance.minor),
            "currency": self.balance.currency.value,
            "server_time_at": self.server_time_at.isoformat(),
        }

    @staticmethod
    def from_text(stored: Mapping[str, str]) -> "Watermark":
        """Read it back; raise `BadInput` when it is none."""
        try:
            balance = Money(int(stored["balance_minor"]), Currency(stored["currency"]))
            at = datetime.fromisoformat(stored["server_time_at"])
            return Watermark(transaction_id=int(stored["transaction_id"]), balance=balance, server_time_at=at)
        except (KeyError, ValueError) as error:
            raise BadInput("watermark", "unreadable") from error

    @property
    def read_since(self) -> datetime:
        """Where a read of the statement has to begin for this attempt."""
        return self.server_time_at - CLOCK_MARGIN


def sent_at(recorded_at: datetime, mark: Mapping[str, str]) -> datetime:
    """When an attempt left, by whichever clock says later: ours wrote the row, Deriv's stands in the mark before it.

    A clock of ours that is behind must not end a settle window before its time.
    """
    marked = [value for name, value in mark.items() if name.endswith("server_time_at")]
    try:
        return max([recorded_at, *map(datetime.fromisoformat, marked)])
    except (ValueError, TypeError):
        return recorded_at


class Found(StrEnum):
    """What one read of the statement says about one attempt."""

    CONFIRMED = "CONFIRMED"
    AMBIGUOUS = "AMBIGUOUS"
    CLEAN = "CLEAN"
    """Nothing there, and balances join up: one of the two reads that absence needs."""
    INCOMPLETE = "INCOMPLETE"
    """Nothing there, but the read proves nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer of one read. `row` is set for CONFIRMED; `proof` names what was seen, without personal data."""

    found: Found
    proof: str
    row: StatementRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRead:
    """Rows newest first, back to the time asked for, and the account's balance as told around the read.

    `complete` False: some of its rows cannot be read. What is there still counts.
    """

    rows: Sequence[StatementRow]
    balances_minor: frozenset[int]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTransfer:
    """What is known of the attempt. `settled_at`: from then on Deriv cannot still be executing it.

    `payer` and `payee` are the logins that it was meant for, whichever of their accounts is read. `credit`: the account
    that is read is the one that receives. `forgotten`: the books went back in time, so movements may speak of
    operations that they no longer know. `strays`: movements that were filed as nobody's; only a person can say that one
    of them is ours.
    """

    amount: Money
    payer: str
    payee: str
    reference: str
    watermark: Watermark
    settled_at: datetime
    credit: bool = False
    forgotten: bool = False
    strays: frozenset[int] = frozenset()


def read_for_transfer(read: StatementRead, lost: LostTransfer, *, used: frozenset[int]) -> Reading:
    """Match a lost transfer (decisions, part 6; Deriv reference A12.6).

    `used` are movements that belong to other operations. A visible reference is certain; without any visible
    reference the only new movement of the exact amount is ours, or the only one that names the other account; two are a
    question for a person.
    """
    moved = lost.amount if lost.credit else Money(-lost.amount.minor, lost.amount.currency)
    free = [row for row in read.rows if row.id not in used]
    ours = [row for row in free if speaks_of(row, lost.reference)]
    if len(ours) > 1 or any(row.amount != moved or row.id in lost.strays or not _may_be(row, lost) for row in ours):
        return Reading(Found.AMBIGUOUS, f"our reference stands in {_names(ours)}")
    if ours:
        return Reading(Found.CONFIRMED, f"reference in the description of {ours[0].id}", ours[0])
    if not read.complete:
        return Reading(Found.INCOMPLETE, "some rows of the statement cannot be read")
    candidates = [
        row
        for row in free
        if row.amount == moved
        and (_may_be(row, lost) or _is_between_others(row, lost))
        and _is_in_window(row, lost)
        and (lost.forgotten or not shows_reference(row))
    ]
    candidates = [row for row in candidates if _names_the_other(row, lost)] or candidates
    doubtful = len(candidates) > 1 or any(not _is_known(row) or _is_between_others(row, lost) for row in candidates)
    doubtful = doubtful or any(shows_reference(row) or row.id in lost.strays for row in read.rows)
    if candidates and doubtful:
        return Reading(Found.AMBIGUOUS, f"movements of this amount without our reference: {_names(candidates)}")
    if candidates:
        return Reading(Found.CONFIRMED, f"the only new movement of this amount is {candidates[0].id}", candidates[0])
    return _absence(read, lost)


def mark_before(read: StatementRead, since: datetime, currency: Currency) -> Watermark:
    """Where the account stood before everything that a complete read shows since then."""
    rows = [row for row in read.rows if row.at >= since - CLOCK_MARGIN]
    if not rows:
        return Watermark(transaction_id=0, balance=Money(min(read.balances_minor), currency), server_time_at=since)
    oldest = min(rows, key=lambda row: row.id)
    before = Money(oldest.balance_after.minor - oldest.amount.minor, oldest.amount.currency)
    return Watermark(transaction_id=oldest.id - 1, balance=before, server_time_at=since)


def _may_be(row: StatementRow, lost: LostTransfer) -> bool:
    """A movement of this kind, and between these two, as far as it says."""
    another_kind = _OTHER | MOVES_OUT - MOVES_IN if lost.credit else _OTHER | MOVES_IN - MOVES_OUT
    return row.action not in another_kind and row.payer in {"", lost.payer} and row.payee in {"", lost.payee}


def _is_between_others(row: StatementRow, lost: LostTransfer) -> bool:
    """It changed the account that is read and names two others: nobody can say whose it is."""
    account = lost.payee if lost.credit else lost.payer
    return bool(row.payer and row.payee) and account not in {row.payer, row.payee}


def _is_known(row: StatementRow) -> bool:
    """Nobody can say what an action is that Deriv does not document: such a row proves nothing, and hides much."""
    return not row.action or row.action in MOVES_IN | MOVES_OUT


def _names_the_other(row: StatementRow, lost: LostTransfer) -> bool:
    return row.payer == lost.payer if lost.credit else row.payee == lost.payee


def _is_in_window(row: StatementRow, lost: LostTransfer) -> bool:
    """New since the attempt, and not so late that only another attempt can have made it."""
    is_new = row.id > lost.watermark.transaction_id and row.at >= lost.watermark.read_since
    return is_new and row.at <= lost.settled_at + CLOCK_MARGIN


def shows_reference(row: StatementRow) -> bool:
    """Whether a row carries the reference of any operation of ours."""
    return _DESCRIPTION.search(row.longcode) is not None


def speaks_of(row: StatementRow, reference: str) -> bool:
    """Whether a row carries this very reference."""
    return any(found == description(reference) for found in _DESCRIPTION.findall(row.longcode))


def _absence(read: StatementRead, lost: LostTransfer) -> Reading:
    """Every balance since the watermark must follow from the rows: an executed transfer cannot hide between them."""
    watermark = lost.watermark
    newer = [row for row in read.rows if row.id > watermark.transaction_id]
    balance_minor = watermark.balance.minor
    for row in reversed(newer):
        balance_minor += row.amount.minor
        if row.balance_after.minor != balance_minor:
            return Reading(Found.INCOMPLETE, f"the balance after {row.id} does not follow from the rows before it")
    reaches_the_end = balance_minor in read.balances_minor or (newer and newer[0].at >= lost.settled_at)
    if not reaches_the_end:
        return Reading(Found.INCOMPLETE, "the newest row does not explain the account's balance")
    newest = newer[0].id if newer else watermark.transaction_id
    proof = f"{len(newer)} rows after {watermark.transaction_id} up to {newest}, balances continuous"
    return Reading(Found.CLEAN, proof)


def _names(rows: Sequence[StatementRow]) -> str:
    return ", ".join(str(row.id) for row in rows)
