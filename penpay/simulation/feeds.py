"""The rest of the outside: rates, text messages, the streams, and the place where anchors are kept."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from penpay.domain.errors import Unavailable
from penpay.ports import Clock, OutboxRow
from penpay.ports_audit import Anchor, Witness
from penpay.simulation.odds import Odds

MID = Decimal("129.50")


class SimFx:
    """`FxSource`. Sometimes away, sometimes absurd; then no new quotes are made, and old ones are kept."""

    def __init__(self, odds: Odds, clock: Clock) -> None:
        self._odds = odds
        self._clock = clock

    async def mid(self) -> tuple[Decimal, datetime]:
        """See `FxSource`."""
        if self._odds.hits("fx.away"):
            raise Unavailable("fx")
        return MID * 3 if self._odds.hits("fx.absurd") else MID, self._clock.now()


class SimSms:
    """`SmsGateway` that sends nothing: no money depends on it."""

    async def send(self, *, to: str, text: str) -> None:
        """See `SmsGateway`."""


class SimStreams:
    """`Streams` shared by all nodes: what followers have seen stays seen, whatever Redis forgets."""

    def __init__(self) -> None:
        self._markers: dict[int, int] = {}
        self.seen: dict[int, dict[int, str]] = {}
        """Shard → seq → event id."""
        self.gaps: list[str] = []
        """Events that came before one that was never there before: out of order."""

    def flush(self) -> None:
        """FLUSHALL."""
        self._markers.clear()

    def forgotten(self, shard: int) -> None:
        """What a shard of this installation never asks for: its database does not go back."""
        self.gaps.append(f"shard {shard}: Redis is ahead of the database")

    def published(self, shard: int, rows: Sequence[OutboxRow]) -> None:
        """One write: events and marker together."""
        seen = self.seen.setdefault(shard, {})
        for row in rows:
            if row.seq > 1 and row.seq - 1 not in seen:
                self.gaps.append(f"shard {shard}: event {row.seq} before {row.seq - 1}")
            seen[row.seq] = row.event_id
            self._markers[shard] = row.seq

    def marked(self, shard: int) -> int | None:
        """The newest that Redis remembers."""
        return self._markers.get(shard)


class NodeStreams:
    """One node's connection to the streams."""

    def __init__(self, streams: SimStreams, odds: Odds) -> None:
        self._streams = streams
        self._odds = odds

    async def publish(self, shard: int, rows: Sequence[OutboxRow]) -> None:
        """See `Streams`."""
        self._reach()
        self._streams.published(shard, rows)

    async def marker(self, shard: int) -> int | None:
        """See `Streams`."""
        self._reach()
        if self._odds.hits("streams.flushed", often=0.1):
            self._streams.flush()
        return self._streams.marked(shard)

    async def forget(self, shard: int) -> None:
        """See `Streams`."""
        self._reach()
        self._streams.forgotten(shard)

    def _reach(self) -> None:
        if self._odds.hits("streams.away", often=0.3):
            raise Unavailable("redis")


class SimAnchors:
    """`AnchorBook` that survives nodes."""

    def __init__(self) -> None:
        self._anchors: list[Anchor] = []
        self._witnesses: dict[str, Witness] = {}

    async def anchors(self, installation_id: str) -> Sequence[Anchor]:
        """See `AnchorBook`."""
        return [one for one in self._anchors if one.installation_id == installation_id]

    async def append(self, anchors: Sequence[Anchor]) -> None:
        """See `AnchorBook`."""
        self._anchors += anchors

    async def witness(self, installation_id: str) -> Witness:
        """See `AnchorBook`."""
        return self._witnesses.get(installation_id, Witness())

    async def bear_witness(self, installation_id: str, witness: Witness) -> None:
        """See `AnchorBook`."""
        self._witnesses[installation_id] = witness


class NoMetrics:
    """`HouseMetrics` that counts nothing."""

    def transaction(self, *, type_: str, status: str) -> None: ...
    def stage(self, *, type_: str, stage: str, seconds: float) -> None: ...
    def unit(self, result: str, count: int = 1) -> None: ...
    def ledger_commit(self, *, units: int, seconds: float) -> None: ...
    def provider(self, *, provider: str, operation: str, outcome: str, seconds: float) -> None: ...


class NoListener:
    """In the place of the listeners: requests and callbacks of the simulated world are handed in as messages."""

    async def open(self) -> None:
        """There are no sockets."""

    async def close(self) -> None:
        """There are no sockets."""
