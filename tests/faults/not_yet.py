"""Rows of the failure catalogue that no test of this folder makes happen, each with its reason."""

from collections.abc import Mapping

_RECONCILIATION = "found by comparing with the providers' own lists, which comes later"

NOT_YET: Mapping[int, str] = {
    37: f"a payment without a push is {_RECONCILIATION}",
    38: f"a receipt that Safaricom takes back is {_RECONCILIATION}",
    78: "a payout is never reversed by us, no command does it; a second reversal is tests/rails/test_daraja.py",
    82: "a restore is played with the ledger: tests/ledger/test_anchors.py, tests/ledger/test_faults.py",
    83: "needs two servers; the fence is tests/ledger/test_faults.py, another server tests/ledger/test_anchors.py",
    84: "needs a small disk of its own",
    85: "needs a restore drill and the comparison with the providers, which comes later",
    87: "needs a network between node and database that can be slowed down",
    88: "played with every right and trigger: tests/storage/test_schemas.py, tests/ledger/test_audit.py",
    102: "played with the feed: tests/rails/test_feeds.py",
    103: "played as F24 here and in tests/domain/test_deposit_rules.py",
    105: "keys of an older version are tests/rails/test_crypto.py; the drill of a change comes later",
    106: "needs certificates and TLS at the rails",
    107: _RECONCILIATION,
    108: _RECONCILIATION,
    109: "played with the questions for staff: tests/domain/test_review.py",
    110: "needs hours of virtual time: the simulation comes later",
}
