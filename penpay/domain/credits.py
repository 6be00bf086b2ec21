"""Credits on the agent's account, and whose debits they are the other side of. Each credit counts once.

Deriv's stream names no counterparty, and whether a statement's text does is not certain: what is visible decides first,
amounts and their number decide the rest, and nobody guesses.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from penpay.domain.errors import BadInput
from penpay.domain.ids import account_reference
from penpay.domain.money import Currency, Money
from penpay.domain.statement import CLOCK_MARGIN, MOVES_IN, StatementRow, shows_reference, speaks_of

_LOGIN = re.compile(r"\b(?:CR|MF|MLT|VRTC|VRW)[A-Z]*[0-9]+\b", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A debit that waits for its other side, which is dated between `since` and `until`.

    `after_id`: the agent's newest movement before it, 0 when not known.
    """

    operation_id: str
    loginid: str
    amount: Money
    since: datetime
    until: datetime
    after_id: int = 0


class Seen(StrEnum):
    """What the agent's account says to one debit."""

    CONFIRMED = "CONFIRMED"
    PENDING = "PENDING"
    """Not there yet, or fewer credits than debits of this amount: whose they are will show."""
    AMBIGUOUS = "AMBIGUOUS"
    """More credits than debits of this amount."""


@dataclass(frozen=True, slots=True)
class Match:
    """`credit` is set for CONFIRMED. `proof` holds nothing personal."""

    seen: Seen
    proof: str
    credit: StatementRow | None = None


def credits_of(rows: Iterable[StatementRow]) -> Sequence[StatementRow]:
    """The credits among movements, oldest first."""
    found = [row for row in rows if row.amount.minor > 0 and row.action in MOVES_IN]
    return sorted(found, key=lambda row: row.id)


def match_credits(
    rows: Sequence[StatementRow],
    awaited: Sequence[Awaited],
    *,
    owners: Mapping[int, str],
    agent: str,
    complete: bool = True,
) -> Mapping[str, Match]:
    """What to answer to each awaited debit, by operation. `owners`: operations to which credits belong already.

    `agent` is our own login, which says nothing about a counterparty. Not `complete`: there are credits that nobody can
    read, so their number says nothing.
    """
    matches: dict[str, Match] = {}
    mine = {owner: row for row in rows if (owner := owners.get(row.id))}
    for debit in awaited:
        if debit.operation_id in mine:
            matches[debit.operation_id] = Match(Seen.CONFIRMED, "given to it before", mine[debit.operation_id])
    waiting = [debit for debit in awaited if debit.operation_id not in matches]
    free = [row for row in rows if row.id not in owners and row.payee in {"", agent}]
    _match_by_text(free, waiting, matches, agent=agent)
    given = {match.credit.id for match in matches.values() if match.credit is not None}
    by_amount: defaultdict[Money, list[Awaited]] = defaultdict(list)
    for debit in waiting:
        if debit.operation_id not in matches:
            by_amount[debit.amount].append(debit)
    nameless = [row for row in free if row.id not in given and not _is_named(row, agent)]
    for amount, debits in by_amount.items():
        if not complete:
            unread = Match(Seen.PENDING, "some rows of the statement cannot be read")
            matches |= {debit.operation_id: unread for debit in debits}
            continue
        matches |= _match_by_number([row for row in nameless if row.amount == amount], debits)
    return matches


def match_late_credits(
    rows: Sequence[StatementRow],
    reviewed: Sequence[Awaited],
    open_: Sequence[Awaited],
    *,
    owners: Mapping[int, str],
    agent: str,
    complete: bool = True,
) -> Mapping[str, Match]:
    """The same for debits that people look at because their credits had not come: open debits go before them.

    Whoever waits by itself keeps every credit that it can have made; what is left is given as any other.
    """
    left = [row for row in rows if not any(_may_have_made(debit, row, agent) for debit in open_)]
    return match_credits(left, reviewed, owners=owners, agent=agent, complete=complete)


def _may_have_made(debit: Awaited, row: StatementRow, agent: str) -> bool:
    if not _fits(row, debit):
        return False
    if shows_reference(row):
        return speaks_of(row, account_reference(debit.operation_id))
    named = _logins(row, agent)
    return not named or debit.loginid in named


