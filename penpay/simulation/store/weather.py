"""How trouble and slowness reach the store: one question, asked at named points."""

from collections.abc import Mapping
from enum import Enum
from typing import Protocol


class Moment(Enum):
    """Where in a call a point lies, and what an error there means."""

    BEFORE = "before"
    """Nothing has reached the server. `ConnectionLost(commit_sent=True)` here is a COMMIT that did not arrive."""
    LOCKED = "locked"
    """A transaction is open and holds its locks; sleeping here makes others wait, an error rolls it back."""
    DONE = "done"
    """The effect is durable. `ConnectionLost(commit_sent=True)` here is an answer that was lost."""


class Weather(Protocol):
    """What happens to one node's traffic with the database. Implemented by the simulation, from its seed."""

    async def at(self, point: str) -> None:
        """Return for a fine day, sleep on the loop's time, or raise.

        What may be raised: `Deadlock`, `LockTimeout`, `ConnectionLost`, `Unavailable`, or a plain `StoreError` for
        a refusal that nobody can explain. The store then behaves as the production adapter does with such an error.
        """
        ...


class FineWeather:
    """Nothing ever happens."""

    async def at(self, point: str) -> None:
        """Every day is like this one."""


_READS = (
    *("sagas.load", "sagas.load.more", "sagas.due", "sagas.filed_credit", "sagas.has_open_question"),
    *("users.load", "users.answer", "users.quote", "users.newest_code"),
    *("inbox.waiting", "inbox.transactions_of"),
    *("attempts.abandoned", "attempts.intents", "attempts.unresolved", "attempts.unwitnessed"),
    *("attempts.newest", "attempts.used_references"),
    *("outbox.after", "outbox.cursor", "outbox.newest"),
    *("rail_reads.operations", "rail_reads.reserved_payouts_minor", "rail_reads.booked_since"),
    *("payments.claims", "payments.cursors"),
    *("ledger.read", "heads.look", "overview.ping", "overview.is_recorded", "overview.account_minor"),
    "leases.claim",
)
"""One look each. `sagas.load.more` lies between the row and what belongs to it: others may commit meanwhile."""
_WRITES = (
    *("users.add_quote", "users.remember_code"),
    *("inbox.add", "inbox.delivered", "inbox.suspect", "inbox.consumed_by_rail"),
    "payments.move_cursor",
    *("leases.renew", "leases.release", "attempts.end", "ledger.commit", "ledger.bury"),
)
"""Each has also a point `….done`."""
_TRANSACTIONS = ("ledger.take_fence", "leases.acquire", "attempts.begin")
"""Each has also `….locked` and `….done`."""

POINTS: Mapping[str, Moment] = {
    "ledger.open": Moment.BEFORE,
    "ledger.open.locked": Moment.LOCKED,
    **dict.fromkeys((*_READS, *_WRITES, *_TRANSACTIONS), Moment.BEFORE),
    **dict.fromkeys((f"{name}.locked" for name in _TRANSACTIONS), Moment.LOCKED),
    **dict.fromkeys((f"{name}.done" for name in (*_WRITES, *_TRANSACTIONS)), Moment.DONE),
}
"""Every point at which the weather is asked. `ledger.read` and `ledger.commit` lie inside a transaction that holds the
shard's fence; the commit's rows are written and made durable in one step after `ledger.commit`."""
