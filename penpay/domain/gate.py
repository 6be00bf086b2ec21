"""The recovery gate: closed for a shard, no money call of it leaves until its rows were compared with the providers."""

from collections.abc import Mapping

from penpay.domain.unit import OperationKind

NOT_COMPARED = "not compared with the witness yet"
"""The reason at every start. Any other one means that these rows may have gone back in time."""
_K = OperationKind
_DOUBTED = frozenset({_K.DERIV_TRANSFER, _K.DERIV_RETURN, _K.B2C, _K.REVERSAL})


def is_doubted(kind: OperationKind, reason: str) -> bool:
    """Whether an intent of a shard that is closed for this reason may have been carried out by what its rows forgot.

    It is looked for and not sent. A push grows too old to be sent, and the code of a debit works once.
    """
    return reason not in {"", NOT_COMPARED} and kind in _DOUBTED


class RecoveryGate:
    """Why each shard may not call providers. Lost on restart by design: what closed it is found again from outside."""

    __slots__ = ("_reasons",)

    def __init__(self, reasons: dict[int, str] | None = None) -> None:
        """`reasons` is shared with whoever may only look: the board."""
        self._reasons = {} if reasons is None else reasons

    def close(self, shard: int, reason: str) -> None:
        """Shut it; the first reason stays until it is opened."""
        self._reasons.setdefault(shard, reason)

    def open(self, shard: int) -> None:
        """Reconciliation has compared everything: money calls may leave again."""
        self._reasons.pop(shard, None)

    def reason(self, shard: int) -> str:
        """Why it is closed; empty while it is open."""
        return self._reasons.get(shard, "")

    def closed(self) -> dict[int, str]:
        """All closed shards with their reasons."""
        return dict(self._reasons)

    def doubted(self) -> dict[int, str]:
        """Those whose rows may have gone back in time."""
        return {shard: reason for shard, reason in self._reasons.items() if reason != NOT_COMPARED}


def reasons_to_close(
    seen: Mapping[int, int], server: str, *, witnessed: Mapping[int, int], witnessed_server: str
) -> dict[int, str]:
    """Shards whose rows may have gone back in time, judged by what was written down outside the database.

    `seen` and `witnessed` are the last committed unit of each shard, `server` names the machine and data folder.
    """
    reasons = {
        shard: f"at unit {seen.get(shard, 0)}, but unit {unit_seq} was committed"
        for shard, unit_seq in witnessed.items()
        if seen.get(shard, 0) < unit_seq
    }
    if witnessed_server and server != witnessed_server:
        reasons |= {shard: "the database is another server" for shard in seen if shard not in reasons}
    return reasons


def for_all_shards(reasons: Mapping[int, str], shards: int) -> dict[int, str]:
    """Every shard is doubted as soon as one of them is: they share one database, and it went back as a whole.

    What each has lost since the witness was written, up to a second ago, nobody outside the database knows.
    """
    if not reasons:
        return {}
    return dict.fromkeys(range(shards), f"the database of shard {min(reasons)} went back") | dict(reasons)
