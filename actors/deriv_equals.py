"""Which Deriv operations may not run beside each other.

Deriv v3 has no idempotency key. What makes a lost reply provable is that no equal operation can be under way beside it:
none of the same customer, and none of the same amount in the same direction.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from penpay.domain.statement import CLOCK_MARGIN, sent_at
from penpay.messages_rails import Submit
from penpay.ports import AttemptStore, OperationRow, SentAttempt

_ENDED_KEPT = 10_000
_ANY = object()


class Equals:
    """The operations of one direction whose outcome is open, and what they block.

    `reference_visible`: proven on this very account that a statement shows our reference (decisions, part 6); then
    amounts need not differ.
    """

    def __init__(self, *, reference_visible: bool) -> None:
        self._reference_visible = reference_visible
        self._open: dict[str, Submit] = {}
        """Started here and not yet proven: each blocks its customer and its amount."""
        self._unresolved: dict[str, Submit] = {}
        """The same, from rows: what other incarnations and shards left open."""
        self._blocked: set[object] = set()
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Proven a moment ago; their rows may still look open until the shard has consumed the end."""
        self._doubted: OrderedDict[str, Submit] = OrderedDict()
        """Unknown here at some time: whatever was proven since, a reply to them may still come."""

    @property
    def counts(self) -> dict[str, int]:
        """What is open, and what was left open."""
        return {"open": len(self._open), "unresolved": len(self._unresolved)}

    def blocks(self, submit: Submit) -> bool:
        """Whether this one has to wait."""
        return _ANY in self._blocked or not self._blocked.isdisjoint(self._keys(submit))

    def started(self, submit: Submit) -> None:
        """From here on it blocks its equals. What an earlier attempt of it proved does not count any more."""
        self._ended.pop(submit.operation_id, None)
        self._open[submit.operation_id] = submit
        self._blocked.update(self._keys(submit))

    def ended(self, submit: Submit, *, unknown: bool) -> None:
        """Proven ends free their equals; an unknown one goes on blocking until its row is resolved."""
        self._open.pop(submit.operation_id, None)
        if unknown:
            self._unresolved[submit.operation_id] = submit
            self._doubted[submit.operation_id] = submit
            if len(self._doubted) > _ENDED_KEPT:
                self._doubted.popitem(last=False)
        else:
            self._unresolved.pop(submit.operation_id, None)
            self._ended[submit.operation_id] = None
            if len(self._ended) > _ENDED_KEPT:
                self._ended.popitem(last=False)
        self._block()

    def doubted(self, operation_id: str) -> Submit | None:
        """The operation whose outcome is or was not known, if it is one of those."""
        return self._unresolved.get(operation_id) or self._doubted.get(operation_id)

    def left_open(self, submits: Iterable[Submit]) -> None:
        """What the rows say is unresolved. They rule, except for what ended here so lately that they cannot know."""
        self._unresolved = {
            submit.operation_id: submit
            for submit in submits
            if submit.operation_id not in self._ended and submit.operation_id not in self._open
        }
        self._block()

    def _block(self) -> None:
        self._blocked = {
            key for submit in (*self._open.values(), *self._unresolved.values()) for key in self._keys(submit)
        }

    def _keys(self, submit: Submit) -> tuple[object, ...]:
        """What two operations must not share while one is open. A submission that names neither is alone."""
        if submit.amount is None:
            return (_ANY, *self._blocked)
        if self._reference_visible:
            return (submit.loginid,)
        return (submit.loginid, (submit.amount.currency, submit.amount.minor))


async def unresolved_rows(
    attempts: AttemptStore, kinds: Collection[str], *, now: datetime | None, settle_s: float
) -> Sequence[OperationRow]:
    """Operations that may have executed something, read with every sweep, so that a resolved one frees its equals.

    One that stays open (a person looks at it) frees them once its statement window cannot touch theirs any more: by
    Deriv's clock, and none while that is not known (`now` None).
    """
    rows = [row for kind in sorted(kinds) for row in await attempts.unresolved(kind)]
    if now is None:
        return rows
    newest = await attempts.newest([row.id for row in rows]) if rows else {}
    since = now - timedelta(seconds=settle_s + 2 * CLOCK_MARGIN.total_seconds())
    return [row for row in rows if row.id not in newest or _sent_at(newest[row.id]) > since]


def _sent_at(attempt: SentAttempt) -> datetime:
    return sent_at(attempt.sent_at, attempt.watermark)
