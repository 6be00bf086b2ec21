"""What the watch over the agent's account is told and given, and how a movement that no saga waits for is put aside."""

from dataclasses import dataclass

from actors.deriv_statement import AgentStatement
from actors.rail_lease import LeaseHolder
from penpay.domain.strays import SHARD
from penpay.messages import InboxRow
from penpay.ports import Addresses, AttemptStore, Clock, Ids, InboxStore
from penpay.ports_rails import RailReads


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditSettings:
    """Seconds. Deriv may still be executing a debit that it received `settle_s` ago.

    A credit is nobody's when it is `unclaimed_s` old. The first look after a start reaches back `reach_s`.
    """

    settle_s: float = 600.0
    unclaimed_s: float = 1800.0
    look_every_s: float = 60.0
    balance_every_s: float = 60.0
    reach_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditParts:
    """What the actor works with, and whoever else reads the agent's statement."""

    lease: LeaseHolder
    statement: AgentStatement
    attempts: AttemptStore
    reads: RailReads
    inbox: InboxStore
    addresses: Addresses
    clock: Clock
    ids: Ids
    settings: CreditSettings = CreditSettings()

    async def put_aside(self, kind: str, body: bytes, *, dedupe_key: str) -> bool:
        """Make a movement that no saga waits for evidence for people, whichever node finds it; whether it is new."""
        evidence = InboxRow(
            id=self.ids.ulid(),
            shard=SHARD,
            kind=kind,
            operation_id="",
            body=body,
            trusted_source=True,
            received_at=self.clock.now(),
        )
        return await self.inbox.add(evidence, dedupe_key=dedupe_key, source="deriv")
