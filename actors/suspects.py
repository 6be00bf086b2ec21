"""One suspect at a time: whoever works on evidence that may end the process says so first, and is alone with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from penpay.domain.errors import Unavailable
from penpay.domain.suspicion import SUSPECT
from penpay.messages import InboxRow
from penpay.ports import InboxStore

TURN_S = 5.0
"""The longest wait for a turn; the row is told again later. A saga that stands in line must not look stalled."""


class Suspects:
    """Shared by all sagas and inboxes of a process, whatever their shard."""

    def __init__(self, store: InboxStore) -> None:
        self._store = store
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, row: InboxRow) -> AsyncIterator[None]:
        """Around the work on a row. A suspect is durably in hand from before the first line of it until it is consumed.

        Raises `Unavailable`, also when others do not come to an end; a dependency that is away is not held against it.
        """
        if row.suspicion < SUSPECT:
            yield
            return
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("a turn for suspected evidence") from None
        try:
            await self._store.suspect(row.id, in_hand=True)
            yield
        except Unavailable:
            with suppress(Unavailable):
                await self._store.suspect(row.id, in_hand=False)
            raise
        finally:
            self._turn.release()
