"""What the migrations say of tables: columns, widths and keys. The memory refuses what the schema would refuse."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from penpay.data import data_dir

_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?\{\w+\}\.(\w+) \((.*)\) ENGINE=.*?CHARSET=(\w+)", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE \{\w+\}\.(\w+)\s+ADD COLUMN (?:IF NOT EXISTS )?(.*?);", re.DOTALL)
_DROPPED = re.compile(r"ALTER TABLE \{\w+\}\.(\w+)\s+DROP COLUMN (\w+);")
_CHECKED = re.compile(r"ALTER TABLE \{\w+\}\.(\w+)\s+ADD CONSTRAINT (\w+) CHECK")
_TYPES = "(?:VAR)?CHAR|VARBINARY|BINARY|(?:TINY|SMALL|MEDIUM|BIG)?INT|(?:MEDIUM)?(?:TEXT|BLOB)|DATETIME"
_COLUMN = re.compile(rf"(\w+) ({_TYPES})\b(?:\((\d+)\))?(?: CHARACTER SET (\w+) COLLATE \w+)?( NOT NULL)?")
_KEY = re.compile(r"(?:PRIMARY|UNIQUE) KEY ?(\w*) ?\(([\w, ]+)\)")
_CHECK = re.compile(r"CONSTRAINT (\w+) CHECK")
_TEXTS = {"CHAR", "VARCHAR", "VARBINARY"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `width` is 0 where no caller can meet a limit."""

    name: str
    type: str
    width: int
    ascii: bool
    nullable: bool


@dataclass(slots=True)
class Shape:
    """One table."""

    name: str
    columns: dict[str, Column] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Primary and unique keys in the order in which a server looks at them."""
    checks: list[str] = field(default_factory=list)

    def add(self, text: str, charset: str) -> None:
        """Take a column's definition in."""
        found = _COLUMN.match(text)
        assert found is not None, text
        name, type_, width, own_charset, not_null = found.groups()
        is_text = type_ in _TEXTS
        is_ascii = is_text and type_ != "VARBINARY" and (own_charset or charset) == "ascii"
        self.columns[name] = Column(name, type_, int(width) if is_text else 0, is_ascii, not not_null)


@cache
def shapes() -> Mapping[str, Shape]:
    """Every table of the migrations by its name."""
    found: dict[str, Shape] = {}
    for path in sorted((data_dir("sql") / "migrations").glob("*.sql")):
        text = path.read_text()
        if created := _TABLE.search(text):
            name, body, charset = created.groups()
            found[name] = _shape(name, body, charset)
        for name, column in _ADDED.findall(text):
            found[name].add(column, "ascii")
        for name, column in _DROPPED.findall(text):
            del found[name].columns[column]
        for name, check in _CHECKED.findall(text):
            found[name].checks.append(check)
    return found


def _shape(name: str, body: str, charset: str) -> Shape:
    shape = Shape(name)
    for line in map(str.strip, body.splitlines()):
        if key := _KEY.match(line):
            shape.keys[key[1] or "PRIMARY"] = tuple(key[2].split(", "))
        elif check := _CHECK.match(line):
            shape.checks.append(check[1])
        elif _COLUMN.match(line) and not line.startswith(("KEY", "CONSTRAINT")):
            shape.add(line, charset)
    return shape
