"""A customer's statement of account: Nairobi days, one line per transaction, and what we held before and after.

The days are Nairobi's, the times of the lines are in UTC as everywhere on the wire.
Pure: the edge reads the rows, an adapter draws the page. Source: contract.md part 3.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from penpay.domain.errors import BadInput
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.money import Currency, Money
from penpay.domain.presentation import evidence_of, rate_text, time_text
from penpay.domain.unit import TransactionRow

NAIROBI = timezone(timedelta(hours=3), "EAT")
COLUMNS = (
    *("time", "type", "transaction", "status"),
    *("sent", "sent_currency", "received", "received_currency", "rate_kes_per_usd"),
    *("mpesa_receipt", "deriv_transaction", "held_kes", "held_usd"),
)
OPENING = "OPENING"
CLOSING = "CLOSING"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT.+(Z|[+-]\d\d:\d\d)", re.ASCII)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Held = Mapping[Currency, int]
"""Minor units of a customer's money that is with us: paid in and not yet delivered or given back."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole Nairobi days, both included."""

    first: date
    last: date

    @property
    def from_at(self) -> datetime:
        """The first moment, in UTC."""
        return _midnight(self.first)

    @property
    def to_at(self) -> datetime:
        """The first moment after, in UTC."""
        return _midnight(self.last + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=NAIROBI).astimezone(UTC)


def period_of(first: str | None, last: str | None, *, now: datetime, days_max: int) -> Period:
    """The asked days, of which none lies behind today; by default this month. Raises `BadInput`."""
    today = now.astimezone(NAIROBI).date()
    until = min(today, _day(last, "to")) if last is not None else today
    since = _day(first, "from") if first is not None else until.replace(day=1)
    if since > until:
        raise BadInput("from", "must not lie behind `to` or today")
    if (until - since).days >= days_max:
        raise BadInput("from", f"must lie at most {days_max} days before `to`")
    return Period(since, until)


def _day(text: str, field: str) -> date:
    """A day, or the day of Nairobi in which a time with its zone lies."""
    try:
        day = _of_time(text) if _TIME.fullmatch(text) else date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except (ValueError, OverflowError):
        day = None
    if day is None or not 2000 <= day.year < 3000:
        raise BadInput(field, "must be a day like 2026-11-20, or a time with its zone")
    return day


def _of_time(text: str) -> date:
    return datetime.fromisoformat(text).astimezone(NAIROBI).date()


def line_of(row: TransactionRow) -> tuple[str, ...]:
    """A transaction as a line of `COLUMNS`."""
    rate = LockedRate(Direction(row.type), row.mid_rate_e6, row.spread_e6)
    evidence = evidence_of(row)
    return (
        *(time_text(row.created_at), row.type, row.id, row.status),
        *(row.send.text(), row.send.currency.value, row.receive.text(), row.receive.currency.value),
        rate_text(rate.rate_e6),
        evidence.get("mpesa_receipt", ""),
        evidence.get("deriv_transaction_id", ""),
        *("", ""),
    )


def held_line(kind: str, at: datetime, held: Held) -> tuple[str, ...]:
    """The first or the last line: what we held of the customer's money then."""
    amounts = (Money(held.get(currency, 0), currency).text() for currency in (Currency.KES, Currency.USD))
    return (time_text(at), kind, *[""] * 9, *amounts)


def csv_bytes(lines: Iterable[Sequence[str]]) -> bytes:
    """Lines for a spreadsheet, in which no value can be taken for a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([plain(value) for value in line] for line in lines)
    return text.getvalue().encode()


def plain(value: str) -> str:
    """The value, marked as text when a spreadsheet would compute it."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def totals(rows: Iterable[TransactionRow]) -> dict[str, tuple[int, dict[Currency, int], dict[Currency, int]]]:
    """Per direction: how many completed, and what they sent and received."""
    found: dict[str, tuple[int, dict[Currency, int], dict[Currency, int]]] = {}
    for row in rows:
        if row.status == "COMPLETED":
            count, sent, received = found.get(row.type, (0, {}, {}))
            sent[row.send.currency] = sent.get(row.send.currency, 0) + row.send.minor
            received[row.receive.currency] = received.get(row.receive.currency, 0) + row.receive.minor
            found[row.type] = (count + 1, sent, received)
    return found
