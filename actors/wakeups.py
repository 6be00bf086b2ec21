"""The alarm clock of a shard: waiting sagas are rows with a time, and this actor wakes those whose time has come."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from actors.base import AsyncioActor, MailboxFull
from penpay.domain.errors import Unavailable
from penpay.messages import WakeUp, saga_of
from penpay.ports import Addresses, Clock, SagaStore

log = structlog.get_logger()

PAGE_MAX = 50
"""Sagas woken per look: after a long pause they come back in slices, the most urgent first (the query orders them)."""
PATIENCE_S = 5.0
"""A saga that was woken is not woken again before this, unless its row has moved."""


class WakeUpsActor(AsyncioActor):
    """Looks every `every_s` seconds. Losing a wake-up is harmless: the row stays due."""

    KIND = "wakeups"
    LEVEL = 5

    def __init__(self, *, shard: int, addresses: Addresses, store: SagaStore, clock: Clock, every_s: float) -> None:
        super().__init__()
        self._shard = shard
        self._addresses = addresses
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._woken: dict[tuple[str, datetime], float] = {}
        """When each was woken, by id and the time in its row: a row that has moved is another one."""
        self._problem = ""

    def observable_state(self) -> Mapping[str, object]:
        """How many were woken lately, and why it does not look, if it does not."""
        return {"woken_lately": len(self._woken), "problem": self._problem}

    async def on_start(self) -> None:
        """First look at once: after a restart there may be much to do."""
        self.timers.every("look", self._every_s, "look")
        self.actor_ref.tell("look")

    async def on_receive(self, _message: Any) -> None:
        """One look. With the database away it looks again later."""
        now_s = self._clock.monotonic_s()
        self._woken = {key: at for key, at in self._woken.items() if now_s - at < PATIENCE_S}
        try:
            due = await self._store.due(self._shard, now=self._clock.now(), limit=PAGE_MAX + len(self._woken))
        except Unavailable as error:
            self._problem = str(error)
            # Whoever was woken lately could not read either, and dropped it.
            self._woken.clear()
            return
        self._problem = ""
        fresh = [waiting for waiting in due if waiting not in self._woken][:PAGE_MAX]
        for waiting in fresh:
            transaction_id, _ = waiting
            try:
                self._addresses.tell(saga_of(self._shard, transaction_id), WakeUp())
            except MailboxFull:
                log.warning("wake_up_postponed", transaction_id=transaction_id)
                continue  # it may be that one's own mailbox, and the others wait for their time too
            self._woken[waiting] = now_s
