"""One process of the simulation as the store sees it: its connection, its weather, its stores."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from penpay.domain.errors import StoreError, Unavailable
from penpay.ports import Clock, ConnectionLost, Deadlock, Ids, LockTimeout
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.server import MemoryServer
from penpay.simulation.store.sessions import Session
from penpay.simulation.store.tables import Change
from penpay.simulation.store.weather import Weather

Result = TypeVar("Result")
PASSING = (Deadlock, LockTimeout, ConnectionLost)
TRIES = 5
PAUSE_S = 0.015
"""Doubled with every try; the production adapter's jitter around it is left to the weather."""


@dataclass(frozen=True, slots=True)
class MemoryNode:
    """What the stores of one process share. `clock` and `ids` are the process's own."""

    server: MemoryServer
    name: str
    boot_id: str
    clock: Clock
    ids: Ids
    weather: Weather

    async def look(self, point: str) -> Schema:
        """The committed rows, after whatever the weather does; again after a passing trouble. Raises `Unavailable`."""
        last: StoreError = Unavailable("database")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(PAUSE_S * 2**number)
            self.server.reachable(self.boot_id)
            try:
                await self.weather.at(point)
            except PASSING as error:
                last = error
                continue
            self.server.reachable(self.boot_id)
            return self.server.schema
        raise Unavailable("database") from last

    async def write(self, point: str, change: Callable[[list[Change]], Result]) -> Result:
        """One statement that commits by itself, again after a passing trouble: then it may take effect twice."""

        async def once(session: Session) -> Result:
            await self.weather.at(point)
            result = session.commit(change)
            await self.weather.at(f"{point}.done")
            return result

        return await self.transact(once)

    async def transact(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        """Run `work` with a session, again after a passing trouble. Raises `Unavailable` in the end."""
        last: StoreError = Unavailable("database")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(PAUSE_S * 2**number)
            try:
                with self.server.connect(self.boot_id) as session:
                    return await work(session)
            except PASSING as error:
                last = error
        raise Unavailable("database") from last
