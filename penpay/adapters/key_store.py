"""Wrapped data keys at rest: the installation's own, and the change of the field key that wraps them all.

A new field key costs one small write per customer and none per sealed field: what the data keys sealed stays as it is,
also in tables that nobody may change.
"""

from dataclasses import dataclass
from datetime import datetime

from penpay.adapters.crypto import EVIDENCE, KeySealer
from penpay.adapters.database import Database
from penpay.adapters.sql_text import json_rows

BATCH = 200


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What one run did. `unreadable` are under a field key that this node does not have."""

    done: int
    unreadable: int


class MySqlKeys:
    """The table of wrapped keys. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: KeySealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("keys")

    async def adopt(self, *, at: datetime) -> None:
        """Seal what belongs to no customer with the installation's own data key from now on; draw it if need be.

        Raises `ValueError` when it is under a field key that this node does not have.
        """
        drawn = self._sealer.new_data_key(EVIDENCE)
        await self._database.write(self._queries("add_key", user_id=EVIDENCE, wrapped=drawn, at=at))
        await self.load()

    async def load(self) -> None:
        """Adopt the installation's own data key if there is one, for whoever only reads."""
        rows = await self._database.rows(self._queries("key", user_id=EVIDENCE))
        if rows:
            self._sealer.adopt(rows[0][0])

    async def rewrap(self, *, batches_max: int) -> Rewrapped:
        """Wrap a bounded number of keys anew. Several nodes may do it at once; every key changes once."""
        after, done, unreadable = b"", 0, 0
        header = self._sealer.wrapping
        behind = (int.from_bytes(header) + 1).to_bytes(len(header))
        for _ in range(batches_max):
            found = await self._database.rows(
                self._queries("outdated", after=after, header=header, behind=behind, limit=BATCH)
            )
            if not found:
                break
            after = found[-1][1]
            changed = []
            for user_id, wrapped in found:
                try:
                    changed.append([user_id, wrapped.hex(), self._sealer.rewrapped(user_id, wrapped).hex()])
                except ValueError:
                    unreadable += 1
            if changed:
                done += await self._database.write(self._queries("rewrap", rows=json_rows(changed)))
        return Rewrapped(done, unreadable)
