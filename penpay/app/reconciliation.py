"""The agent's statement against our books, every few minutes: what `penpay reconcile` finds there when a person asks.

What our books hold with another amount, and dollars that left without a reason, come before a person: as evidence for
shard 0, whichever node has that. Credits of nobody have a look of their own, which knows the debits that wait for them.
What is older than the window is for `penpay reconcile`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from actors.deriv_credit_parts import CreditParts
from actors.deriv_statement import AgentStatement
from actors.periodic import Job
from penpay.adapters.agent_account import AgentReading
from penpay.app.outside import NodeHouse, lists_of
from penpay.domain.errors import GatewayError
from penpay.domain.movements import KIND, encode_movement, movement_of
from penpay.domain.reconciliation import Finding, Remedy, Verdict
from penpay.provider_lists import ACCOUNTS, AGENT, Lists, kind_of

log = structlog.get_logger()

EVERY = 5
"""So many reads of Safaricom's list go by between two looks, each of which reads the whole window."""
PAUSE_MIN_S = 5.0
WINDOW = 12
"""How far back a look reaches, as a multiple of the time that a movement may need into the books: two hours."""
_FILED = frozenset({Remedy.REVIEW, Remedy.OTHER_AMOUNT})


@dataclass(frozen=True, slots=True)
class SessionAccount:
    """The agent's statement over the session that this node has anyway, in one pace with all who read it."""

    statement: AgentStatement

    async def read(self, since: datetime) -> AgentReading:
        """Raises `NotSent` when it cannot be read now."""
        # Other looks have the same beat: without waiting for its turn, this one might never have one.
        await asyncio.sleep(self.statement.wait_s())
        read = await self.statement.read(since)
        return AgentReading(read.rows, self.statement.witness.balance, read.complete)


def reconciliation(agent: CreditParts, house: NodeHouse) -> tuple[str, Job, float]:
    """Name, job, pause."""
    outside = house.outside
    pause_s = max(PAUSE_MIN_S, EVERY * outside.settings.timing.pull_every_s)
    job = AgentReconciliation(lists_of(outside), agent, house.metrics.agent_compared)
    return "reconciliation", job.compare, pause_s


class AgentReconciliation:
    """The job of one node. Whatever it finds is filed once, by the provider's id: over runs, nodes and restarts.

    `compared` is told of each look that went through: one that never does leaves the movements of its window to people.
    """

    def __init__(self, lists: Lists, agent: CreditParts, compared: Callable[[datetime], None]) -> None:
        self._lists = replace(lists, agent=SessionAccount(agent.statement))
        self._agent = agent
        self._compared = compared

    async def compare(self) -> str:
        """One look. Raises `Unavailable` when the books cannot be read."""
        if self._agent.lease.current() is None:
            return "another node has the rail"
        if problem := self._not_now():
            return problem
        now = self._lists.clock.now()
        booked_since = await self._lists.reads.booked_since(ACCOUNTS[AGENT])
        since = max(booked_since, now - timedelta(seconds=WINDOW * self._lists.settle_s))
        try:
            found, _ = await self._lists.compared(AGENT, since, until=now, now=now)
        except GatewayError as error:
            log.warning("reconciliation_not_read", rail="deriv", code=error.code)
            return f"not read: {error.code}"
        for one in found:
            if one.remedy in _FILED:
                await self._file(one)
        self._compared(now)
        differ = [one.ref for one in found if one.verdict is Verdict.DIFFERS]
        return f"{len(found)} compared, {len(differ)} differ"

    def _not_now(self) -> str:
        statement = self._agent.statement
        if statement.witness.never_tells("statement"):
            return "Deriv shows no statement"
        return "" if statement.witness.ready else "the session is down"

    async def _file(self, finding: Finding) -> None:
        assert finding.amount is not None
        movement = movement_of(kind_of(AGENT, finding.amount), finding)
        assert movement is not None
        if await self._agent.put_aside(KIND, encode_movement(movement), dedupe_key=f"{KIND}:{movement.key}"):
            amount = finding.amount.text()
            log.error("the agent's statement differs", ref=finding.ref, amount=amount, found=finding.words)
