"""Carries the heads of the chains out of the database, and notices when the database went back in time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import AsyncioActor
from config.limits import ANCHOR_ROWS
from penpay.domain.errors import Unavailable
from penpay.domain.gate import NOT_COMPARED, RecoveryGate, for_all_shards, reasons_to_close
from penpay.messages import AcceptRecovery, MakeAnchors, Refusal
from penpay.ports import Clock
from penpay.ports_audit import Anchor, AnchorBook, HeadsStore, Sighting, Witness, standing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorParts:
    """What the anchor actor works with. Seconds between looks, and between anchors of a quiet chain."""

    heads: HeadsStore
    book: AnchorBook
    gate: RecoveryGate
    clock: Clock
    shards: int
    look_s: float = 1.0
    anchor_s: float = 300.0
    anchor_rows: int = ANCHOR_ROWS


class AnchorActor(AsyncioActor):
    """Looks every second: writes the witness, and an anchor of each chain that has grown enough or long ago.

    Until its first look the recovery gate is closed for every shard. `MakeAnchors` makes anchors now, before a
    verification; its stop makes them too. `AcceptRecovery` opens what a comparison with the providers has cleared.
    """

    KIND = "anchors"
    LEVEL = 5
    """Below the listeners, which ask it to end a recovery."""

    def __init__(self, parts: AnchorParts) -> None:
        super().__init__()
        self._parts = parts
        self._witness: Witness | None = None
        self._anchored: dict[str, int] = {}
        self._anchored_s = parts.clock.monotonic_s()
        self._last = "not looked yet"
        self._damage = ""
        for shard in range(parts.shards):
            parts.gate.close(shard, NOT_COMPARED)

    def observable_state(self) -> Mapping[str, object]:
        """How the last look went, and what keeps shards closed."""
        return {"last": self._last, "anchored": dict(self._anchored), "closed": self._parts.gate.closed()}

    async def on_start(self) -> None:
        """The first look decides about the gate; without a database it comes later."""
        self.timers.every("look", self._parts.look_s, "look")
        await self._guarded(now=False)

    async def on_stop(self) -> None:
        """The tail that was written since the last anchor must not be lost sight of."""
        await self._guarded(now=True)

    async def on_receive(self, message: Any) -> object:
        """A look by the timer, an anchor of everything on demand, or the end of a recovery."""
        if isinstance(message, AcceptRecovery):
            return await self._accept()
        return await self._guarded(now=isinstance(message, MakeAnchors))

    async def _guarded(self, *, now: bool) -> str:
        try:
            seen = await self._parts.heads.look()
            await self._compare(seen)
            await self._anchor(seen, now=now)
            self._last = "well"
        except (Unavailable, OSError) as error:
            # A full disk under the anchors is as much of a state as a database that is away.
            self._last = f"postponed: {error}"
            log.warning("anchors_postponed", reason=str(error))
        return self._last

    async def _compare(self, seen: Sighting) -> None:
        gate, book = self._parts.gate, self._parts.book
        before = self._witness
        if before is None:
            before = await self._remembered(seen)
        reasons = reasons_to_close(
            seen.unit_seqs, seen.server, witnessed=before.unit_seqs, witnessed_server=before.server
        )
        if self._damage:
            reasons = dict.fromkeys(seen.unit_seqs, self._damage) | reasons
        for head in seen.heads:
            if head.seq < self._anchored.get(head.chain, 0):
                shard = int(head.chain.rpartition("/")[2]) if not head.chain.endswith("sys") else 0
                reasons.setdefault(shard, f"{head.chain} is at {head.seq}, its anchor at {self._anchored[head.chain]}")
        reasons = for_all_shards(reasons | gate.doubted(), self._parts.shards)
        for shard, reason in reasons.items():
            if gate.reason(shard) in {"", NOT_COMPARED}:
                log.error("recovery_gate_closed", shard=shard, reason=reason)
                gate.open(shard)
                gate.close(shard, reason)
        for shard in range(self._parts.shards):
            if shard not in reasons and gate.reason(shard) == NOT_COMPARED:
                gate.open(shard)
        # What was seen once stays witnessed: a database that went back must not erase the proof of it.
        unit_seqs = {shard: max(unit_seq, before.unit_seqs.get(shard, 0)) for shard, unit_seq in seen.unit_seqs.items()}
        self._witness = Witness(before.server or seen.server, unit_seqs)
        if self._witness != before:
            await book.bear_witness(seen.installation_id, self._witness)

    async def _remembered(self, seen: Sighting) -> Witness:
        """What lies outside the database. Somebody who altered it closes the gate; a person must look."""
        book = self._parts.book
        try:
            for anchor in standing(await book.anchors(seen.installation_id)):
                self._anchored[anchor.chain] = max(anchor.seq, self._anchored.get(anchor.chain, 0))
            return await book.witness(seen.installation_id)
        except ValueError as error:
            self._damage = f"outside the database: {error}"
            return Witness()

    async def _accept(self) -> tuple[int, ...] | Refusal:
        """Count from what stands in the database now. What somebody altered outside of it is no recovery's matter."""
        parts = self._parts
        if self._damage:
            return Refusal("forbidden", self._damage)
        try:
            seen = await parts.heads.look()
            back = [head for head in seen.heads if head.seq < self._anchored.get(head.chain, 0)]
            at = parts.clock.now()
            await parts.book.append(
                [Anchor(seen.installation_id, head.chain, head.seq, head.hash, at, recovery=True) for head in back]
            )
            witness = Witness(seen.server, dict(seen.unit_seqs))
            await parts.book.bear_witness(seen.installation_id, witness)
        except (Unavailable, OSError) as error:
            return Refusal("unavailable", str(error), retry_after_s=2)
        self._witness = witness
        self._anchored |= {head.chain: head.seq for head in back}
        opened = tuple(sorted(parts.gate.closed()))
        for shard in opened:
            parts.gate.open(shard)
        log.warning("recovery_accepted", shards=opened, chains=[head.chain for head in back])
        return opened

    async def _anchor(self, seen: Sighting, *, now: bool) -> None:
        parts = self._parts
        now_s = parts.clock.monotonic_s()
        grown = [head for head in seen.heads if head.seq > self._anchored.get(head.chain, 0)]
        due = now or now_s - self._anchored_s >= parts.anchor_s
        if not due and all(head.seq - self._anchored.get(head.chain, 0) < parts.anchor_rows for head in grown):
            return
        self._anchored_s = now_s
        if not grown:
            return
        at = parts.clock.now()
        await parts.book.append([Anchor(seen.installation_id, head.chain, head.seq, head.hash, at) for head in grown])
        self._anchored |= {head.chain: head.seq for head in grown}
