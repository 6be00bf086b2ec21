"""JSON from strangers: bounded, without duplicate names, NaN or half characters, before anything looks at it.

Source: faults.md S38, S39. A body is first judged by its bytes, so a bomb costs no parsing.
"""

import json
import re
from typing import Any

from config.limits import JSON_DEPTH_MAX, JSON_DIGITS_MAX, JSON_KEYS_MAX


class MalformedJson(ValueError):
    """The text is not a JSON object within the limits. The message is for the caller and quotes nothing of it."""


_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Possessive, and a string that never ends ends with the text: no byte is looked at from two starting points."""


def parse_object(raw: bytes) -> dict[str, Any]:
    """The one object that `raw` holds. Raises `MalformedJson`."""
    if raw.count(b"{") + raw.count(b"[") > JSON_DEPTH_MAX or raw.count(b":") > JSON_KEYS_MAX:
        # Only a suspicious body is looked at twice: brackets and colons inside strings are not counted then.
        _refuse_bombs(_STRINGS.sub(b'""', raw))
    try:
        value = _DECODE(raw.decode())
    except MalformedJson:
        raise
    except ValueError:
        # Also UnicodeDecodeError: the text must be UTF-8.
        raise MalformedJson("is not JSON in UTF-8") from None
    if type(value) is not dict:
        raise MalformedJson("is not an object")
    if b"\\u" in raw:
        _refuse_half_characters(value)
    return value


def _refuse_bombs(bare: bytes) -> None:
    depth = deepest = 0
    for byte in re.findall(rb"[\[\]{}]", bare):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > JSON_DEPTH_MAX:
            raise MalformedJson(f"is nested more than {JSON_DEPTH_MAX} levels deep")
    if bare.count(b":") > JSON_KEYS_MAX:
        raise MalformedJson(f"has more than {JSON_KEYS_MAX} names")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedJson("names a field twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > JSON_DIGITS_MAX:
        raise MalformedJson("holds a number that is too long")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > JSON_DIGITS_MAX + 6:
        raise MalformedJson("holds a number that is too long")
    return float(digits)


def _constant(_name: str) -> Any:
    raise MalformedJson("holds NaN or Infinity")


_DECODE = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
).decode


def _refuse_half_characters(value: Any) -> None:
    """An escaped lone surrogate is no character; it could not be stored or sent on."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedJson("holds half a character") from None
