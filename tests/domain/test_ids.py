"""Ids: sortable, reversible, spread over the shards."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.ids import account_reference, is_ulid, shard_of, ulid, ulid_bytes, ulid_from_bytes

times = st.integers(min_value=0, max_value=2**48 - 1)
noise = st.binary(min_size=10, max_size=10)


@given(times, noise)
def test_a_ulid_is_its_bytes(ms: int, randomness: bytes) -> None:
    text = ulid(ms, randomness)
    assert is_ulid(text)
    assert ulid_bytes(text) == ms.to_bytes(6) + randomness
    assert ulid_from_bytes(ulid_bytes(text)) == text


@given(times, times, noise, noise)
def test_later_ulids_sort_later(a: int, b: int, x: bytes, y: bytes) -> None:
    if a < b:
        assert ulid(a, x) < ulid(b, y)


def test_other_alphabets_and_lengths_are_no_ulids() -> None:
    good = ulid(1_700_000_000_000, b"0123456789")
    assert not any(map(is_ulid, [good[:-1], good + "0", good.lower(), good[:-1] + "U", "8" + good[1:], None, 7]))


@given(times, noise)
def test_the_payers_reference_fits_what_safaricom_allows(ms: int, randomness: bytes) -> None:
    reference = account_reference(ulid(ms, randomness))
    assert len(reference) == 12
    assert reference.isalnum()


def test_users_spread_over_the_shards() -> None:
    counts = Counter(shard_of(ulid(1_700_000_000_000 + n, n.to_bytes(10)), 16) for n in range(8_000))
    assert counts.keys() == set(range(16))
    assert min(counts.values()) > 350
