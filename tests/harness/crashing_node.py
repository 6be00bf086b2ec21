"""`penpay serve`, but the process dies at one named point: `CRASH_AT=<point> python -m tests.harness.crashing_node`.

The node is composed of its real parts; only the ledger's store, the rails' attempts, Safaricom's client and Deriv's
sockets are handed in inside a shell that ends the process (`os._exit`, so nothing is flushed, closed or given back).
A point is `<what>:<when>`:

- `unit <event>:before|after`: around the commit of the unit that records this event of a saga, or an audit record of
  this action;
- `sent <kind>:before|after`, `end <kind>:before|after`: around the rail's own rows about an operation of this kind;
- `call <name>:before|after`: before a call leaves, and when its answer has come back, which nobody then hears of.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from config.logging import configure_logging
from config.settings import load_settings
from penpay.app.node import Node
from penpay.app.outside import Connected, outside_of
from penpay.ports import AttemptEnd
from penpay.ports_ledger import LedgerBatch

DIED = 86
"""The exit status of a node that died where it was told to."""
MONEY_CALLS = frozenset({"paymentagent_transfer", "paymentagent_withdraw"})


class Death:
    """Ends the process when its point comes."""

    def __init__(self, point: str) -> None:
        self._what, _, self._when = point.partition(":")

    def at(self, what: str, when: str) -> None:
        if (what, when) == (self._what, self._when):
            os._exit(DIED)

    async def around(self, what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do it, unless this is the moment before; its answer reaches nobody, if this is the moment after."""
        self.at(what, "before")
        try:
            return await work()
        finally:
            self.at(what, "after")


class Shell:
    """Everything of what is inside, but for what a shell does itself."""

    def __init__(self, inside: Any, death: Death) -> None:
        self._inside, self._death = inside, death

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)


class Ledger(Shell):
    @asynccontextmanager
    async def transaction(self, shard: int) -> AsyncIterator[Any]:
        async with self._inside.transaction(shard) as transaction:
            commit = transaction.commit
            transaction.commit = lambda batch: self._commit(commit, batch)
            yield transaction

    async def _commit(self, commit: Callable[[LedgerBatch], Awaitable[None]], batch: LedgerBatch) -> None:
        units = [planned.incoming.unit for planned in batch.units]
        steps = [step.event for unit in units if unit.transaction is not None for step in unit.transaction.events]
        events = [f"unit {event}" for event in [*steps, *(record.action for unit in units for record in unit.audit)]]
        for event in events:
            self._death.at(event, "before")
        await commit(batch)
        for event in events:
            self._death.at(event, "after")


class Attempts(Shell):
    """A rail begins one kind of operation under a lease of its own, and ends it; kinds are read from the row."""

    async def begin(self, rail: str, epoch: int, operation_id: str, **more: Any) -> Any:
        kind = await self._kind(operation_id)
        return await self._death.around(f"sent {kind}", lambda: self._inside.begin(rail, epoch, operation_id, **more))

    async def end(self, rail: str, epoch: int, end: AttemptEnd, **more: Any) -> Any:
        kind = await self._kind(end.operation_id)
        return await self._death.around(f"end {kind}", lambda: self._inside.end(rail, epoch, end, **more))

    async def _kind(self, operation_id: str) -> str:
        found = await self._inside._operations({operation_id})
        return str(found[operation_id].kind)


class Daraja(Shell):
    async def stk_push(self, **asked: Any) -> Any:
        return await self._death.around("call stk_push", lambda: self._inside.stk_push(**asked))

    async def reverse(self, **asked: Any) -> Any:
        return await self._death.around("call reverse", lambda: self._inside.reverse(**asked))

    async def pay_out(self, payout: Any) -> Any:
        return await self._death.around("call pay_out", lambda: self._inside.pay_out(payout))


class Dialer(Shell):
    async def connect(self) -> Any:
        return Socket(await self._inside.connect(), self._death)


class Socket(Shell):
    async def send(self, frame: str) -> None:
        if name := money_call(json.loads(frame)):
            self._death.at(f"call {name}", "before")
        await self._inside.send(frame)

    async def receive(self) -> str:
        frame: str = await self._inside.receive()
        told = json.loads(frame)
        if name := money_call(told.get("echo_req", {})):
            self._death.at(f"call {name}", "after")
        return frame


def money_call(request: Mapping[str, Any]) -> str:
    """The name of a call that moves money; a dry run moves none."""
    found = MONEY_CALLS & request.keys()
    return next(iter(found)) if found and not request.get("dry_run") else ""


def doomed(outside: Connected, death: Death) -> Connected:
    """The outside, with shells around what a saga's steps go through."""
    stores = replace(
        outside.stores,
        ledger=Ledger(outside.stores.ledger, death),
        attempts=Attempts(outside.stores.attempts, death),
    )
    return replace(outside, stores=stores, daraja=Daraja(outside.daraja, death), dialer=Dialer(outside.dialer, death))


async def main() -> int:
    settings = load_settings(os.environ)
    configure_logging(form=settings.node.log_format, level=settings.node.log_level, for_good=True)
    return await Node(settings, doomed(outside_of(settings), Death(os.environ["CRASH_AT"]))).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
