"""May this deposit begin? One rule after the other, in the order in which a customer would want to be told."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from math import ceil

from penpay.domain.board import Board
from penpay.domain.fx import Direction, LockedRate, asked_kes, credited_usd, disbursed_kes
from penpay.domain.kyc import Tier, day_limit_minor
from penpay.domain.money import Currency, Money
from penpay.domain.presentation import time_text

NAIROBI = timezone(timedelta(hours=3), "EAT")
"""East Africa Time; Kenya has no summer time."""


def eat_day(at: datetime) -> str:
    """The Nairobi day of a UTC time, for example 2026-11-20. Daily limits count in these."""
    return at.astimezone(NAIROBI).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Business limits (settings `PENPAY_LIMITS__…`). Minor units and seconds."""

    deposit_min_usd_minor: int = 200
    deposit_max_usd_minor: int = 100_000
    withdrawal_min_usd_minor: int = 500
    withdrawal_max_usd_minor: int = 100_000
    daily_usd_minor: int = 200_000
    withdrawal_daily_usd_minor: int = 200_000
    stk_min_kes_minor: int = 100
    stk_max_kes_minor: int = 25_000_000
    b2c_min_kes_minor: int = 1_000
    b2c_max_kes_minor: int = 25_000_000
    stk_min_interval_s: float = 60.0
    stk_open_s: float = 180.0
    stk_max_age_s: float = 120.0
    """A push that could not be sent by then is not sent at all."""
    quote_ttl_s: float = 900.0
    fx_max_age_s: float = 60.0
    spread_e6: int = 5_000_000
    verify_from_kes_minor: int = 1_000_000
    verify_daily_kes_minor: int = 3_000_000
    identified_daily_usd_minor: int = 300_000
    enhanced_daily_usd_minor: int = 350_000

    def of_tier(self, tier: int) -> "Limits":
        """These limits for a customer who is known that well."""
        if tier < Tier.IDENTIFIED:
            return self
        return replace(
            self,
            daily_usd_minor=self._day(tier, self.daily_usd_minor),
            withdrawal_daily_usd_minor=self._day(tier, self.withdrawal_daily_usd_minor),
        )

    def _day(self, tier: int, contract_minor: int) -> int:
        return day_limit_minor(
            tier,
            contract_minor,
            identified_minor=self.identified_daily_usd_minor,
            enhanced_minor=self.enhanced_daily_usd_minor,
        )


_NAMES = {"daraja": "M-Pesa", "deriv": "Deriv"}
_DOWN = {
    **{rail: f"{name} cannot be reached now." for rail, name in _NAMES.items()},
    "b2c": "M-Pesa takes no payouts now.",
}
"""What customers are told. The reason may name our tokens, nodes and accounts: `/readyz` has it."""


@dataclass(frozen=True, slots=True)
class No:
    """Refused: a code of the problem catalogue."""

    code: str
    detail: str = ""
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quote promises."""

    send: Money
    receive: Money
    rate: LockedRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A user as admission sees them: counted money of today, the push that may still be open, the last push."""

    status: str
    phone_verified: bool
    deriv_loginid: str
    today_usd_minor: int
    today_kes_minor: int
    open_push_since: datetime | None
    last_push_at: datetime | None
    withdrawn_today_usd_minor: int = 0
    withdrawal_open: bool = False
    withdrawals_held_until: datetime | None = None


def terms(direction: Direction, amount: Money, *, board: Board, limits: Limits, now: datetime) -> Terms | No:
    """Convert at the rate of this moment. A deposit takes either currency, a withdrawal dollars only."""
    fx = board.fx
    if fx is None or fx.problem or (now - fx.as_of_at).total_seconds() > limits.fx_max_age_s:
        return No("rates_unavailable", retry_after_s=5)
    rate = LockedRate(direction, fx.mid_e6, limits.spread_e6)
    if direction is Direction.WITHDRAWAL:
        if amount.currency is not Currency.USD:
            return No("amount_out_of_range", "A withdrawal is asked for in USD.")
        return Terms(amount, disbursed_kes(amount, rate), rate)
    if amount.currency is Currency.USD:
        return Terms(asked_kes(amount, rate), amount, rate)
    if not amount.whole:
        return No("amount_not_whole", "M-Pesa moves whole shillings.")
    return Terms(amount, credited_usd(amount, rate), rate)


def amount_problem(direction: Direction, of: Terms, limits: Limits) -> No | None:
    """Outside the limits of one transaction."""
    deposit = direction is Direction.DEPOSIT
    dollars, shillings = (of.receive, of.send) if deposit else (of.send, of.receive)
    usd_range = (
        (limits.deposit_min_usd_minor, limits.deposit_max_usd_minor)
        if deposit
        else (limits.withdrawal_min_usd_minor, limits.withdrawal_max_usd_minor)
    )
    kes_range = (
        (limits.stk_min_kes_minor, limits.stk_max_kes_minor)
        if deposit
        else (limits.b2c_min_kes_minor, limits.b2c_max_kes_minor)
    )
    for money, (low, high) in ((dollars, usd_range), (shillings, kes_range)):
        if not low <= money.minor <= high:
            bounds = f"{Money(low, money.currency).text()} to {Money(high, money.currency).text()}"
            return No("amount_out_of_range", f"It must be {bounds} {money.currency}.")
    return None


