"""Copies of frozen records: the same as the library's."""

from dataclasses import dataclass, replace

import pytest

from penpay.domain.money import kes
from penpay.domain.records import copied
from tests.ledger.house import transaction_row


@dataclass(frozen=True)
class WithoutSlots:
    """A record that a copy cannot be made of field by field."""

    name: str


def test_a_copy_is_what_the_library_makes():
    row = transaction_row(state="FAILED")
    copy = copied(row, state="COMPLETED", version=9)
    assert copy == replace(row, state="COMPLETED", version=9)
    assert (row.state, type(copy)) == ("FAILED", type(row))


def test_a_field_that_there_is_not_is_a_bug():
    with pytest.raises(KeyError):
        copied(transaction_row(), colour="red")


def test_what_its_constructor_checks_is_not_copied_past_it():
    with pytest.raises(AssertionError):
        copied(kes(5), minor=1.5)
    with pytest.raises(KeyError):
        copied(WithoutSlots("a"))
