import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.errors import BadInput
from penpay.domain.rail_end import Outcome, RailEnd, decode_rail_end, encode_rail_end

END = RailEnd(operation_id="01J9", attempt=1, kind="STK", outcome=Outcome.UNKNOWN, at=datetime(2026, 1, 2, tzinfo=UTC))
words = st.text(max_size=40)
ends = st.builds(
    RailEnd,
    operation_id=words,
    attempt=st.integers(1, 1000),
    kind=words,
    outcome=st.sampled_from(Outcome),
    code=words,
    provider_ref=words,
    facts=st.dictionaries(words, words, max_size=4),
    hold=st.booleans(),
    at=st.datetimes(timezones=st.just(UTC)),
)


@given(ends)
def test_an_end_survives_its_row(end):
    assert decode_rail_end(encode_rail_end(end)) == end


def test_the_same_end_gives_the_same_bytes():
    other_zone = END.at.astimezone(timezone(timedelta(hours=3)))
    same = RailEnd(operation_id="01J9", attempt=1, kind="STK", outcome=Outcome.UNKNOWN, at=other_zone)
    assert encode_rail_end(same) == encode_rail_end(END)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "PERHAPS"},
        {"attempt": 0},
        {"attempt": "1"},
        {"hold": 0},
        {"at": "2026-01-02T00:00:00"},
        {"at": None},
        {"facts": []},
        {"facts": {"a": 1}},
        {"code": None},
    ],
)
def test_a_row_of_another_shape_is_refused(change):
    body = json.loads(encode_rail_end(END)) | change
    with pytest.raises(BadInput):
        decode_rail_end(json.dumps(body).encode())


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_is_raised(body):
    with pytest.raises(BadInput):
        decode_rail_end(body)
