"""Named queries, and how values become part of a statement: the only place where SQL text is put together.

Statements live in `sql/queries/*.sql`. A query begins with `-- name: …`, then a sentence that says what it is for.
`{users}`, `{ledger}` and `{audit}` stand for the schemas, `:name` for a value, `{rows}` for the rows of an INSERT, and
in `CASE … {column} END` the name of a column for what it becomes in each of many rows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path

import orjson
from pymysql.converters import escape_string

from penpay.data import data_dir

SCHEMAS = ("users", "ledger", "audit")
CASES_MAX = 32
"""Rows of a statement that names each row's values: the server looks for each key from the first on, so more rows make
it slower again (measured)."""
_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\n", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z][a-z0-9_]*)")


def text(value: str) -> str:
    """A string literal. Sound because every session is utf8mb4 and no session may set NO_BACKSLASH_ESCAPES."""
    escaped: str = escape_string(value)
    return f"'{escaped}'"


def blob(value: bytes) -> str:
    """A binary literal."""
    return "x'" + value.hex() + "'"


def instant(value: datetime) -> str:
    """A UTC time with microseconds. A time without a zone is a bug of the caller."""
    if value.tzinfo is not UTC:
        assert value.tzinfo is not None, "a time without a zone"
        value = value.astimezone(UTC)
    return "'" + value.isoformat(" ", "microseconds")[:26] + "'"


def literal(value: object) -> str:
    """Any parameter. Lists stand for the inside of `IN (…)`; an empty one matches nothing."""
    match value:
        case None:
            return "NULL"
        case Enum():
            return text(str(value.value))
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case str():
            return text(value)
        case bytes():
            return blob(value)
        case datetime():
            return instant(value)
        case list() | tuple() | set() | frozenset():
            return ", ".join(map(literal, value)) or "NULL"
        case _:
            raise TypeError(f"{type(value).__name__} is not a parameter")


def json_rows(rows: Sequence[Sequence[object]]) -> str:
    """Rows for a JSON_TABLE: the way to change many rows at once with rights on single columns only."""
    return orjson.dumps(rows).decode()


def row(*values: object) -> str:
    """One row of an INSERT."""
    return "(" + ", ".join(map(literal, values)) + ")"


def schema_names(prefix: str) -> Mapping[str, str]:
    """Schema placeholders and the real names behind them."""
    return {schema: f"{prefix}{schema}" for schema in SCHEMAS}


def with_schemas(statement: str, prefix: str) -> str:
    """Put the schemas' names in."""
    for schema, name in schema_names(prefix).items():
        statement = statement.replace("{" + schema + "}", name)
    return statement


class Queries:
    """The named queries of one file for one installation."""

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = statements
        self._pieces = {name: _PARAMETER.split(body) for name, body in statements.items()}
        """Text and names of parameters in turn."""

    @classmethod
    def load(cls, name: str, *, prefix: str) -> "Queries":
        """Read `sql/queries/<name>.sql`."""
        found = parsed(data_dir("sql") / "queries" / f"{name}.sql")
        return cls({key: with_schemas(body, prefix) for key, body in found.items()})

    def names(self) -> Iterable[str]:
        """All names, for tests."""
        return self._statements.keys()

    def __call__(self, name: str, /, **values: object) -> str:
        """The statement with its values; every parameter must be given, and nothing else."""
        pieces = [*self._pieces[name]]
        names = pieces[1::2]
        assert values.keys() == set(names), f"{name}: {values.keys() ^ set(names)}"
        pieces[1::2] = [literal(values[parameter]) for parameter in names]
        return "".join(pieces)

    def with_cases(
        self, name: str, keys: Sequence[str], columns: Mapping[str, Sequence[object]], /, **values: object
    ) -> str:
        """A statement that gives many rows their own values: `{column}` becomes one `WHEN key THEN value` per key."""
        assert 0 < len(keys) <= CASES_MAX
        statement = self(name, **values)
        labels = [literal(key) for key in keys]
        for column, given in columns.items():
            whens = " ".join(f"WHEN {label} THEN {literal(value)}" for label, value in zip(labels, given, strict=True))
            before, after = statement.split("{" + column + "}")
            statement = f"{before}{whens}{after}"
        return statement

    def with_rows(self, name: str, rows: Sequence[str]) -> str:
        """A statement over many rows. `rows` are finished row texts."""
        assert rows, "a list of rows is never empty"
        before, after = self._statements[name].split("{rows}")
        return f"{before}{','.join(rows)}{after}"


@cache
def parsed(path: Path) -> Mapping[str, str]:
    """Named statements of a file, without their comments."""
    pieces = _NAME.split(path.read_text())
    found: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        assert name not in found, f"{path.name} has {name} twice"
        found[name] = "\n".join(lines).strip().removesuffix(";")
    return found
