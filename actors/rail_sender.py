"""How a rail runs a provider call: attempt row → lease deadline → call → end row → saga. The same for every rail.

No attempt row means not sent. A call that was begun ends in a row: confirmed, refused, unknown or not sent. What an
earlier incarnation or another node left without an end becomes UNKNOWN, for nobody can say what happened to it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, ClassVar

import structlog

from actors.attempt_rows import AttemptRows
from actors.base import AsyncioActor, Context, Unavailable, with_context
from actors.rail_call import CallResult, submit_of
from actors.rail_parts import SenderParts
from penpay.domain.errors import StoreError
from penpay.domain.gate import is_doubted
from penpay.domain.rail_end import ABANDONED, RECOVERED, Outcome
from penpay.domain.unit import OperationKind
from penpay.messages_rails import Submit
from penpay.ports import Attempt, Lease, OperationRow

log = structlog.get_logger("penpay.rails")

LEASE_PASSED = "lease_passed"
"""Not sent: between the attempt's row and the first byte this node's ownership ran out."""
_LOOK_AHEAD = 256
"""Queued operations that are looked at for one that may start now."""


@dataclass(frozen=True, slots=True)
class _Sweep:
    """Time to look for what nobody submitted."""


@dataclass(frozen=True, slots=True)
class Pump:
    """Pacing lets the next one start."""


@dataclass(frozen=True, slots=True)
class _Swept:
    """A sweep ended. `epoch` is set when the leftovers of earlier epochs have been given their ends."""

    epoch: int = 0
    intents: Sequence[OperationRow] = ()
    unresolved: Sequence[OperationRow] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A call is over and its end stored; `result` is None when no attempt was made.

    `unknown`: its shard may search for it, because of this end or of another owner who called it abandoned before.
    """

    submit: Submit
    result: CallResult | None
    unknown: bool


