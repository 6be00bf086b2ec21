"""What really happened to money, recorded before anybody is told: the world's own books, in minor units."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Push:
    """A prompt on a phone. `code` is empty while it is open; `receipt` is set when it was paid."""

    checkout_id: str
    phone: str
    amount_minor: int
    reference: str
    url: str
    at_s: float
    code: str = ""
    receipt: str = ""
    queries: int = 0
    answered: bool = False
    """Safaricom's own books of it are closed: what a query tells from now on is true."""
    denied: bool = False
    """A callback said that it was not paid, and it was."""
    refused_s: list[float] = field(default_factory=list)
    """When queries answered that it was not paid."""


@dataclass(slots=True)
class Payment:
    """Shillings that arrived at the PayBill."""

    receipt: str
    checkout_id: str
    phone: str
    amount_minor: int
    reference: str
    at_s: float
    reversed_by: str = ""


@dataclass(slots=True)
class Reversal:
    """A payment that is to be given back."""

    conversation_id: str
    receipt: str
    amount_minor: int
    result_url: str
    at_s: float
    code: str = ""
    reversal_receipt: str = ""
    untold: bool = False
    """Nobody is posted how it ended."""


@dataclass(slots=True)
class Payout:
    """Shillings for a phone. `code` "0": they are there."""

    originator_id: str
    conversation_id: str
    phone: str
    amount_minor: int
    fee_minor: int
    result_url: str
    timeout_url: str
    at_s: float
    code: str = ""
    receipt: str = ""
    ended_s: float = 0.0


@dataclass(slots=True)
class Movement:
    """One row of a Deriv account."""

    id: int
    at_s: float
    action: str
    amount_minor: int
    balance_minor: int
    other: str
    description: str


@dataclass(slots=True)
class Account:
    """A Deriv account and its token."""

    loginid: str
    token: str
    balance_minor: int
    rows: list[Movement] = field(default_factory=list)


@dataclass(slots=True)
class Transfer:
    """Dollars that went from one Deriv account to another."""

    id: int
    other_id: int
    payer: str
    payee: str
    amount_minor: int
    description: str
    at_s: float
    asked_minor: int
    arrived_minor: int
    hidden_s: float = 0.0
    """Until when nobody is shown its credit."""
    after_all: bool = False
    """Executed long after Deriv says that it may be, when all the world had given it up."""

    @property
    def is_odd(self) -> bool:
        """Not what was asked: another amount, or less than was taken."""
        return not self.asked_minor == self.amount_minor == self.arrived_minor


@dataclass(slots=True)
class Truth:
    """All of it."""

    paybill_minor: int
    utility_minor: int
    charges_minor: int = 0
    pushes: dict[str, Push] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    reversals: dict[str, Reversal] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    lists: list[tuple[float, float]] = field(default_factory=list)
    """When the list of payments was read, and up to when it was told."""
    mistakes: list[str] = field(default_factory=list)
    """Effects that must never have been asked for, found the moment they happened."""

    def is_first(self, reversal: Reversal) -> bool:
        """Whether it is the first of its payment. A later one is what people tried when they knew of the first."""
        return next(one for one in self.reversals.values() if one.receipt == reversal.receipt) is reversal
