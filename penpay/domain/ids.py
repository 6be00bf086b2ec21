"""Identifiers: ULIDs, shards and the short reference that M-Pesa shows. Pure: time and randomness are given."""

import re
import zlib

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_VALUES = {letter: value for value, letter in enumerate(CROCKFORD)}
_PAIRS = [first + second for first in CROCKFORD for second in CROCKFORD]
_SHIFTS = range(120, -1, -10)


def ulid(ms: int, randomness: bytes) -> str:
    """26 characters: 48 bits of milliseconds since 1970, then 80 bits of `randomness` (10 bytes)."""
    assert len(randomness) == 10
    return _text((ms & ((1 << 48) - 1)) << 80 | int.from_bytes(randomness))


def _text(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def is_ulid(text: object) -> bool:
    """True for the canonical upper-case text form only."""
    return type(text) is str and _ULID.fullmatch(text) is not None


def ulid_bytes(text: str) -> bytes:
    """The 16 bytes behind a ULID's text."""
    number = 0
    for letter in text:
        number = number << 5 | _VALUES[letter]
    return number.to_bytes(16)


def ulid_ms(text: str) -> int:
    """When it was drawn, in milliseconds since 1970."""
    return int.from_bytes(ulid_bytes(text)[:6])


def ulid_from_bytes(raw: bytes) -> str:
    """The text of 16 bytes."""
    return _text(int.from_bytes(raw))


def shard_of(user_id: str, shards: int) -> int:
    """The shard that owns a user and everything of theirs. Stable for ever; `shards` is fixed at installation."""
    return zlib.crc32(user_id.encode()) % shards


def account_reference(operation_id: str) -> str:
    """The 12-character AccountReference of an STK push (Daraja allows at most 12, alphanumeric).

    The tail of the operation's ULID: 55 random bits behind a letter that marks it as ours.
    """
    return "P" + operation_id[-11:]


def uuid_text(identifier: str) -> str:
    """The same 128 bits as a ULID in the form of a UUID, as Safaricom wants the id of a payout."""
    digits = ulid_bytes(identifier).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
