"""JSON of our own values: one form, whichever encoder wrote it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.json_text import canonical_bytes, canonical_json, json_bytes, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_both_encoders_write_the_same(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    assert canonical_json(value) == text
    assert canonical_bytes(value) == text.encode()
    assert json_bytes(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@given(VALUES)
def test_what_was_written_is_read_again(value):
    small = json.loads(json.dumps(value), parse_int=lambda digits: int(digits[:15]))
    assert read_json(json_bytes(small)) == small
    assert read_json(canonical_json(small)) == small


def test_numbers_beyond_64_bits_are_written_out():
    assert canonical_bytes({"b": 1 << 70, "a": 1}) == b'{"a":1,"b":1180591620717411303424}'


def test_half_a_character_is_refused_where_it_would_become_bytes():
    assert canonical_json({"a": "\ud800"}) == '{"a":"\ud800"}'
    for bytes_of in (json_bytes, canonical_bytes):
        with pytest.raises(UnicodeEncodeError):
            bytes_of({"a": "\ud800"})


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=UTC), object(), {1, 2}])
def test_what_json_does_not_know_is_a_bug(value):
    for write in (json_bytes, canonical_bytes, canonical_json):
        with pytest.raises(TypeError):
            write({"a": value})
