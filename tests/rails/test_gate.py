"""The way of a push and a Reversal: rows, lease, call, end, saga."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from actors.attempt_rows import NOT_BEGUN
from actors.base import AsyncioActorRef
from actors.daraja_gate import PAYEE_UNREADABLE, DarajaGateActor, GateParts, GateSettings
from actors.rail_lease import LeaseHolder
from actors.rail_parts import SenderParts, SenderSettings
from actors.rail_sender import LEASE_PASSED
from penpay.domain.board import Board
from penpay.domain.errors import NotSent, OutcomeUnknown, Refused
from penpay.domain.gate import NOT_COMPARED
from penpay.domain.money import kes
from penpay.domain.mpesa_callbacks import parse_stk_callback
from penpay.domain.rail_end import ABANDONED, EXPIRED, NOT_CONNECTED, RATE_LIMITED, RECOVERED, TIMED_OUT, Outcome
from penpay.domain.unit import OperationKind
from penpay.messages_rails import DARAJA_POLLERS, ProbePull, ProbeReversal, ProbeStk
from penpay.ports_rails import ReversalAck, StkAck, StkStatus
from tests.actors.house import PlainSealer
from tests.rails.fakes import (
    CLOCK,
    TRANSACTION,
    MemoryAttempts,
    MemoryLeases,
    MemoryReads,
    PlainTokens,
    PostOffice,
    TurnableClock,
    in_path,
    inside,
    long_ago,
    stk_intent,
    until,
)

FAST = SenderSettings(sweep_every_s=0.05, sweep_older_than_s=30.0, backoff_max_s=0.05, restart_wait_s=5.0)


class ScriptedDaraja:
    """Answers from a script; keeps what it was asked. `hold` keeps every push waiting until it is set."""

    def __init__(self) -> None:
        self.pushed: list[dict[str, Any]] = []
        self.reversed: list[dict[str, Any]] = []
        self.checked = 0
        self.answers: list[Any] = []
        self.status: Any = StkStatus("0", "")
        self.check_fails = False
        self.hold = asyncio.Event()
        self.hold.set()
        self.at_work = 0
        self.most_at_work = 0

    async def check(self) -> None:
        self.checked += 1
        if self.check_fails:
            raise NotSent(NOT_CONNECTED)

    async def stk_push(self, **asked: Any) -> StkAck:
        self.pushed.append(asked)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.hold.wait()
        finally:
            self.at_work -= 1
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return StkAck(f"ws_CO_{len(self.pushed)}", "m-1", b"{}")

    async def stk_query(self, checkout_request_id: str) -> StkStatus:
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    async def reverse(self, **asked: Any) -> ReversalAck:
        self.reversed.append(asked)
        return ReversalAck("AG_1", "12345-1")

    async def transaction_status(self, **asked: Any) -> str:
        self.reversed.append(asked)
        return "AG_2"


@dataclass
class Gate:
    """A gate, and everything around it that a test turns."""

    daraja: Any = field(default_factory=ScriptedDaraja)
    clock: TurnableClock = field(default_factory=TurnableClock)
    board: Board = field(default_factory=Board)
    post: PostOffice = field(default_factory=PostOffice)
    tokens: PlainTokens = field(default_factory=PlainTokens)
    settings: GateSettings = field(default_factory=lambda: GateSettings(stk_per_s=0, other_per_s=0))
    sender: SenderSettings = FAST

    def __post_init__(self) -> None:
        self.leases = MemoryLeases(self.clock)
        self.attempts = MemoryAttempts(self.leases)
        self.lease = LeaseHolder("rail/daraja", self.leases, self.clock)

    def parts(self) -> GateParts:
        sender = SenderParts(
            lease=self.lease,
            attempts=self.attempts,
            addresses=self.post,
            clock=self.clock,
            board=self.board,
            settings=self.sender,
        )
        return GateParts(
            sender=sender,
            daraja=self.daraja,
            reads=MemoryReads(self.attempts),
            tokens=self.tokens,
            sealer=PlainSealer(),
            settings=self.settings,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncioActorRef]:
        ref = DarajaGateActor.start(self.parts())
        await ref.ready()
        try:
            yield ref
        finally:
            await ref.shutdown(5)


@pytest.fixture
def gate():
    return Gate()


async def test_a_push_leaves_rows_and_tells_the_saga(gate):
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts)
        ref.tell(submit)
        end = await gate.post.next_end()
    assert (end.outcome, end.attempt, end.kind) == (Outcome.CONFIRMED, 1, "STK")
    assert end.facts["checkout_request_id"] == end.provider_ref == "ws_CO_1"
    assert gate.daraja.pushed[0]["phone"] == "254708374149"
    assert gate.daraja.pushed[0]["callback_url"].endswith(f"/cb/stk/0/{in_path(submit.operation_id)}")
    assert gate.attempts.outcomes(submit.operation_id) == ["CONFIRMED"]


async def test_the_same_submission_many_times_is_one_push(gate):
    gate.daraja.hold.clear()
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts)
        for _ in range(5):
            ref.tell(submit)
        await until(lambda: gate.daraja.pushed)
        ref.tell(submit)
        gate.daraja.hold.set()
        await gate.post.next_end()
        ref.tell(submit)
        await until(lambda: not inside(ref).observable_state()["in_flight"])
    assert len(gate.daraja.pushed) == 1


@pytest.mark.parametrize(
    ("error", "outcome", "hold"),
    [
        (OutcomeUnknown(TIMED_OUT), Outcome.UNKNOWN, False),
        (NotSent(NOT_CONNECTED), Outcome.NOT_SENT, True),
        (NotSent(RATE_LIMITED), Outcome.NOT_SENT, True),
        (Refused("400.002.02", "Bad Request"), Outcome.REFUSED, False),
        (Refused("wrong_credentials"), Outcome.REFUSED, True),
    ],
)
async def test_every_end_of_a_call_is_stored_as_what_it_proves(gate, error, outcome, hold):
    gate.daraja.answers = [error]
    async with gate.running() as ref:
        ref.tell(stk_intent(gate.attempts))
        end = await gate.post.next_end()
    assert (end.outcome, end.code, end.hold) == (outcome, error.code, hold)


async def test_an_unknown_push_is_never_sent_again_by_itself(gate):
    gate.daraja.answers = [OutcomeUnknown(TIMED_OUT)]
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts, created_at=long_ago(60))
        ref.tell(submit)
        await gate.post.next_end()
        ref.tell(submit)
        await asyncio.sleep(0.2)
    assert len(gate.daraja.pushed) == 1


async def test_a_push_too_old_is_not_sent(gate):
    async with gate.running() as ref:
        ref.tell(stk_intent(gate.attempts, created_at=long_ago(121)))
        end = await gate.post.next_end()
    assert (end.outcome, end.code) == (Outcome.NOT_SENT, EXPIRED)
    assert gate.daraja.pushed == []


async def test_an_intent_that_nobody_submitted_is_found(gate):
    submit = stk_intent(gate.attempts, created_at=long_ago(60))
    async with gate.running():
        end = await gate.post.next_end()
    assert (end.operation_id, end.outcome) == (submit.operation_id, Outcome.CONFIRMED)


async def test_an_unreadable_payee_is_refused_and_the_gate_lives_on(gate):
    async with gate.running() as ref:
        spoiled = stk_intent(gate.attempts)
        row = gate.attempts.operations[spoiled.operation_id]
        gate.attempts.operations[spoiled.operation_id] = replace(row, sealed_request=b"moved")
        ref.tell(spoiled)
        assert (await gate.post.next_end()).code == PAYEE_UNREADABLE
        ref.tell(stk_intent(gate.attempts))
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_a_killed_gate_leaves_an_unknown_push_that_is_not_repeated(gate):
    gate.daraja.hold.clear()
    submit = stk_intent(gate.attempts)
    ref = DarajaGateActor.start(gate.parts())
    await ref.ready()
    ref.tell(submit)
    await until(lambda: gate.daraja.pushed)
    ref.kill()
    await until(lambda: not ref.is_alive())
    async with gate.running():
        end = await gate.post.next_end()
    assert (end.operation_id, end.outcome, end.code) == (submit.operation_id, Outcome.UNKNOWN, ABANDONED)
    assert len(gate.daraja.pushed) == 1


async def test_a_restart_asked_for_waits_for_replies_in_flight(gate):
    gate.daraja.hold.clear()
    ref = DarajaGateActor.start(gate.parts())
    await ref.ready()
    ref.tell(stk_intent(gate.attempts))
    await until(lambda: gate.daraja.pushed)
    stopping = asyncio.create_task(ref.shutdown(5))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    gate.daraja.hold.set()
    await stopping
    assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_without_the_lease_nothing_is_sent_until_it_is_ours(gate):
    gate.leases.taken_by_another = True
    async with gate.running() as ref:
        ref.tell(stk_intent(gate.attempts))
        await asyncio.sleep(0.1)
        assert gate.daraja.pushed == []
        assert not gate.board.rail("daraja").up
        gate.leases.taken_by_another = False
        await gate.lease.keep()
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_a_lease_that_passes_after_the_attempt_row_sends_nothing(gate):
    async with gate.running() as ref:
        await until(lambda: inside(ref).observable_state()["epoch"])
        gate.attempts.begun = lambda: gate.clock.turn(61)
        ref.tell(stk_intent(gate.attempts))
        end = await gate.post.next_end()
    assert (end.outcome, end.code) == (Outcome.NOT_SENT, LEASE_PASSED)
    assert gate.daraja.pushed == []


async def test_what_stood_still_between_its_row_and_its_first_byte_is_not_sent(gate):
    """Settle windows count from the row: a call that begins late could execute behind them."""
    async with gate.running() as ref:
        await until(lambda: inside(ref).observable_state()["epoch"])
        gate.attempts.begun = lambda: gate.clock.turn(SenderSettings().first_byte_s + 0.1)
        ref.tell(stk_intent(gate.attempts))
        end = await gate.post.next_end()
        assert (end.outcome, end.code) == (Outcome.NOT_SENT, LEASE_PASSED)
        gate.attempts.begun = lambda: gate.clock.turn(SenderSettings().first_byte_s - 0.1)
        ref.tell(stk_intent(gate.attempts))
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED
    assert len(gate.daraja.pushed) == 1


async def test_an_end_waits_for_the_database_and_is_not_lost(gate):
    gate.daraja.hold.clear()
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts)
        ref.tell(submit)
        await until(lambda: gate.daraja.pushed)
        gate.attempts.away = True
        gate.daraja.hold.set()
        await asyncio.sleep(0.1)
        assert gate.attempts.outcomes(submit.operation_id) == [None]
        gate.attempts.away = False
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_an_attempt_whose_row_was_never_acknowledged_is_closed_as_not_sent(gate):
    gate.attempts.lose_next_begin = True
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts)
        ref.tell(submit)
        end = await gate.post.next_end()
    assert (end.outcome, end.code) == (Outcome.NOT_SENT, NOT_BEGUN)
    assert gate.daraja.pushed == []


async def test_a_begin_that_failed_never_closes_an_older_attempt(gate):
    gate.daraja.answers = [OutcomeUnknown(TIMED_OUT)]
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts)
        ref.tell(submit)
        await gate.post.next_end()
        gate.attempts.refuse_next_begin = True
        ref.tell(submit)
        await until(lambda: not gate.attempts.refuse_next_begin)
        await until(lambda: not inside(ref).observable_state()["in_flight"])
    assert gate.attempts.outcomes(submit.operation_id) == ["UNKNOWN"]


async def test_a_retry_the_shard_has_allowed_makes_a_second_attempt(gate):
    gate.daraja.answers = [NotSent(NOT_CONNECTED)]
    async with gate.running() as ref:
        submit = stk_intent(gate.attempts)
        ref.tell(submit)
        await gate.post.next_end()
        gate.attempts.close(submit.operation_id)
        ref.tell(submit)
        end = await gate.post.next_end()
    assert (end.attempt, end.outcome) == (2, Outcome.CONFIRMED)


async def test_a_shard_behind_a_closed_recovery_gate_is_not_served(gate):
    gate.board.closed_shards[0] = "the database was restored"
    async with gate.running() as ref:
        ref.tell(stk_intent(gate.attempts))
        await asyncio.sleep(0.1)
    assert gate.daraja.pushed == []


async def test_what_may_have_been_forgotten_is_not_sent_but_called_unknown(gate):
    gate.board.closed_shards[0] = "at unit 7, but unit 9 was committed"
    async with gate.running() as ref:
        submit = reversal_intent(gate)
        ref.tell(submit)
        end = await gate.post.next_end()
        assert gate.board.rail("daraja").up
    assert (end.outcome, end.code) == (Outcome.UNKNOWN, RECOVERED)
    assert gate.attempts.outcomes(submit.operation_id) == ["UNKNOWN"]
    assert gate.daraja.reversed == []


async def test_what_waits_for_the_first_comparison_after_a_start_is_sent_afterwards(gate):
    gate.board.closed_shards[0] = NOT_COMPARED
    async with gate.running() as ref:
        submit = reversal_intent(gate)
        ref.tell(submit)
        await asyncio.sleep(0.1)
        assert gate.daraja.reversed == []
        del gate.board.closed_shards[0]
        ref.tell(submit)
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_nothing_is_sent_before_the_opening_balance_is_booked(gate):
    gate.board.unopened = {"daraja"}
    async with gate.running() as ref:
        ref.tell(stk_intent(gate.attempts))
        await asyncio.sleep(0.15)
        assert gate.daraja.pushed == []
        gate.board.unopened = set()
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_every_call_is_counted_with_what_it_came_to(gate):
    seen = []
    gate.daraja.answers = [OutcomeUnknown(TIMED_OUT)]
    parts = gate.parts()
    counted = replace(parts, sender=replace(parts.sender, observe=lambda **call: seen.append(call)))
    gate.parts = lambda: counted
    async with gate.running() as ref:
        ref.tell(stk_intent(gate.attempts))
        await gate.post.next_end()
        ref.tell(ProbeStk(operation_id="op", shard=0, transaction_id=TRANSACTION, checkout_request_id="ws"))
        await gate.post.next()
    assert [(call["operation"], call["outcome"]) for call in seen] == [("stk", "unknown"), ("stk_query", "paid")]


async def test_calls_in_flight_are_bounded(gate):
    gate.sender = replace(FAST, in_flight_max=3)
    gate.daraja.hold.clear()
    async with gate.running() as ref:
        for _ in range(10):
            ref.tell(stk_intent(gate.attempts))
        await until(lambda: len(gate.daraja.pushed) == 3)
        await asyncio.sleep(0.05)
        gate.daraja.hold.set()
        for _ in range(10):
            await gate.post.next_end()
    assert gate.daraja.most_at_work == 3


async def test_pacing_lets_no_more_than_its_rate_through(gate):
    gate.settings = GateSettings(stk_per_s=2, other_per_s=0)
    async with gate.running() as ref:
        for _ in range(4):
            ref.tell(stk_intent(gate.attempts))
        await gate.post.next_end()
        await gate.post.next_end()
        assert len(gate.daraja.pushed) == 2
        await gate.post.next_end()
    assert len(gate.daraja.pushed) == 3


async def test_five_failures_open_the_breaker_and_a_harmless_probe_closes_it(gate):
    gate.daraja.answers = [OutcomeUnknown(TIMED_OUT) for _ in range(5)]
    gate.daraja.check_fails = True
    async with gate.running() as ref:
        for _ in range(5):
            ref.tell(stk_intent(gate.attempts))
        for _ in range(5):
            await gate.post.next_end()
        await until(lambda: not gate.board.rail("daraja").up)
        ref.tell(stk_intent(gate.attempts))
        breaker = inside(ref)._breakers[OperationKind.STK]
        await asyncio.sleep(0.1)
        assert len(gate.daraja.pushed) == 5
        inside(ref).timers.once(("probe", OperationKind.STK), 0.0, _due(ref))
        await until(lambda: gate.daraja.checked == 1 and breaker.state.value == "open")
        assert len(gate.daraja.pushed) == 5
        gate.daraja.check_fails = False
        inside(ref).timers.once(("probe", OperationKind.STK), 0.0, _due(ref))
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED
        await until(lambda: gate.board.rail("daraja").up)
    assert gate.daraja.checked == 2


def _due(ref):
    from actors.daraja_gate import _ProbeDue  # noqa: PLC0415 - the clock's message, sent early

    return _ProbeDue(OperationKind.STK)


async def test_a_refusal_does_not_open_the_breaker(gate):
    gate.daraja.answers = [Refused("subscriber_locked") for _ in range(8)]
    async with gate.running() as ref:
        for _ in range(8):
            ref.tell(stk_intent(gate.attempts))
        for _ in range(8):
            await gate.post.next_end()
        assert gate.board.rail("daraja").up


def reversal_intent(gate):
    return gate.attempts.add(OperationKind.REVERSAL, kes(130_000), request={"receipt": "NLJ7RT61SV"})


def asked_about(submit):
    return ProbeReversal(operation_id=submit.operation_id, shard=0, transaction_id=TRANSACTION)


async def test_a_reversal_names_the_receipt(gate):
    async with gate.running() as ref:
        ref.tell(reversal_intent(gate))
        end = await gate.post.next_end()
    assert (end.kind, end.outcome, end.provider_ref) == ("REVERSAL", Outcome.CONFIRMED, "AG_1")
    assert gate.daraja.reversed[0]["receipt"] == "NLJ7RT61SV"
    assert "/cb/timeout/" in gate.daraja.reversed[0]["timeout_url"]


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        (StkStatus("0", ""), "PAID", "0"),
        (StkStatus("1032", ""), "FAILED", "1032"),
        (StkStatus("", "being processed"), "PENDING", ""),
        (OutcomeUnknown(TIMED_OUT), "UNANSWERED", TIMED_OUT),
        (NotSent(NOT_CONNECTED), "UNANSWERED", NOT_CONNECTED),
    ],
)
async def test_a_query_answers_the_saga(gate, status, outcome, code):
    gate.daraja.status = status
    async with gate.running() as ref:
        ref.tell(ProbeStk(operation_id="op", shard=0, transaction_id=TRANSACTION, checkout_request_id="ws"))
        answer = await gate.post.next()
    assert (answer.probe, answer.outcome, answer.code) == ("stk", outcome, code)


async def test_the_status_of_a_reversal_is_asked_and_comes_later(gate):
    async with gate.running() as ref:
        submit = reversal_intent(gate)
        ref.tell(submit)
        await gate.post.next_end()
        ref.tell(asked_about(submit))
        answer = await gate.post.next()
    assert (answer.probe, answer.outcome) == ("reversal", "PENDING")
    assert (gate.daraja.reversed[1]["conversation_id"], gate.daraja.reversed[1]["receipt"]) == ("AG_1", "")


async def test_the_status_of_a_reversal_is_asked_by_its_second_id_as_well(gate):
    async with gate.running() as ref:
        submit = reversal_intent(gate)
        ref.tell(submit)
        end = await gate.post.next_end()
        ref.tell(replace(asked_about(submit), originator_conversation_id=end.facts["originator_conversation_id"]))
        await gate.post.next()
    assert (gate.daraja.reversed[1]["conversation_id"], gate.daraja.reversed[1]["receipt"]) == ("12345-1", "")


async def test_a_reversal_without_acknowledgement_is_never_asked_about_by_its_payment(gate):
    async with gate.running() as ref:
        submit = reversal_intent(gate)
        ref.tell(asked_about(submit))
        answer = await gate.post.next()
    assert (answer.probe, answer.outcome, answer.code) == ("reversal", "UNANSWERED", "never_acknowledged")
    assert gate.daraja.reversed == []


async def test_a_look_at_the_list_is_passed_to_the_pollers(gate):
    probe = ProbePull(
        operation_id="op",
        shard=0,
        transaction_id=TRANSACTION,
        reference="P",
        payer="2547****126",
        amount=kes(100),
        since=CLOCK.now(),
    )
    async with gate.running() as ref:
        ref.tell(probe)
        assert await gate.post.next(DARAJA_POLLERS) == probe


async def test_a_real_push_through_the_sandbox(gate, daraja, sandbox_rails):
    gate.daraja = daraja
    gate.tokens = PlainTokens(sandbox_rails.callback_url)
    async with AsyncExitStack() as stack:
        ref = await stack.enter_async_context(gate.running())
        submit = stk_intent(gate.attempts)
        ref.tell(submit)
        end = await gate.post.next_end()
        path, body = await sandbox_rails.callback()
    assert path.endswith(in_path(submit.operation_id))
    assert parse_stk_callback(body).checkout_request_id == end.facts["checkout_request_id"]
    assert end.at - gate.attempts.operations[submit.operation_id].created_at < timedelta(seconds=10)
