"""What can happen to any transaction, whichever way the money goes."""

from dataclasses import dataclass

from penpay.domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `decide` says what follows from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Event):
    """The customer asked to cancel. It works only while nothing was attempted; the ledger checks that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woke(Event):
    """A waiting state's time came. `attempted`: the rail has made an attempt of the operation that is current."""

    attempted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked(Event):
    """The saga crashed too often to be run again by itself."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffClosed(Event):
    """Two named people decided: nothing is held, nothing more will be done."""

    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffProved(Event):
    """Two named people know how the operation ended that is still open. `reference` is the provider's id of it.

    `arrived`: dollars of that id that stood in suspense as nobody's, and were taken out of there for this transaction.
    """

    executed: bool
    reference: str
    approval: str
    arrived: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSettled(Event):
    """Two named people gave the money back by hand, outside of this system. `reference` is the provider's id of it.

    Of dollars that never arrived here they know that Deriv gave them back, by an id that is not the debit's own.
    `surplus_only`: no more than what was set aside. Told twice, neither form says more than told once.
    """

    reference: str
    approval: str
    surplus_only: bool = False
