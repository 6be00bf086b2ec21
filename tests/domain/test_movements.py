"""What a row about a movement says when it is read again."""

from dataclasses import replace

import pytest

from penpay.domain.errors import BadInput
from penpay.domain.money import usd
from penpay.domain.movements import Contradiction, Movement, decode_movement, encode_movement
from penpay.domain.strays import Stray

AT = "2026-11-20T09:00:00.000Z"
DIFFERS = Contradiction(ref="72", listed=usd(-100), booked=usd(-694), at=AT, transaction_id="T1")


@pytest.mark.parametrize(
    "movement", [DIFFERS, replace(DIFFERS, answered=2), Stray(kind="debit", ref="72", amount=usd(694), at=AT)]
)
def test_a_movement_travels_unchanged(movement: Movement):
    assert decode_movement(encode_movement(movement)) == movement


def test_a_row_from_before_answers_were_counted_is_about_what_nobody_has_answered():
    body = encode_movement(DIFFERS)
    older = body.replace(b'"answered":0,', b"")
    assert (older != body, decode_movement(older)) == (True, DIFFERS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        encode_movement(DIFFERS).replace(b"-694", b'"-694"'),
        encode_movement(DIFFERS).replace(b'"72"', b"72"),
        encode_movement(replace(DIFFERS, answered=-1)),
        encode_movement(DIFFERS).replace(AT.encode(), b"yesterday"),
        encode_movement(DIFFERS).replace(b"USD", b"EUR"),
        encode_movement(Stray(kind="gift", ref="72", amount=usd(1), at=AT)),
        encode_movement(Stray(kind="debit", ref="72", amount=usd(-1), at=AT)),
    ],
)
def test_what_is_no_movement_is_refused(body: bytes):
    with pytest.raises(BadInput):
        decode_movement(body)