def refusal(of: Terms, standing: Standing, *, board: Board, limits: Limits, now: datetime) -> No | None:
    """Why this deposit may not begin now, or None."""
    return (
        _who(standing)
        or amount_problem(Direction.DEPOSIT, of, limits)
        or _daily(of.receive, standing.today_usd_minor, limits.daily_usd_minor)
        or _push(standing, limits, now)
        or _rails(of, board, limits)
    )


def withdrawal_refusal(of: Terms, standing: Standing, *, board: Board, limits: Limits, now: datetime) -> No | None:
    """Why this withdrawal may not begin now, or None.

    That there is one at a time is a rule of admission, and nothing rests on it. Late evidence opens an ended withdrawal
    again whenever it comes, also a moment after the next one began, for no evidence can be refused; one that passes an
    admission on its way to the ledger comes to the same. Two that are open share nothing: each holds and moves its own
    dollars, a provider's id is used once, both count for the day, and the rail debits a customer once at a time.
    """
    held_until = standing.withdrawals_held_until
    if (no := _who(standing)) is not None:
        return no
    if held_until is not None and held_until > now:
        return No("withdrawals_held", f"Withdrawals are held until {time_text(held_until)}.")
    if standing.withdrawal_open:
        return No("withdrawal_open", "One withdrawal at a time.")
    return (
        amount_problem(Direction.WITHDRAWAL, of, limits)
        or _daily(of.send, standing.withdrawn_today_usd_minor, limits.withdrawal_daily_usd_minor)
        or _payout_rails(of, board)
    )


def _who(standing: Standing) -> No | None:
    if standing.status != "ACTIVE":
        return No("account_frozen", "This account is under review.")
    if not standing.phone_verified:
        return No("phone_not_verified", "Verify the phone number first.")
    return None if standing.deriv_loginid else No("deriv_not_linked", "Link a Deriv USD account first.")


def _daily(dollars: Money, used_minor: int, limit_minor: int) -> No | None:
    if used_minor + dollars.minor > limit_minor:
        left = max(0, limit_minor - used_minor)
        return No("daily_limit_exceeded", f"{Money(left, Currency.USD).text()} USD are left today (Nairobi time).")
    return None


def _payout_rails(of: Terms, board: Board) -> No | None:
    """What cannot be paid out is refused before the dollars move."""
    for name in ("daraja", "deriv", "b2c"):
        if name == "b2c" and name not in board.rails:
            continue
        health = board.rail(name)
        if not health.up:
            return No("rail_down", _DOWN[name], health.retry_after_s)
    utility = board.floats.get("mpesa_utility")
    if utility is not None and utility.balance_minor - utility.reserved_minor < of.receive.minor:
        return No("float_low", "Withdrawals are paused until our account is topped up.", 60)
    return None


def _push(standing: Standing, limits: Limits, now: datetime) -> No | None:
    """One open prompt per phone, and a pause between two: Safaricom refuses faster ones."""
    waits = [
        (since, seconds)
        for since, seconds in (
            (standing.open_push_since, limits.stk_open_s),
            (standing.last_push_at, limits.stk_min_interval_s),
        )
        if since is not None and (now - since).total_seconds() < seconds
    ]
    if not waits:
        return None
    left_s = max(seconds - (now - since).total_seconds() for since, seconds in waits)
    return No("stk_open", "A payment prompt for this phone is open or was sent a moment ago.", int(left_s) + 1)


def _rails(of: Terms, board: Board, limits: Limits) -> No | None:
    for name in ("daraja", "deriv"):
        health = board.rail(name)
        if not health.up:
            return No("rail_down", _DOWN[name], health.retry_after_s)
        if (backlog_s := board.backlogs.get(name, 0.0)) >= limits.stk_max_age_s:
            # Its prompt would come too late to be sent: better to say so at once.
            return No("overloaded", f"{_NAMES[name]} takes no more for now.", ceil(backlog_s / 4))
    agent = board.floats.get("deriv_agent")
    if agent is not None and agent.balance_minor - agent.reserved_minor < of.receive.minor:
        return No("float_low", "Deposits are paused until our account is topped up.", 60)
    return None


def verify_first(of: Terms, standing: Standing, limits: Limits) -> bool:
    """Whether a callback alone may not credit this one: it is large, or today's total is."""
    return (
        of.send.minor >= limits.verify_from_kes_minor
        or standing.today_kes_minor + of.send.minor > limits.verify_daily_kes_minor
    )


def later(at: datetime, delay_s: float) -> datetime:
    """`delay_s` after `at`."""
    return at + timedelta(seconds=delay_s)
