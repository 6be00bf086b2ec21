"""JSON of our own values: without white space, and the same value gives the same bytes.

What others send is read where their rules are known (a provider's decimals, a customer's long numbers), not here.
"""

import json
from collections.abc import Callable
from typing import Any

import orjson

# A value that is none of JSON's is a bug; orjson would write dates and records in a form of its own.
_AS_GIVEN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_SORTED = _AS_GIVEN | orjson.OPT_SORT_KEYS
_ODD = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_ODD_SORTED = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True).encode

read_json: Callable[[str | bytes], Any] = orjson.loads
"""What was written here. Raises `ValueError` for what is no JSON."""


def json_bytes(value: object) -> bytes:
    """UTF-8, in the order of the given mappings."""
    try:
        return orjson.dumps(value, option=_AS_GIVEN)
    except TypeError:
        return _ODD(value).encode()  # a number beyond 64 bits, half a character, or a bug: told apart there


def canonical_bytes(value: object) -> bytes:
    """UTF-8 with sorted keys: what is hashed, signed, compared."""
    try:
        return orjson.dumps(value, option=_SORTED)
    except TypeError:
        return _ODD_SORTED(value).encode()


def canonical_json(value: object) -> str:
    """The same as text, for a column. Half a character stays one, and is refused where it would be stored."""
    try:
        return orjson.dumps(value, option=_SORTED).decode()
    except TypeError:
        return _ODD_SORTED(value)
