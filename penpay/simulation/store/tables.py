"""A table in memory: rows by primary key, unique keys, look-ups kept up to date, and what the schema refuses."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter, gt
from typing import Any, Generic, NamedTuple, TypeVar

from penpay.domain.errors import StoreError
from penpay.ports import CheckViolated, Duplicate
from penpay.simulation.store.rows import PATHS
from penpay.simulation.store.shapes import Shape, shapes

R = TypeVar("R")
Key = Any
Check = tuple[str, Callable[[Any], bool]]
"""A constraint's name, and what is true of a row that it lets pass."""
TOO_LONG = 1406
INCORRECT_TEXT = 1366


class Change(NamedTuple):
    """One row before and after; None where there was or is none."""

    table: "Table[Any]"
    key: Key
    before: Any
    after: Any


class Spec:
    """What all tables of one kind of row share: made once per process, not once per server."""

    __slots__ = (
        "checks", "columns", "key", "limits", "name", "paths", "plain_texts", "shape", "texts", "uniques", "values",
        "widths",
    )  # fmt: skip

    def __init__(self, name: str, row: type, *, checks: Sequence[Check] = ()) -> None:
        self.name = name
        self.shape: Shape = shapes()[name]
        self.checks = checks
        self.columns = [column for column in self.shape.columns if not _is_foreign(row, column)]
        self.paths = {column: _path(row, column) for column in self.columns}
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.paths.values())
        limited = [found for name in self.columns if (found := self.shape.columns[name]).width]
        self.limits = [(column.width, column.ascii, column.name) for column in limited]
        self.texts = _getter([self.paths[column.name] for column in limited])
        self.widths = [column.width for column in limited]
        self.plain_texts = _getter([self.paths[column.name] for column in limited if column.ascii])
        self.key = self._key("PRIMARY")
        self.uniques = [(name, self._key(name)) for name in self.shape.keys if name != "PRIMARY"]

    def _key(self, name: str) -> Callable[[Any], Key | None]:
        """What a key makes of a row; None when a part of it is NULL, which every unique key lets pass."""
        columns = self.shape.keys[name]
        parts: Callable[[Any], Any] = attrgetter(*(self.paths[column] for column in columns))
        if not any(self.shape.columns[column].nullable for column in columns):
            return parts
        if len(columns) == 1:
            return lambda row: parts(row) or None
        nullable = [number for number, column in enumerate(columns) if self.shape.columns[column].nullable]
        return lambda row: None if any(parts(row)[number] == "" for number in nullable) else parts(row)


def _is_foreign(row: type, column: str) -> bool:
    """Columns that the memory does not keep: they say nothing that the core could ask for."""
    return column not in PATHS.get(row, {}) and "" not in PATHS.get(row, {}) and column not in _fields(row)


def _fields(row: type) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(row, "_fields")  # noqa: B009 - of a NamedTuple class, which has no other type
    return fields


def _path(row: type, column: str) -> str:
    paths: Mapping[str, str] = PATHS.get(row, {})
    return paths.get(column) or paths.get("", "") + column


def _getter(paths: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not paths:
        return lambda _: ()
    if len(paths) == 1:
        one = attrgetter(paths[0])
        return lambda row: (one(row),)
    return attrgetter(*paths)


class Table(Generic[R]):
    """Rows of one table. Nothing here waits, and nothing is committed: the caller keeps the list of changes."""

    __slots__ = ("_indexes", "_taken", "rows", "spec")

    def __init__(self, spec: Spec, **indexes: Callable[[R], Key | None]) -> None:
        self.spec = spec
        self.rows: dict[Key, R] = {}
        self._taken: list[tuple[str, Callable[[Any], Key], dict[Key, Key]]] = [
            (name, unique, {}) for name, unique in spec.uniques
        ]
        self._indexes: dict[str, tuple[Callable[[R], Key | None], dict[Key, dict[Key, None]]]] = {
            name: (found, {}) for name, found in indexes.items()
        }

    def get(self, key: Key) -> R | None:
        """The row with this primary key."""
        return self.rows.get(key)

    def __iter__(self) -> Iterator[R]:
        return iter(self.rows.values())

    def under(self, index: str, value: Key) -> list[R]:
        """All rows that an index files under a value."""
        keys = self._indexes[index][1].get(value)
        return [self.rows[key] for key in keys] if keys else []

    def holder(self, unique: str, value: Key) -> Key | None:
        """The primary key of the row that holds a unique key."""
        for name, _, taken in self._taken:
            if name == unique:
                return taken.get(value)
        raise KeyError(unique)

    def insert(self, row: R, changes: list[Change]) -> None:
        """Add a row. Raises `Duplicate`, named as the ledger's statements name it, `CheckViolated` or `StoreError`."""
        self._fits(row)
        key = self.spec.key(row)
        if key in self.rows:
            raise Duplicate(f"{self.spec.name}.PRIMARY")
        for name, unique, taken in self._taken:
            if unique(row) in taken:
                raise Duplicate(f"{self.spec.name}.{name}")
        self._put(key, None, row)
        changes.append(Change(self, key, None, row))

    def change(self, key: Key, row: R, changes: list[Change]) -> None:
        """Put another row in the place of one that exists; keys do not change."""
        before = self.rows[key]
        self._fits(row)
        self._put(key, before, row)
        changes.append(Change(self, key, before, row))

    def undo(self, change: Change) -> None:
        """As it was before."""
        self._put(change.key, change.after, change.before)

    def _fits(self, row: R) -> None:
        spec = self.spec
        # Nearly always everything fits: asked of all texts at once, and of each only when one does not.
        if any(map(gt, map(len, spec.texts(row)), spec.widths)) or not "".join(spec.plain_texts(row)).isascii():
            self._refuse(row)
        for name, holds in spec.checks:
            if not holds(row):
                raise CheckViolated(f"CONSTRAINT `{name}` failed for `{self.spec.name}`")

    def _refuse(self, row: R) -> None:
        for text, (width, is_ascii, column) in zip(self.spec.texts(row), self.spec.limits, strict=True):
            if len(text) > width:
                raise StoreError(TOO_LONG, f"Data too long for column '{column}'")
            if is_ascii and not text.isascii():
                raise StoreError(INCORRECT_TEXT, f"Incorrect string value for column '{column}'")

    def _put(self, key: Key, before: R | None, after: R | None) -> None:
        if after is None:
            del self.rows[key]
        else:
            self.rows[key] = after
        if before is None or after is None:
            for _, unique, taken in self._taken:
                if before is not None:
                    taken.pop(unique(before), None)
                elif (value := unique(after)) is not None:
                    taken[value] = key
        for found, filed in self._indexes.values():
            old = found(before) if before is not None else None
            new = found(after) if after is not None else None
            if old != new:
                if old is not None:
                    del filed[old][key]
                if new is not None:
                    filed.setdefault(new, {})[key] = None


def undone(changes: Iterable[Change]) -> None:
    """Take changes back, the newest first."""
    for change in reversed(list(changes)):
        change.table.undo(change)


@cache
def spec(name: str, row: type, checks: tuple[Check, ...] = ()) -> Spec:
    """The shared part of a table."""
    return Spec(name, row, checks=checks)
