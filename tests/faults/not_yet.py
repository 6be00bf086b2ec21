"""Rows of the failure catalogue that no test of this folder makes happen, each with its reason."""

from collections.abc import Mapping

NOT_YET: Mapping[int, str] = {
    83: "needs two servers; the fence is tests/ledger/test_faults.py, another server tests/ledger/test_anchors.py",
}
