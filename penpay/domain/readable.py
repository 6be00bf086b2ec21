"""Whether the row of a transaction can be read, and what is shown of one that cannot.

A row is spoiled by hand, or written by a version that this one does not know.
"""

from penpay.domain import deposit_row as deposits
from penpay.domain import withdrawal_row as withdrawals
from penpay.domain.decision import IN_REVIEW
from penpay.domain.deposit import Deposit
from penpay.domain.errors import PenPayError
from penpay.domain.fx import Direction
from penpay.domain.json_text import canonical_json
from penpay.domain.records import copied
from penpay.domain.review_kinds import ROW_UNREADABLE
from penpay.domain.unit import TransactionRow
from penpay.domain.withdrawal import Withdrawal

UNREADABLE = "its row cannot be read"
"""Nothing can be decided about it before somebody repaired it."""
_NOTHING_KNOWN = canonical_json({"money_at": ROW_UNREADABLE})


class Unreadable(PenPayError):
    """Nobody can say what this row means: a person looks at it."""


def saga_of(row: TransactionRow) -> Deposit | Withdrawal:
    """The saga behind its row. Raises `Unreadable`."""
    try:
        return deposits.from_row(row) if row.type == Direction.DEPOSIT else withdrawals.from_row(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(row.id) from error


def shown(row: TransactionRow) -> TransactionRow:
    """The row for whoever asks: one that nobody can read stands in review, and nothing is said from what it holds.

    Its version is nobody's, so that no copy of this outlives the repair.
    """
    try:
        saga_of(row)
    except Unreadable:
        return copied(
            row,
            state=IN_REVIEW,
            status=IN_REVIEW,
            version=0,
            failure_code=ROW_UNREADABLE,
            data=_NOTHING_KNOWN,
            next_wake_at=None,
            completed_at=None,
        )
    return row
