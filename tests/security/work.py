"""What a request makes the process do: statements of the database and slow hashes, counted instead of timed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from penpay.adapters import mysql
from penpay.adapters.passwords import Argon2Passwords

_VALUES = re.compile(r"x'[0-9a-f]*'|'(?:[^'\\]|\\.)*'|\bNULL\b|\b\d+\b")


@dataclass
class Work:
    """One entry per thing done, in order; values are left out of the statements."""

    done: list[str] = field(default_factory=list)

    @property
    def hashes(self) -> int:
        return sum(one.startswith("argon2") for one in self.done)


@contextmanager
def work_done(monkeypatch) -> Iterator[Work]:
    """Count everything between entry and exit."""
    seen = Work()
    query, rows, commit = mysql.Connection.query, mysql.Connection.rows, mysql.Connection.commit
    hashed, checked = Argon2Passwords.hash_password, Argon2Passwords.check_password

    async def counted_query(self, statement, **more):
        seen.done.append(_VALUES.sub("?", statement))
        return await query(self, statement, **more)

    async def counted_rows(self, statement):
        seen.done.append(_VALUES.sub("?", statement))
        return await rows(self, statement)

    async def counted_commit(self):
        seen.done.append("COMMIT")
        return await commit(self)

    async def counted_hash(self, password):
        seen.done.append("argon2 hash")
        return await hashed(self, password)

    async def counted_check(self, stored, password):
        seen.done.append("argon2 check")
        return await checked(self, stored, password)

    with monkeypatch.context() as patch:
        patch.setattr(mysql.Connection, "query", counted_query)
        patch.setattr(mysql.Connection, "rows", counted_rows)
        patch.setattr(mysql.Connection, "commit", counted_commit)
        patch.setattr(Argon2Passwords, "hash_password", counted_hash)
        patch.setattr(Argon2Passwords, "check_password", counted_check)
        yield seen
