"""What became of a debit without a reply: the customer's statement and the agent's must tell one story.

Source: decisions, part 4. After a lost reply an agent's credit alone never pays: it may be anybody's.
"""

from collections.abc import Mapping

from penpay.domain.statement import Found, Reading, Watermark

_AGENT = "agent_"
_UNSEEN = "unseen"


def both_marks(*, customer: Watermark | None, agent: Watermark | None) -> dict[str, str]:
    """What is stored with the attempt of a debit: both accounts just before it, or that they could not be seen."""
    if customer is None or agent is None:
        return {_UNSEEN: "customer" if customer is None else "agent"}
    return {**customer.as_text(), **{_AGENT + name: value for name, value in agent.as_text().items()}}


def marks_from_text(stored: Mapping[str, str]) -> tuple[Watermark, Watermark]:
    """The customer's and the agent's mark; raise `BadInput` when they are not there."""
    agent = {name.removeprefix(_AGENT): value for name, value in stored.items() if name.startswith(_AGENT)}
    return Watermark.from_text(stored), Watermark.from_text(agent)


def is_unmarked(stored: Mapping[str, str]) -> bool:
    """True for an attempt that was made although nothing was ready for the call: it ends without having sent a byte."""
    names = ("transaction_id", "server_time_at", f"{_AGENT}transaction_id", _UNSEEN)
    return not any(name in stored for name in names)


def story_of(*, customer: Reading, agent: Reading, settled: bool) -> Reading:
    """One reading of two. `settled`: Deriv cannot still be executing it.

    CONFIRMED and CLEAN only where both sides agree; a side that stands alone once all has settled is AMBIGUOUS. The row
    is the customer's debit.
    """
    proof = f"customer: {customer.proof}; agent: {agent.proof}"
    sides = {customer.found, agent.found}
    if Found.AMBIGUOUS in sides:
        return Reading(Found.AMBIGUOUS, proof)
    if sides == {Found.CONFIRMED}:
        return Reading(Found.CONFIRMED, proof, customer.row)
    if sides == {Found.CLEAN}:
        return Reading(Found.CLEAN, proof)
    if settled and sides == {Found.CONFIRMED, Found.CLEAN}:
        return Reading(Found.AMBIGUOUS, f"one side only: {proof}")
    return Reading(Found.INCOMPLETE, proof)
