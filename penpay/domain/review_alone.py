"""Questions that no saga waits for: which answers each takes, and the unit that an answer is.

Money never stays behind an answer: what a question is about is booked with it.
"""

from datetime import datetime

from penpay.domain.corrections import contradiction_of, corrected, replaced
from penpay.domain.movements import Contradiction
from penpay.domain.review import NAME_MISMATCH, Action, Approval, ReviewItem, closing
from penpay.domain.strays import EXITS, ended, stray_of
from penpay.domain.unit import UnitOfWork


def exit_problem(item: ReviewItem, action: str, evidence: str = "") -> str:
    """Why such a question has no such exit, or an empty string. `evidence`: what two people rest it on, if they do."""
    if item.kind == NAME_MISMATCH:
        decides = action in {Action.APPROVE, Action.CLOSE}
        return "" if decides else "a name is approved, or the question closed and the link forgotten"
    if contradiction_of(item) is not None:
        alone = "the books follow its provider's list; if both agree by now, that only closes the question"
        return "" if action == Action.CORRECT else alone
    stray = stray_of(item)
    if stray is None:
        alone = "its transaction does not wait for it" if item.transaction_id else "the item belongs to no transaction"
        return "" if action == Action.CLOSE else f"{alone}: it can only be closed"
    exits = EXITS[stray.kind]
    if action in exits:
        # A listed payment that was credited already is settled by its own receipt; dollars are claimed for their debit.
        told_back = stray.kind == "credit" and action == Action.SETTLE and evidence == stray.ref
        return "its own id says that it came: name the one by which it went back" if told_back else ""
    return f"a {stray.kind} that nothing explains ends as {' or '.join(sorted(exits))}, so that the books follow it"


def answered(
    item: ReviewItem,
    action: str,
    approval: Approval,
    *,
    new_id: str,
    at: datetime,
    stands: bool = True,
    instead: Contradiction | None = None,
) -> UnitOfWork:
    """The unit that closes it, with all that the answer books. `new_id`: of a question that follows.

    `stands`: whether two amounts still differ as people were shown; if not, there is nothing to be booked. `instead`:
    the amounts by which they differ by now, and about which nobody is asked yet.
    """
    unit, actor = closing(item, approval, at=at), f"staff:{approval.by}"
    stray, contradiction = stray_of(item), contradiction_of(item)
    if stray is not None:
        return ended(unit, stray, action, item_id=item.id, reference=approval.evidence, actor=actor)
    if contradiction is not None and stands:
        return corrected(unit, contradiction, rest_id=new_id, reference=approval.evidence, actor=actor)
    if instead is not None:
        return replaced(unit, instead, review_id=new_id, actor=actor)
    return unit