def _match_by_text(
    free: Sequence[StatementRow], waiting: Sequence[Awaited], matches: dict[str, Match], *, agent: str
) -> None:
    """A reference of ours is certain. A login is, for the oldest debit of that customer and amount."""
    given: set[int] = set()
    for debit in sorted(waiting, key=lambda one: one.since):
        fitting = [row for row in free if row.id not in given and _fits(row, debit)]
        reference = account_reference(debit.operation_id)
        spoken = [row for row in fitting if speaks_of(row, reference)]
        named = [row for row in fitting if debit.loginid in _logins(row, agent) and not shows_reference(row)]
        found = spoken or named
        if found:
            how = "carries our reference" if spoken else "names the customer's account"
            matches[debit.operation_id] = Match(Seen.CONFIRMED, f"credit {found[0].id} {how}", found[0])
            given.add(found[0].id)


def _match_by_number(rows: Sequence[StatementRow], debits: Sequence[Awaited]) -> Mapping[str, Match]:
    """A credit that one debit only can have made is its own; the rest oldest to oldest, when as many of each are left.

    More credits than the debits can have made are a question about all of them: one is somebody else's.
    """
    rest = sorted(debits, key=lambda debit: (debit.since, debit.operation_id))
    fitting = [row for row in rows if any(_fits(row, debit) for debit in rest)]
    counted = f"{len(fitting)} credits for {len(rest)} debits of this amount"
    ambiguous = {debit.operation_id: Match(Seen.AMBIGUOUS, counted) for debit in debits}
    found: dict[str, Match] = {}
    while True:
        makers = [(row, [debit for debit in rest if _fits(row, debit)]) for row in fitting]
        if len(fitting) > len(rest) or not all(able for _, able in makers):
            return ambiguous
        alone = next(((row, able[0]) for row, able in makers if len(able) == 1), None)
        if alone is None:
            break
        row, debit = alone
        found[debit.operation_id] = Match(Seen.CONFIRMED, f"{counted}: {row.id}", row)
        fitting.remove(row)
        rest.remove(debit)
    if len(fitting) < len(rest):
        return found | {debit.operation_id: Match(Seen.PENDING, counted) for debit in rest}
    pairs = list(zip(rest, fitting, strict=True))
    if not all(_fits(row, debit) for debit, row in pairs):
        return ambiguous
    return found | {debit.operation_id: Match(Seen.CONFIRMED, f"{counted}: {row.id}", row) for debit, row in pairs}


def _fits(row: StatementRow, debit: Awaited) -> bool:
    in_time = debit.since - CLOCK_MARGIN <= row.at <= debit.until + CLOCK_MARGIN
    return row.id > debit.after_id and in_time and row.amount == debit.amount and row.payer in {"", debit.loginid}


def _is_named(row: StatementRow, agent: str) -> bool:
    """The row says whose it is. Who waits and is not named by it has no claim on it."""
    return shows_reference(row) or bool(_logins(row, agent))


def _logins(row: StatementRow, agent: str) -> frozenset[str]:
    """Who paid, where the row says it; otherwise whom its text names besides us."""
    return frozenset([row.payer] if row.payer else _LOGIN.findall(row.longcode)) - {agent}


# --- a credit that nobody claims ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedCredit:
    """Body of an inbox row of kind `credit`: dollars that arrived at the agent and that no operation claims."""

    transaction_id: str
    amount: Money
    at: datetime
    longcode: str = field(default="", repr=False)


def encode_credit(credit: UnmatchedCredit) -> bytes:
    """Canonical: the same credit gives the same bytes."""
    body = {
        "transaction_id": credit.transaction_id,
        "amount_minor": credit.amount.minor,
        "currency": credit.amount.currency.value,
        "at": credit.at.isoformat(),
        "longcode": credit.longcode,
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_credit(body: bytes) -> UnmatchedCredit:
    """Read such a body; raise `BadInput` when it is none."""
    try:
        raw = json.loads(body)
        transaction_id, minor, longcode = raw["transaction_id"], raw["amount_minor"], raw["longcode"]
        amount, at = Money(minor, Currency(raw["currency"])), datetime.fromisoformat(raw["at"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput("credit", "not a credit of the agent") from error
    if type(transaction_id) is not str or type(longcode) is not str or type(minor) is not int or minor <= 0:
        raise BadInput("credit", "a field has the wrong type")
    if at.tzinfo is None:
        raise BadInput("credit", "a time without a zone")
    return UnmatchedCredit(transaction_id=transaction_id, amount=amount, at=at, longcode=longcode)
