"""The kinds of questions about a transaction: those that its saga waits for, and those beside it.

One table for whoever opens, answers or counts them. Source: decisions.md part 6.
"""

RECEIPT_MISSING = "receipt_missing"
"""A query said that it was paid; neither a callback nor the list has shown a receipt."""
WITNESS_MISSING = "witness_missing"
"""Dollars of a debit that was executed have not been seen to arrive."""
WITNESS_LATE = "witness_late"
"""They were, behind that question."""
WITNESS_MISMATCH = "witness_mismatch"
"""Others arrived than were debited."""
ROW_UNREADABLE = "row_unreadable"
"""Nobody can say what the row of a transaction means, so its saga is parked without a step."""
CONTRADICTING = frozenset(
    {
        *("contradicting_payment", "contradicting_transfer", "contradicting_refund"),
        *("contradicting_debit", "contradicting_payout", "contradicting_result", "contradicting_return"),
    }
)
"""Money may have moved twice, both ways, or to somebody else. The end of another movement answers none: people do."""
HOLDING = CONTRADICTING | frozenset(
    {
        *("account_frozen", "parked"),
        # A deposit.
        *("payment_unknown", "payment_unconfirmed", "payment_in_review", "amount_mismatch", "wrong_payer"),
        *("transfer_overdue", "transfer_unknown", "transfer_unknown_twice", "transfer_ambiguous"),
        *("refund_overdue", "refund_refused"),
        # A withdrawal.
        *("debit_unknown", "debit_ambiguous", WITNESS_MISSING, WITNESS_LATE, WITNESS_MISMATCH),
        *("payout_overdue", "payout_unknown", "payout_refused"),
        *("return_overdue", "return_refused", "return_ambiguous", "return_unknown_twice"),
    }
)
"""The saga stands in review until it is answered: by two people, through its exits, or by evidence."""
WATCHED = frozenset({"payment_awaited"})
"""Beside, and put because an outcome is unknown for hours. The saga asks on, and holds itself if that does not help: so
people know of the outcome whether they have closed the question or not."""
BESIDE = WATCHED | {"evidence_unusable", "reference_taken", RECEIPT_MISSING, ROW_UNREADABLE, "unit_quarantined"}
"""People are to see it, and the saga goes on, whatever its state. Each is closed alone, and does nothing else."""
ANSWERED = HOLDING | WATCHED | {RECEIPT_MISSING}
"""What the end of a saga may answer. The others tell of something else, and only people have seen it who closed it."""
assert not HOLDING & BESIDE
CAUSES = frozenset({"payout_refused"})
"""Questions whose code tells just as well why it ended as it did."""


def code_of_end(known: str, otherwise: str) -> str:
    """What a customer is told of an end that people decided: its cause if one is known; a question tells of no end."""
    return otherwise if not known or known in HOLDING - CAUSES else known