class RailSender(AsyncioActor):
    """Base of the actors that send. One incarnation has one epoch; two of the same class may not run at once.

    A rail fills in `RAIL`, `KINDS`, `perform` and, where it paces or serialises, `wait_s`, `started`, `ended`. Senders
    of different kinds may share a rail: each looks after its own kinds only.
    """

    LEVEL = 1
    RAIL: ClassVar[str]
    KINDS: ClassVar[frozenset[OperationKind]]

    def __init__(self, parts: SenderParts) -> None:
        super().__init__()
        self.parts = parts
        self._queue: dict[str, Submit] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, int] = {}
        """Of those: the attempt that is under way, once its row is there."""
        self._again: dict[str, Submit] = {}
        """Submitted once more while running: the saga may have learned of the end before this actor noted it."""
        self._epoch = 0
        """Of the lease whose leftovers are dealt with; nothing is sent under another one."""
        self._swept_for = 0
        """Epoch of the newest sweep: a new one is not left to the timer."""
        self._sweeping = False
        self.rows = AttemptRows(parts, self.RAIL, lambda: self._epoch)

    # --- what a rail fills in ---

    async def perform(self, attempt: Attempt) -> CallResult:
        """Make the call. Raises only what is a bug."""
        raise NotImplementedError

    def wait_s(self, submit: Submit) -> float | None:
        """0: may start now. Seconds: pacing. None: waits until another one ends, or the rail opens."""
        del submit
        return 0.0

    def started(self, submit: Submit) -> None:
        """This one is started now."""

    def ended(self, submit: Submit, result: CallResult | None, *, unknown: bool) -> None:
        """This one is over. `unknown`: as in `Ended`."""

    @asynccontextmanager
    async def prepared(self, submit: Submit) -> AsyncIterator[Mapping[str, str]]:
        """Around one call: what of the provider's account is stored with the attempt, known before its row is made."""
        del submit
        yield {}

    async def unresolved(self) -> Sequence[OperationRow] | None:
        """Operations that block equal ones, if this rail has such a rule. Read in every sweep."""
        return None

    def blocked_by(self, rows: Sequence[OperationRow]) -> None:
        """What the sweep read."""

    # --- messages ---

    async def on_start(self) -> None:
        """A new epoch first: what the last incarnation left open is then an earlier epoch's."""
        try:
            await self.parts.lease.take()
        except Unavailable:
            log.warning("rail starts without the database", rail=self.RAIL)
        self.timers.every("sweep", self.parts.settings.sweep_every_s, _Sweep())
        self._start_sweep()

    async def on_stop(self) -> None:
        """Wait for replies in flight; what takes longer is left without an end, and will be UNKNOWN."""
        self._queue.clear()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self.parts.settings.restart_wait_s)

    async def on_receive(self, message: Any) -> Any:
        """Submissions, and its own notes."""
        match message:
            case Submit():
                self._enqueue(message)
            case Ended(submit, result, unknown):
                del self._running[submit.operation_id]
                self._begun.pop(submit.operation_id, None)
                self.ended(submit, result, unknown=unknown)
                again = self._again.pop(submit.operation_id, None)
                if again is not None:
                    self._enqueue(again)
            case _Sweep():
                self._start_sweep()
            case _Swept():
                self._swept(message)
            case Pump():
                pass
            case _:
                raise AssertionError(f"{type(self).__name__} does not take {type(message).__name__}")
        self.pump()

    @property
    def waiting(self) -> int:
        """Operations that wait for their turn."""
        return len(self._queue)

    def observable_state(self) -> Mapping[str, object]:
        """Queue, calls in flight, epoch."""
        return {"queued": len(self._queue), "in_flight": len(self._running), "epoch": self._epoch}

    def _enqueue(self, submit: Submit) -> None:
        if submit.operation_id in self._running:
            self._again[submit.operation_id] = submit
            return
        if (
            submit.operation_id in self._queue
            or submit.kind not in self.KINDS
            or (submit.shard in self.parts.board.closed_shards and not self._is_doubted(submit))
        ):
            return
        if len(self._queue) >= self.parts.settings.queue_max:
            log.warning("rail queue full, the intent's row brings it back", rail=self.RAIL)
            return
        self._queue[submit.operation_id] = submit

    def pump(self) -> None:
        """Start what may start."""
        lease = self.parts.lease.current()
        if lease is not None and lease.epoch not in {self._epoch, self._swept_for}:
            self._start_sweep()  # another sender of this rail has begun a new epoch
        if lease is None or lease.epoch != self._epoch or self.RAIL in self.parts.board.unopened:
            return
        room = self.parts.settings.in_flight_max - len(self._running)
        waits: list[float] = []
        for submit in list(islice(self._queue.values(), _LOOK_AHEAD)) if room > 0 else ():
            closed = submit.shard in self.parts.board.closed_shards and not self._is_doubted(submit)
            wait_s = None if closed else self.wait_s(submit)
            if wait_s == 0.0:
                del self._queue[submit.operation_id]
                self.started(submit)
                run = self.spawn(self._run(submit, lease), name=f"call:{submit.operation_id}")
                self._running[submit.operation_id] = run
                room -= 1
                if not room:
                    return
            elif wait_s is not None:
                waits.append(wait_s)
            else:
                # To the end of the queue: many that wait for one must not hide those behind them.
                self._queue[submit.operation_id] = self._queue.pop(submit.operation_id)
        if waits:
            self.timers.once("pump", min(waits), Pump())

    def _is_doubted(self, submit: Submit) -> bool:
        """Whether it may have been sent by what these rows have forgotten."""
        return is_doubted(submit.kind, self.parts.board.closed_shards.get(submit.shard, ""))

    def observe(self, operation: str, outcome: str, began_s: float) -> None:
        """Count one call to the provider."""
        seconds = self.parts.clock.monotonic_s() - began_s
        self.parts.observe(provider=self.RAIL, operation=operation.lower(), outcome=outcome.lower(), seconds=seconds)

    def note(self, key: object, message: object) -> None:
        """Bring something from a child task into the mailbox, also when that is full."""
        self.timers.once(key, 0.0, message)

    # --- one call, in a child task: it outlives every message, and a restart asked for waits for it ---

    async def _run(self, submit: Submit, lease: Lease) -> None:
        with with_context(Context(transaction_id=submit.transaction_id)):
            async with self.prepared(submit) as account:
                # Where the account stands now says nothing about what may have been sent long before.
                watermark = {RECOVERED: "yes"} if self._is_doubted(submit) else account
                asked_s = self.parts.clock.monotonic_s()
                attempt = await self.rows.begin(submit, lease, watermark)
                if attempt is not None:
                    self._begun[submit.operation_id] = attempt.number
                result = (
                    await self._attempt(submit, lease, attempt, asked_s, watermark) if attempt is not None else None
                )
            if attempt is not None and result is not None:
                await self.rows.store(submit, attempt.number, result)
        self.note(("ended", submit.operation_id), Ended(submit, result, unknown=self._is_unknown(result, lease)))

    def _is_unknown(self, result: CallResult | None, lease: Lease) -> bool:
        """Judged after the end was stored: who takes the lease from here on finds that end."""
        if result is None:
            return False
        owned = self.parts.lease.current()
        return result.outcome is Outcome.UNKNOWN or owned is None or owned.epoch != lease.epoch

    async def _attempt(
        self, submit: Submit, lease: Lease, attempt: Attempt, asked_s: float, watermark: Mapping[str, str]
    ) -> CallResult:
        if RECOVERED in watermark:
            return CallResult(outcome=Outcome.UNKNOWN, code=RECOVERED)
        owned = self.parts.lease.current()
        # The row says when it was sent, and settle windows count from there: what stood still meanwhile is not sent.
        late = self.parts.clock.monotonic_s() - asked_s > self.parts.settings.first_byte_s
        if late or owned is None or owned.epoch != lease.epoch or self._is_doubted(submit):
            return CallResult(outcome=Outcome.NOT_SENT, code=LEASE_PASSED, hold=True)
        began_s = self.parts.clock.monotonic_s()
        result = await self.perform(attempt)
        self.observe(submit.kind.value, result.outcome.value, began_s)
        return result

    # --- the sweep: leftovers of earlier epochs, blockers, intents that nobody submitted ---

    def _start_sweep(self) -> None:
        lease = self.parts.lease.current()
        if lease is not None and not self._sweeping:
            self._sweeping, self._swept_for = True, lease.epoch
            self.spawn(self._sweep(lease), name="sweep")

    async def _sweep(self, lease: Lease) -> None:
        swept = _Swept()
        try:
            dealt_with = lease.epoch == self._epoch or await self._end_abandoned(lease)
            unresolved = await self.unresolved()
            older_than = self.parts.clock.now() - timedelta(seconds=self.parts.settings.sweep_older_than_s)
            page = self.parts.settings.sweep_page
            intents = await self.parts.attempts.intents(self.RAIL, kinds=self.KINDS, older_than=older_than, limit=page)
            swept = _Swept(lease.epoch if dealt_with else 0, intents, unresolved)
        except StoreError as error:
            log.warning("sweep of a rail failed", rail=self.RAIL, error=type(error).__name__)
        self.note("swept", swept)

    async def _end_abandoned(self, lease: Lease) -> bool:
        """Give what earlier epochs left its end, but what is under way here; False when it is too early to tell one.

        A node that stood still in a call may find its successor's attempt of the same operation.
        """
        told = True
        for row, number in await self.parts.attempts.abandoned(self.RAIL, lease.epoch):
            mine = self._begun.get(row.id) == number
            if mine or row.kind not in self.KINDS:
                continue
            if row.id in self._running and row.id not in self._begun:
                told = False  # about to begin: its row may be this one
                continue
            await self.rows.store(submit_of(row), number, CallResult(outcome=Outcome.UNKNOWN, code=ABANDONED))
        return told

    def _swept(self, swept: _Swept) -> None:
        self._sweeping = False
        if swept.unresolved is not None:
            self.blocked_by(swept.unresolved)
        if swept.epoch:
            self._epoch = swept.epoch
        for row in swept.intents:
            self._enqueue(submit_of(row))
