"""The chart of accounts and what a posting is. Debit positive, credit negative, minor units."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from penpay.domain.money import Currency


class AccountCode(StrEnum):
    """The chart. Every account exists per currency and per shard, `CUSTOMER` also per user."""

    MPESA_PAYBILL = "mpesa_paybill"
    MPESA_UTILITY = "mpesa_utility"
    DERIV_AGENT = "deriv_agent"
    DERIV_OUT = "deriv_out"
    DERIV_IN = "deriv_in"
    B2C_OUT = "b2c_out"
    REFUND_OUT = "refund_out"
    CUSTOMER = "customer"
    SUSPENSE = "suspense"
    MPESA_CHARGES = "mpesa_charges"
    EQUITY = "equity"
    FX_POSITION = "fx_position"
    FX_SPREAD = "fx_spread"
    ROUNDING = "rounding"
    MPESA_FEES = "mpesa_fees"
    WRITE_OFF = "write_off"


class Kind(StrEnum):
    """What an account stands for."""

    ASSET = "asset"
    CLEARING = "clearing"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"
    POSITION = "position"


class Side(StrEnum):
    """The sign that an account's balance may have: debit >= 0, credit <= 0, either: no rule."""

    DEBIT = "debit"
    CREDIT = "credit"
    EITHER = "either"


_C = AccountCode
CHART: dict[AccountCode, tuple[Kind, Side]] = {
    _C.MPESA_PAYBILL: (Kind.ASSET, Side.DEBIT),
    _C.MPESA_UTILITY: (Kind.ASSET, Side.DEBIT),
    _C.DERIV_AGENT: (Kind.ASSET, Side.DEBIT),
    _C.DERIV_OUT: (Kind.CLEARING, Side.CREDIT),
    _C.DERIV_IN: (Kind.CLEARING, Side.DEBIT),
    _C.B2C_OUT: (Kind.CLEARING, Side.CREDIT),
    _C.REFUND_OUT: (Kind.CLEARING, Side.CREDIT),
    _C.CUSTOMER: (Kind.LIABILITY, Side.CREDIT),
    _C.SUSPENSE: (Kind.LIABILITY, Side.CREDIT),
    _C.MPESA_CHARGES: (Kind.LIABILITY, Side.CREDIT),
    _C.EQUITY: (Kind.EQUITY, Side.EITHER),
    _C.FX_POSITION: (Kind.POSITION, Side.EITHER),
    _C.FX_SPREAD: (Kind.INCOME, Side.CREDIT),
    _C.ROUNDING: (Kind.INCOME, Side.CREDIT),
    _C.MPESA_FEES: (Kind.EXPENSE, Side.DEBIT),
    _C.WRITE_OFF: (Kind.EXPENSE, Side.DEBIT),
}
assert CHART.keys() == set(AccountCode)


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the chart in one shard. `user_id` is set for `CUSTOMER` only."""

    shard: int
    code: AccountCode
    currency: Currency
    user_id: str = ""

    def __post_init__(self) -> None:
        assert bool(self.user_id) == (self.code is AccountCode.CUSTOMER)

    @property
    def id(self) -> str:
        """The key in the ledger, for example `03:mpesa_paybill:KES` or `03:customer:KES:01J…`."""
        base = f"{self.shard:02d}:{self.code}:{self.currency}"
        return f"{base}:{self.user_id}" if self.user_id else base

    @property
    def side(self) -> Side:
        """The sign its balance may have. Assets are judged over the sum of shards, not here."""
        kind, side = CHART[self.code]
        return Side.EITHER if kind is Kind.ASSET else side


@dataclass(frozen=True, slots=True)
class Entry:
    """One leg: `amount_minor` is signed, debit positive."""

    account: Account
    amount_minor: int


class Phase(StrEnum):
    """`PENDING` holds money in a clearing account until exactly one `POST` or `VOID` names it."""

    POSTED = "posted"
    PENDING = "pending"
    POST = "post"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Posting:
    """Entries that sum to zero per currency. `key` is unique per transaction (`paid`, `hold`, …).

    `resolves` is the key of the pending posting of the same transaction that this one posts or voids.
    """

    key: str
    phase: Phase
    entries: tuple[Entry, ...]
    resolves: str = ""

    def __post_init__(self) -> None:
        problem = posting_problem(self.entries)
        assert not problem, problem
        assert bool(self.resolves) == (self.phase in {Phase.POST, Phase.VOID})


def posting_problem(entries: tuple[Entry, ...]) -> str:
    """Why these entries are no posting, or an empty string."""
    if len(entries) < 2:
        return "a posting has at least two entries"
    sums: defaultdict[Currency, int] = defaultdict(int)
    for entry in entries:
        if entry.amount_minor == 0:
            return f"zero entry on {entry.account.id}"
        sums[entry.account.currency] += entry.amount_minor
    unbalanced = [currency.value for currency, total in sums.items() if total]
    return f"does not sum to zero in {', '.join(unbalanced)}" if unbalanced else ""
