"""What whoever is on duty asks first: what needs a decision, what is broken, what is getting old, which rail is ill."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penpay.domain.board import Board, FloatSnapshot
from penpay.domain.money import Currency, Money
from penpay.domain.presentation import rate_text, time_text

LATE_MAX = 20
"""Open transactions that are listed one by one, the oldest first."""
_RAILS = ("daraja", "deriv")
_USD_FLOAT = "deriv_agent"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Open transactions of one type in one stage."""

    type: str
    stage: str
    count: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class Late:
    """One open transaction."""

    id: str
    type: str
    stage: str
    send: Money
    created_at: datetime
    updated_at: datetime

    def rendered(self, now: datetime) -> dict[str, Any]:
        """For machines."""
        return {
            "id": self.id,
            "type": self.type,
            "stage": self.stage,
            "send": self.send.wire(),
            "created_at": time_text(self.created_at),
            "updated_at": time_text(self.updated_at),
            "age_s": _age_s(self.created_at, now),
        }


@dataclass(frozen=True, slots=True)
class Desk:
    """Open questions to one role."""

    owner_role: str
    open: int
    overdue: int
    next_due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What the database knows of everything that has not ended. `outbox_since` is None when all was relayed."""

    backlog: Sequence[Backlog]
    late: Sequence[Late]
    desks: Sequence[Desk]
    unknown: Mapping[str, int]
    outbox_since: datetime | None

    def rendered(self, now: datetime) -> dict[str, Any]:
        """For machines."""
        return {
            "transactions": [
                {
                    "type": one.type,
                    "stage": one.stage,
                    "count": one.count,
                    "oldest_at": time_text(one.oldest_at),
                    "oldest_s": _age_s(one.oldest_at, now),
                }
                for one in self.backlog
            ],
            "oldest": [one.rendered(now) for one in self.late],
            "reviews": [
                {
                    "owner_role": one.owner_role,
                    "open": one.open,
                    "overdue": one.overdue,
                    "next_due_at": time_text(one.next_due_at),
                }
                for one in self.desks
            ],
            "unknown_outcomes": dict(self.unknown),
            "outbox": {"lag_s": _age_s(self.outbox_since, now) if self.outbox_since is not None else 0},
        }


NOTHING_KNOWN: Mapping[str, Any] = dict.fromkeys(("transactions", "oldest", "reviews", "unknown_outcomes", "outbox"))
"""While the database is away: nobody knows, which is not the same as nothing."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is known of the invariants: rows that break each, and those that the last round over everything left open.

    When all questions about what is new, and about everything, were last asked; None before the first time.
    """

    counts: Mapping[str, int]
    unanswered: Collection[str]
    news_at: datetime | None
    everything_at: datetime | None

    def rendered(self, now: datetime) -> dict[str, Any]:
        """For machines."""
        broken = {name: count for name, count in sorted(self.counts.items()) if count}
        return {
            "news_age_s": _age_s(self.news_at, now) if self.news_at is not None else None,
            "everything_age_s": _age_s(self.everything_at, now) if self.everything_at is not None else None,
            "held": len(self.counts.keys() - broken.keys() - set(self.unanswered)),
            "broken": broken,
            "unanswered": sorted(self.unanswered),
        }


def render_board(board: Board, now: datetime) -> dict[str, Any]:
    """What this node knows of the outside: rails with their reasons, the rate, balances, and closed gates."""
    rails = {name: board.rail(name) for name in _RAILS}
    return {
        "rails": {name: {"up": health.up, "reason": health.reason} for name, health in rails.items()},
        "fx": _fx(board, now),
        "floats": {name: _float(name, seen, now) for name, seen in sorted(board.floats.items())},
        "gates": {str(shard): reason for shard, reason in sorted(board.closed_shards.items())},
    }


def _fx(board: Board, now: datetime) -> dict[str, Any] | None:
    fx = board.fx
    if fx is None:
        return None
    return {
        "mid_rate": rate_text(fx.mid_e6),
        "as_of": time_text(fx.as_of_at),
        "age_s": _age_s(fx.as_of_at, now),
        "problem": fx.problem,
    }


def _float(name: str, seen: FloatSnapshot, now: datetime) -> dict[str, Any]:
    currency = Currency.USD if name == _USD_FLOAT else Currency.KES
    return {
        "balance": Money(seen.balance_minor, currency).wire(),
        "reserved": Money(seen.reserved_minor, currency).wire(),
        "as_of": time_text(seen.as_of_at),
        "age_s": _age_s(seen.as_of_at, now),
    }


def _age_s(since: datetime, now: datetime) -> int:
    return max(0, int((now - since).total_seconds()))
