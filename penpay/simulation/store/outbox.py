"""Reads of the outbox in memory."""

from collections.abc import Sequence

from penpay.ports import OutboxRow
from penpay.simulation.store.node import MemoryNode


class MemoryOutboxStore:
    """`penpay.ports.OutboxStore`. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def after(self, shard: int, seq: int, *, limit: int) -> Sequence[OutboxRow]:
        """The sequence has no gaps, so that the next ones are found by counting."""
        outbox = (await self._node.look("outbox.after")).outbox
        found: list[OutboxRow] = []
        while len(found) < limit and (entry := outbox.get((shard, seq + 1))) is not None:
            seq += 1
            found.append(
                OutboxRow(
                    shard=entry.shard,
                    seq=entry.seq,
                    stream=entry.stream,
                    event_id=entry.event_id,
                    type=entry.type,
                    user_id=entry.user_id,
                    body=entry.body,
                )
            )
        return found

    async def newest(self, shard: int) -> int:
        """Place of the shard's newest event; 0 before the first."""
        return (await self._node.look("outbox.newest")).fences.rows[f"shard/{shard}"].outbox_seq

    async def cursor(self, shard: int) -> int:
        """0 when the relay has never recorded one."""
        found = (await self._node.look("outbox.cursor")).outbox_cursors.get(shard)
        return found.seq if found is not None else 0
