"""Trouble at the same named points on both sides: as weather in memory, around the driver's calls on MariaDB."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from penpay.adapters.database import Database
from penpay.adapters.ledger_store import MySqlLedgerStore
from penpay.adapters.mysql import Connection


@dataclass
class Troubles:
    """What happens at which point, in turn: an error to raise, or something to await. Nothing when nothing is left."""

    planned: dict[str, list[Any]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def plan(self, point: str, *happenings: Any) -> None:
        self.planned.setdefault(point, []).extend(happenings)

    async def at(self, point: str) -> None:
        self.seen.append(point)
        happening = self.planned[point].pop(0) if self.planned.get(point) else None
        if isinstance(happening, Exception):
            raise happening
        if happening is not None:
            await happening()


class LossyDatabase(Database):
    """The production database, with troubles before and after each piece of work: points `work` and `work.done`."""

    def __init__(self, url: str, *, prefix: str, troubles: Troubles) -> None:
        super().__init__(url, prefix=prefix)
        self._troubles = troubles

    async def _again(self, work: Callable[[Connection], Awaitable[Any]], lane: str) -> Any:
        async def lossy(connection: Connection) -> Any:
            await self._troubles.at("work")
            result = await work(connection)
            await self._troubles.at("work.done")
            return result

        return await super()._again(lossy, lane)


class LossyLedger:
    """The production ledger's store, with troubles around its steps."""

    def __init__(self, store: MySqlLedgerStore, troubles: Troubles) -> None:
        self._store = store
        self._troubles = troubles

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, shard: int) -> AsyncIterator[object]:
        async with self._store.transaction(shard) as transaction:
            for step in ("open", "read", "commit", "bury"):
                setattr(transaction, step, self._around(f"ledger.{step}", getattr(transaction, step)))
            yield transaction

    def _around(self, point: str, step: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def lossy(argument: Any) -> Any:
            await self._troubles.at(point)
            result = await step(argument)
            await self._troubles.at(f"{point}.locked" if point == "ledger.open" else f"{point}.done")
            return result

        return lossy
