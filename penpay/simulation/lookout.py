"""Who looks at everything while it happens: what is open, what was recorded, and what must never be."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.deriv_resolver import CREDIT_KIND
from penpay.domain.payments import REFERENCE
from penpay.messages import InboxRow
from penpay.simulation.paths import Paths
from penpay.simulation.store.rows import EventRow, StoredEvidence, StoredTransaction
from penpay.simulation.store.tables import Change

if TYPE_CHECKING:
    from penpay.simulation.world import World

_NOISE = frozenset({"CommitUnit", "OutboxBell", "Call", "SessionReady", "InboxBell", "StopPayouts"})
ENDED = frozenset({"COMPLETED", "FAILED", "REVERSED", "IN_REVIEW"})


@dataclass(frozen=True, slots=True)
class Failure:
    """A transaction ended without money having moved, so it said, on these grounds."""

    event: str
    data: str
    at_s: float
    """When it was recorded, by the world's own time."""


class Lookout:
    """An observer of the database's commits."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.open: set[str] = set()
        """Transactions that are neither final nor in front of a person, or still wait for something."""
        self.waiting: set[str] = set()
        """Evidence that nobody has consumed."""
        self.failures: defaultdict[str, list[Failure]] = defaultdict(list)
        """By transaction: one that failed may be opened again."""
        self._paths = Paths(world)
        world.server.observers.append(self.committed)

    @property
    def relayed(self) -> bool:
        """Followers have seen every event, and the relay has written down how far it is."""
        schema, seen = self._world.server.schema, self._world.streams.seen
        for shard in range(self._world.shards):
            newest = schema.fences.rows[f"shard/{shard}"].outbox_seq
            if newest > len(seen.get(shard, ())) or newest > schema.outbox_cursors.rows[shard].seq:
                return False
        return True

    @property
    def settled(self) -> bool:
        """Nothing is open, and no evidence waits."""
        return not self.open and not self.waiting

    @property
    def found(self) -> bool:
        """Every payment that Safaricom took is in the books by its receipt."""
        return not self.unbooked

    @property
    def unbooked(self) -> Sequence[str]:
        """Receipts that no booking knows."""
        used = self._world.server.schema.provider_references
        return [receipt for receipt in self._world.truth.payments if used.get((REFERENCE, receipt)) is None]

    def is_credited(self, credit: str) -> bool:
        """Whether dollars that arrived at the agent are in the books, whosever they are."""
        return self._world.server.schema.provider_references.get((CREDIT_KIND, credit)) is not None

    def committed(self, changes: Sequence[Change]) -> None:
        """One transaction of the database took effect."""
        for change in changes:
            row = change.after
            self._paths.committed(change)
            if isinstance(row, StoredTransaction):
                self._moved(row)
            elif isinstance(row, StoredEvidence):
                if row.status == "NEW":
                    self.waiting.add(row.row.id)
                else:
                    self.waiting.discard(row.row.id)
            elif isinstance(row, EventRow) and row.to_state == "FAILED" != row.from_state:
                self.failures[row.transaction_id].append(Failure(row.event, row.data, self._world.now_s()))

    def _moved(self, stored: StoredTransaction) -> None:
        row = stored.row
        if row.state in ENDED and row.next_wake_at is None:
            self.open.discard(row.id)
        else:
            self.open.add(row.id)
        self._world.tell(f"{row.type} {row.id[-6:]} {row.state} v{row.version}")

    def overhear(self, node: str, address: str, message: object) -> None:
        """A message between actors, for the story."""
        if type(message).__name__ not in _NOISE:
            self._world.story.append((self._world.now_s(), f"{node}: {_told(message)} to {address}"))


def _told(message: object) -> str:
    """A message in few words."""
    words = [type(message).__name__]
    for name in ("probe", "outcome", "code", "operation_id", "reference"):
        value = getattr(message, name, "")
        if isinstance(value, str) and value:
            words.append(value)
    row = getattr(message, "row", None)
    if isinstance(row, InboxRow):
        words += [row.kind, row.operation_id, row.body.decode()]
    return " ".join(words)
