"""The times of the sagas' rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times of the sagas, in seconds (settings `PENPAY_TIMING__…`). Defaults are the decided ones."""

    resend_s: float = 10.0
    """How long a state that sends waits before it asks its rail again; the rail ignores what it already has."""
    stk_intent_max_s: float = 120.0
    stk_grace_s: float = 180.0
    stk_poll_ladder_s: tuple[float, ...] = (20.0, 30.0, 60.0, 90.0, 120.0, 180.0)
    stk_sparse_s: float = 300.0
    stk_sparse_max_s: float = 3600.0
    stk_unknown_min_s: float = 900.0
    stk_watch_max_s: float = 86400.0
    paid_in_time_s: float = 600.0
    held_retry_s: float = 30.0
    held_max_s: float = 86400.0
    resolve_s: float = 30.0
    unknown_max_s: float = 13800.0
    """An outcome that nobody could tell is put before a person after this, below the four hours of invariant i13."""
    unknowns_max: int = 2
    refund_probe_s: float = 60.0
    refund_max_s: float = 86400.0
    review_due_s: float = 14400.0
    debit_max_s: float = 120.0
    """A debit that was not sent by then is not sent at all: the customer's code has a short life."""
    witness_s: float = 600.0
    """Without the agent's side of a debit after this, the statement is read for it."""
    witness_look_s: float = 10.0
    status_after_s: float = 600.0
    """How long a payout's result may take before its status is asked for."""
    second_evidence_s: float = 600.0
    """A failed result and the status that confirms it lie at least this far apart."""
    untold_s: float = 1800.0
    """How long a result may take of which nothing can be asked, before people look."""
    same_payout_id_s: float = 86400.0

    def __post_init__(self) -> None:
        assert self.stk_poll_ladder_s == tuple(sorted(self.stk_poll_ladder_s)), "a ladder climbs"
        assert self.stk_grace_s < self.stk_unknown_min_s < self.stk_watch_max_s, "waiting ends before giving up begins"
