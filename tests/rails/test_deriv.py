"""The agent's session, its transfers and their resolver, against the sandbox over real sockets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from actors.base import AsyncioActorRef
from actors.deriv_agent import Agent, AgentWitness
from actors.deriv_calls import Call, CallEnd
from actors.deriv_credit_parts import CreditParts, CreditSettings
from actors.deriv_credits import DerivCreditsActor
from actors.deriv_equals import Equals
from actors.deriv_greeting import Greeting
from actors.deriv_resolver import DerivResolverActor, ResolverParts, ResolverSettings
from actors.deriv_session import DerivSessionActor
from actors.deriv_session_parts import SessionParts, SessionSettings
from actors.deriv_statement import AgentStatement, CustomerStatements
from actors.deriv_transfers import DerivTransfersActor, TransferSettings, transfer_result
from actors.deriv_withdrawals import DerivWithdrawalsActor, WithdrawalParts, WithdrawalSettings
from actors.rail_lease import LeaseHolder
from actors.rail_parts import SenderParts, SenderSettings
from penpay.domain import deriv_protocol as deriv
from penpay.domain.board import NOT_OURS, Board
from penpay.domain.money import usd
from penpay.domain.rail_end import AGENT_FUNDS, ANOTHER_RECIPIENT, DISCONNECTED, NOT_CONNECTED, TIMED_OUT, Outcome
from penpay.domain.unit import OperationKind
from penpay.messages import ProbeAnswered
from penpay.messages_rails import (
    DERIV_CREDITS,
    DERIV_RESOLVER,
    DERIV_SESSION,
    DERIV_TRANSFERS,
    DERIV_WITHDRAWALS,
    CheckRecipient,
    ResolveTransfer,
    Submit,
)
from tests.actors.house import PlainSealer
from tests.rails.fakes import (
    IDS,
    SAGA,
    TRANSACTION,
    FiledRows,
    MemoryAttempts,
    MemoryLeases,
    MemoryReads,
    PostOffice,
    Reworded,
    Sandbox,
    StoredAttempt,
    TurnableClock,
    inside,
    until,
)

QUICK = SessionSettings(backoff_first_s=0.02, backoff_max_s=0.1, lease_look_s=0.05, call_s=5.0)
UNPACED = TransferSettings(calls_per_min=0, call_s=5.0)
SETTLED = ResolverSettings(settle_s=600.0, apart_s=20.0)


@dataclass
class Rail:
    """The Deriv rail of one node: session, senders, those who read statements, and what they share."""

    box: Sandbox
    dialer: Any
    agent: Agent
    clock: TurnableClock = field(default_factory=TurnableClock)
    board: Board = field(default_factory=Board)
    post: PostOffice = field(default_factory=PostOffice)
    session: SessionSettings = QUICK
    transfers: TransferSettings = UNPACED
    withdrawals: WithdrawalSettings = field(default_factory=lambda: WithdrawalSettings(call_s=5.0, look_s=0.05))
    resolver: ResolverSettings = SETTLED
    credits: CreditSettings = field(default_factory=lambda: CreditSettings(look_every_s=0.1))

    def __post_init__(self) -> None:
        self.leases = MemoryLeases(self.clock)
        self.leases.lasts_s = 10_000.0
        self.attempts = MemoryAttempts(self.leases)
        self.lease = LeaseHolder("rail/deriv", self.leases, self.clock)
        self.witness = AgentWitness(self.agent, self.board, self.clock)
        self.reads = MemoryReads(self.attempts)
        self.filed = FiledRows()
        self.statement = AgentStatement(
            witness=self.witness, addresses=self.post, clock=self.clock, call_s=5.0, reads_per_min=0
        )

    def watching(self) -> CreditParts:
        return CreditParts(
            lease=self.lease,
            statement=self.statement,
            attempts=self.attempts,
            reads=self.reads,
            inbox=self.filed,
            addresses=self.post,
            clock=self.clock,
            ids=IDS,
            settings=self.credits,
        )

    def _session(self) -> AsyncioActorRef:
        return DerivSessionActor.start(
            SessionParts(
                dialer=self.dialer,
                agent=self.agent,
                lease=self.lease,
                witness=self.witness,
                board=self.board,
                addresses=self.post,
                clock=self.clock,
                dice=random.Random(1),
                settings=self.session,
            )
        )

    def sender(self) -> SenderParts:
        return SenderParts(
            lease=self.lease,
            attempts=self.attempts,
            addresses=self.post,
            clock=self.clock,
            board=self.board,
            settings=SenderSettings(sweep_every_s=0.1, sweep_older_than_s=30.0, backoff_max_s=0.05),
        )

    def transferring(self) -> AsyncioActorRef:
        return DerivTransfersActor.start(self.sender(), witness=self.witness, settings=self.transfers)

    def withdrawing(self) -> AsyncioActorRef:
        return DerivWithdrawalsActor.start(
            WithdrawalParts(
                sender=self.sender(),
                dialer=self.dialer,
                reads=self.reads,
                sealer=PlainSealer(),
                agent=self.agent,
                witness=self.witness,
                settings=self.withdrawals,
            )
        )

    def _readers(self) -> dict[str, AsyncioActorRef]:
        resolver = ResolverParts(
            statement=self.statement,
            customers=CustomerStatements(dialer=self.dialer, sealer=PlainSealer(), call_s=5.0),
            attempts=self.attempts,
            reads=self.reads,
            addresses=self.post,
            clock=self.clock,
            settings=self.resolver,
        )
        return {
            DERIV_RESOLVER: DerivResolverActor.start(resolver),
            DERIV_CREDITS: DerivCreditsActor.start(self.watching()),
        }

    @asynccontextmanager
    async def running(self, *, ready: bool = True) -> AsyncIterator["Rail"]:
        await self.lease.keep()
        refs = {
            DERIV_SESSION: self._session(),
            DERIV_TRANSFERS: self.transferring(),
            DERIV_WITHDRAWALS: self.withdrawing(),
            **self._readers(),
        }
        self.post.bound |= refs
        try:
            if ready:
                await until(lambda: self.witness.ready)
            yield self
        finally:
            for ref in reversed(refs.values()):
                await ref.shutdown(5)

    def intent(self, minor: int = 966, login: str = "CRB1", **changes: Any) -> Submit:
        return self.attempts.add(OperationKind.DERIV_TRANSFER, usd(minor), recipient=login, **changes)

    def submit(self, submit: Submit) -> None:
        self.post.tell(DERIV_TRANSFERS, submit)

    async def resolve(self, submit: Submit) -> Any:
        row = self.attempts.operations[submit.operation_id]
        self.post.tell(
            DERIV_RESOLVER,
            ResolveTransfer(
                operation_id=row.id,
                shard=0,
                transaction_id=TRANSACTION,
                reference=row.reference,
                loginid=row.recipient,
                amount=row.amount,
            ),
        )
        return await self.post.next()

    async def moved(self) -> list[dict[str, Any]]:
        transfers: list[dict[str, Any]] = (await self.box.control("/truth"))["transfers"]
        return transfers

    async def call(self, request: deriv.Request, **more: Any) -> Any:
        return await self.post.ask(DERIV_SESSION, Call(request=request, timeout_s=5.0, **more), timeout_s=10)


@pytest.fixture
def agent(sandbox_rails):
    env = sandbox_rails.env
    return Agent(loginid=env["PENPAY_DERIV__AGENT_LOGINID"], token=env["PENPAY_DERIV__AGENT_TOKEN"])


@pytest.fixture
def rail(sandbox_rails, dialer, agent):
    return Rail(sandbox_rails, dialer, agent)


# --- the session ---


async def test_the_session_is_ready_only_after_identity_streams_and_watermark(rail):
    async with rail.running():
        assert rail.board.rail("deriv").up
        opening = rail.box.house.config.opening_agent_minor
        assert rail.board.floats["deriv_agent"].balance_minor == opening
        assert rail.witness.site_status == "up"
        assert abs((rail.witness.server_now() - rail.clock.now()).total_seconds()) < 5
    assert not rail.board.rail("deriv").up


@pytest.mark.parametrize("what", ["login", "scope", "currency", "virtual", "unknown"])
async def test_a_token_for_anyone_else_is_never_used(rail, agent, what):
    customer = {"fullname": "Not The Agent", "email": "x@y.example", "loginid": "CR77"}
    if what == "scope":
        token = (await rail.box.control("/deriv/tokens", {"loginid": agent.loginid, "scopes": ["read"]}))["token"]
        loginid = agent.loginid
    elif what == "unknown":
        token, loginid = "no-such-token", agent.loginid
    else:
        customer |= {"currency": "EUR"} if what == "currency" else {"is_virtual": True} if what == "virtual" else {}
        told = await rail.box.control("/deriv/customers", customer)
        token, loginid = told["token"], agent.loginid if what == "login" else "CR77"
    rail.agent = Agent(loginid=loginid, token=token)
    rail.__post_init__()
    async with rail.running(ready=False):
        session = rail.post.bound[DERIV_SESSION]
        expected = {
            "login": "belongs to another account",
            "scope": "may not pay",
            "currency": "another currency",
            "virtual": "is virtual",
            "unknown": "authorize refused: InvalidToken",
        }[what]
        await until(lambda: expected in rail.board.rail("deriv").reason)
        assert session.is_alive()
        end = await rail.call(deriv.transfer(amount=usd(1), loginid="CRB1", reference="x"), money=True)
        assert (end.outcome, end.code) == (Outcome.NOT_SENT, NOT_CONNECTED)


async def test_the_session_comes_back_after_every_drop(rail):
    async with rail.running():
        session = inside(rail.post.bound[DERIV_SESSION])
        for number in range(2, 4):
            await rail.box.control("/deriv/drop", {})
            await until(lambda n=number: session.observable_state()["connections"] >= n and rail.witness.ready)


async def test_a_read_waits_for_the_socket_and_money_does_not(rail):
    async with rail.running(ready=False):
        money = rail.call(deriv.transfer(amount=usd(100), loginid="CRB1", reference="x"), money=True)
        read = rail.call(deriv.server_time())
        refused, told = await asyncio.gather(money, read)
    assert refused.outcome is Outcome.NOT_SENT
    assert told.outcome is Outcome.CONFIRMED
    assert await rail.moved() == []


async def test_while_the_site_updates_no_money_is_taken_and_afterwards_it_is(rail):
    async with rail.running():
        await rail.box.control("/deriv/site", {"status": "updating", "drop_after_s": 60})
        await until(lambda: not rail.witness.ready)
        assert "updating" in rail.board.rail("deriv").reason
        submit = rail.intent()
        rail.submit(submit)
        assert (await rail.call(deriv.server_time())).outcome is Outcome.CONFIRMED
        await rail.box.control("/deriv/site", {"status": "up"})
        assert (await rail.post.next_end()).outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("told", [{"message": "hello"}, {"site_status": "degraded"}, {"site_status": None}])
async def test_a_site_status_that_says_nothing_known_leaves_the_rail_as_it_is(rail, told):
    saying = told

    def change(frame: dict[str, Any]) -> None:
        if frame["msg_type"] == "website_status":
            frame["website_status"] = saying

    rail.dialer = Reworded(rail.dialer, change)
    async with rail.running():
        for known in ("down", "up"):
            for said in ({"site_status": known}, told):
                saying = said
                await rail.box.control("/deriv/site", {"status": "updating", "drop_after_s": 60})
                # Answered on the same socket, after the message of the stream.
                await rail.call(deriv.server_time())
                assert rail.witness.ready is (known == "up")


async def test_after_the_drop_of_an_update_a_site_that_says_nothing_is_up(rail):
    quiet = False

    def change(frame: dict[str, Any]) -> None:
        if quiet and frame["msg_type"] == "website_status":
            frame["website_status"] = {"message": "hello"}

    rail.dialer = Reworded(rail.dialer, change)
    async with rail.running():
        await rail.box.control("/deriv/site", {"status": "updating", "drop_after_s": 60})
        await until(lambda: not rail.witness.ready)
        quiet = True
        await rail.box.control("/deriv/drop", {})
        await until(lambda: rail.witness.ready)


@pytest.mark.parametrize("call", ["transaction", "website_status", "balance", "time", "statement"])
@pytest.mark.parametrize("code", ["RateLimit", "InternalServerError"])
async def test_what_only_brings_evidence_and_is_refused_for_now_is_asked_for_again(rail, call, code):
    rail.session = replace(QUICK, again_first_s=0.1, again_max_s=0.1)
    await rail.box.deriv_step(call, fault="refuse", error_code=code)
    async with rail.running():
        assert rail.board.rail("deriv").reason == f"without {call}"
        await rail.box.deriv_step(call, fault="refuse", error_code=code)
        rail.submit(rail.intent())
        assert (await rail.post.next_end()).outcome is Outcome.CONFIRMED
        (moved,) = await rail.moved()
        await until(lambda: not rail.board.rail("deriv").reason)
        assert rail.witness.missing == rail.witness.asked_again == set()
        # Whatever moved while the call was lacking has been seen.
        assert rail.witness.transaction_id == moved["transaction_id"]
        assert rail.witness.balance == usd(rail.box.house.config.opening_agent_minor - 966)
        await rail.box.control("/deriv/site", {"status": "updating", "drop_after_s": 60})
        await until(lambda: not rail.witness.ready)
        assert inside(rail.post.bound[DERIV_SESSION]).observable_state()["connections"] == 1


async def test_what_deriv_does_not_have_is_not_asked_for_again(rail):
    rail.session = replace(QUICK, again_first_s=0.01)
    await rail.box.deriv_step("statement", fault="refuse", error_code="UnrecognisedRequest")
    async with rail.running():
        await asyncio.sleep(0.1)
        assert rail.board.rail("deriv").reason == "without statement"
        assert rail.witness.watermark() is None


async def test_silence_to_what_is_asked_again_keeps_the_socket(rail):
    rail.session = replace(QUICK, again_first_s=0.05, again_max_s=0.05, call_s=1.0)
    await rail.box.deriv_step("balance", fault="refuse", error_code="RateLimit")
    await rail.box.deriv_step("balance", fault="no_reply")
    async with rail.running():
        session = inside(rail.post.bound[DERIV_SESSION])
        await until(lambda: session._greeting._tries > 1)
        assert rail.witness.ready
        assert session.observable_state()["connections"] == 1


def test_what_is_asked_again_waits_longer_each_time_and_starts_over_on_a_new_socket(rail):
    greeting = Greeting(rail.witness)
    assert [greeting.patience_s(5, 300) for _ in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]
    greeting.begin()
    assert greeting.patience_s(5, 300) == 5


def test_a_balance_that_only_an_earlier_socket_told_proves_nothing(rail):
    told = {"msg_type": "balance", "balance": {"balance": 9, "currency": "USD", "loginid": rail.agent.loginid}}
    rail.witness.on_balance(deriv.decode(json.dumps(told)))
    assert rail.witness.watermark().balance == usd(900)
    rail.witness.begin()
    rail.witness.lacks("balance", for_now=True)
    assert rail.witness.watermark() is None
    assert rail.witness.balance == usd(0)


async def test_a_balance_whose_push_was_lost_is_asked_for(rail):
    pushes_are_lost = False

    def change(frame: dict[str, Any]) -> None:
        if pushes_are_lost and frame["msg_type"] == "balance" and "subscription" in frame:
            frame["msg_type"] = "lost"

    rail.dialer = Reworded(rail.dialer, change)
    rail.credits = CreditSettings(look_every_s=30.0, balance_every_s=0.05)
    opening = rail.box.house.config.opening_agent_minor
    async with rail.running():
        pushes_are_lost = True
        rail.submit(rail.intent())
        assert (await rail.post.next_end()).outcome is Outcome.CONFIRMED
        await until(lambda: rail.board.floats["deriv_agent"].balance_minor == opening - 966)
        assert rail.witness.balance == usd(opening - 966)


async def test_an_answer_that_tells_the_balance_is_believed_as_a_push_is(rail):
    told: dict[str, Any] = {}

    def change(frame: dict[str, Any]) -> None:
        if frame["msg_type"] == "balance":
            frame["balance"] |= told

    rail.dialer = Reworded(rail.dialer, change)
    async with rail.running():
        before = rail.board.floats["deriv_agent"].balance_minor
        for said, known in (
            ({"balance": 1, "loginid": "CR1"}, before),
            ({"balance": "much"}, before),
            ({"balance": 7}, 700),
        ):
            told = said
            await rail.call(deriv.balance_now())
            # Known before whoever asked hears of it: a push that follows is the newer one.
            assert rail.board.floats["deriv_agent"].balance_minor == rail.witness.balance.minor == known
        rail.witness.lacks("balance", for_now=True)
        assert (await rail.call(deriv.balance_now())).outcome is Outcome.CONFIRMED
        assert rail.witness.balance == usd(0)


async def test_a_socket_that_does_not_answer_pings_is_dropped(rail):
    rail.session = replace(QUICK, ping_s=0.1, pong_s=0.1)
    async with rail.running():
        session = inside(rail.post.bound[DERIV_SESSION])
        await rail.box.control("/deriv/script", {"knobs": {"zombie": True}})
        await until(lambda: not rail.witness.ready)
        await rail.box.control("/deriv/script", {"knobs": {"zombie": False}})
        await until(lambda: rail.witness.ready)
        assert session.observable_state()["connections"] >= 2


async def test_losing_the_lease_closes_the_socket(rail):
    async with rail.running():
        rail.leases.taken_by_another = True
        await rail.lease.keep()
        await until(lambda: not rail.witness.ready)
        assert (await rail.box.control("/deriv/sessions"))["sessions"] == [] or not rail.witness.ready
        rail.leases.taken_by_another = False
        await rail.lease.keep()
        await until(lambda: rail.witness.ready)


async def test_a_session_of_a_node_that_stands_by_does_not_call_itself_connecting(rail):
    rail.leases.taken_by_another = True
    async with rail.running(ready=False):
        session = inside(rail.post.bound[DERIV_SESSION])
        await until(lambda: session.observable_state()["reason"] == NOT_OURS)
        rail.leases.taken_by_another = False
        await rail.lease.keep()
        await until(lambda: rail.witness.ready)
        assert session.observable_state()["reason"] == ""


async def test_a_database_that_is_away_leaves_the_socket_open(rail):
    async with rail.running():
        rail.clock.turn(20_000)
        await asyncio.sleep(0.2)
        assert rail.witness.ready
        end = await rail.call(deriv.transfer(amount=usd(100), loginid="CRB1", reference="x"), money=True)
        assert end.outcome is Outcome.NOT_SENT


# --- transfers ---


async def test_a_transfer_is_executed_once_and_its_end_told(rail):
    async with rail.running():
        submit = rail.intent()
        for _ in range(3):
            rail.submit(submit)
        end = await rail.post.next_end()
        moved = await rail.moved()
    assert (end.outcome, end.kind, end.attempt) == (Outcome.CONFIRMED, "DERIV_TRANSFER", 1)
    assert [(str(one["transaction_id"]), one["amount_minor"]) for one in moved] == [(end.provider_ref, 966)]
    mark = rail.attempts.attempts[submit.operation_id][0].watermark
    assert int(mark["balance_minor"]) >= 0


@pytest.mark.parametrize("result", [2, 3, "1"])
def test_only_a_one_says_that_money_moved(result):
    """A transfer that was answered like a dry run may have been executed, and may not."""
    reply = {"msg_type": "paymentagent_transfer", "paymentagent_transfer": result, "client_to_loginid": "CRB1"}
    end = CallEnd(outcome=Outcome.CONFIRMED, frame=deriv.decode(json.dumps(reply | {"transaction_id": 7})))
    assert transfer_result(end, "CRB1").outcome is Outcome.UNKNOWN
    assert (transfer_result(end, "CRB1", dry_run=True).outcome is Outcome.CONFIRMED) == (result == 2)


async def test_the_watermark_follows_the_account(rail):
    async with rail.running():
        rail.submit(rail.intent(966))
        first = await rail.post.next_end()
        await until(lambda: str(rail.witness.transaction_id) == first.provider_ref)
        submit = rail.intent(967)
        rail.submit(submit)
        await rail.post.next_end()
    mark = rail.attempts.attempts[submit.operation_id][0].watermark
    opening = rail.box.house.config.opening_agent_minor
    assert (mark["transaction_id"], mark["balance_minor"]) == (first.provider_ref, str(opening - 966))


@pytest.mark.parametrize(
    ("step", "code", "hold"),
    [
        ({}, "PaymentAgentTransferError", False),
        ({"error_code": "RateLimit", "error_message": "Rate limit"}, "RateLimit", True),
        ({"error_message": "Your account balance is insufficient for this transaction."}, AGENT_FUNDS, True),
    ],
)
async def test_a_known_refusal_proves_that_nothing_was_executed(rail, step, code, hold):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="refuse", **step)
        rail.submit(rail.intent())
        end = await rail.post.next_end()
        assert await rail.moved() == []
    assert (end.outcome, end.code, end.hold) == (Outcome.REFUSED, code, hold)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"fault": "before_read"}, DISCONNECTED),
        ({"fault": "executed"}, DISCONNECTED),
        ({"fault": "refuse", "error_code": "InternalServerError"}, "InternalServerError"),
        ({"fault": "refuse", "error_code": "NeverSeen"}, "NeverSeen"),
    ],
)
async def test_what_proves_nothing_is_unknown_and_blocks_its_equals(rail, step, code):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", **step)
        unknown = rail.intent(966, "CRB1")
        rail.submit(unknown)
        end = await rail.post.next_end()
        assert (end.outcome, end.code) == (Outcome.UNKNOWN, code)
        await until(lambda: rail.witness.ready)
        same_amount, same_login, free = rail.intent(966, "CRB2"), rail.intent(500, "CRB1"), rail.intent(501, "CRB3")
        for submit in (same_amount, same_login, free):
            rail.submit(submit)
        assert (await rail.post.next_end()).operation_id == free.operation_id
        await asyncio.sleep(0.3)
        assert rail.attempts.outcomes(same_amount.operation_id) == rail.attempts.outcomes(same_login.operation_id) == []
        rail.attempts.close(unknown.operation_id, state="CONFIRMED")
        freed = {(await rail.post.next_end()).operation_id for _ in range(2)}
        assert freed == {same_amount.operation_id, same_login.operation_id}


async def test_what_ended_after_its_lease_had_passed_blocks_its_equals_until_its_shard_knows(rail):
    """The owner in between may have called it unknown: the statement is searched for it, and would show its equal."""
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"latency_s": 0.3}})
        first = rail.intent(966)
        rail.submit(first)
        await until(lambda: rail.attempts.outcomes(first.operation_id) == [None])
        await rail.lease.take()
        assert (await rail.post.next_end()).outcome is Outcome.CONFIRMED
        second = rail.intent(966, "CRB2")
        rail.submit(second)
        await asyncio.sleep(0.5)
        assert rail.attempts.outcomes(second.operation_id) == []
        rail.attempts.close(first.operation_id, state="CONFIRMED")
        assert (await rail.post.next_end()).operation_id == second.operation_id


async def test_what_another_owner_left_of_an_operation_that_is_under_way_here_is_given_its_end(rail):
    """This node stood still in a call; the other one called that unknown, made the next attempt, and died of it."""
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"latency_s": 1.0}})
        first = rail.intent(966)
        rail.submit(first)
        await until(lambda: rail.attempts.outcomes(first.operation_id) == [None])
        other = await rail.lease.take()
        rail.attempts.attempts[first.operation_id].append(StoredAttempt(other.epoch, rail.clock.now(), {}))
        await rail.lease.take()
        await until(lambda: rail.attempts.outcomes(first.operation_id)[1] == Outcome.UNKNOWN)
        await until(lambda: rail.attempts.outcomes(first.operation_id)[0] == Outcome.CONFIRMED)


async def test_many_that_wait_for_one_do_not_hide_the_rest(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="executed")
        rail.submit(rail.intent(966))
        await rail.post.next_end()
        await until(lambda: rail.witness.ready)
        for number in range(600):
            rail.submit(rail.intent(966, f"CRB{number + 10}"))
        free = rail.intent(967, "CRB2")
        rail.submit(free)
        assert (await rail.post.next_end()).operation_id == free.operation_id


async def test_an_unknown_left_to_a_person_stops_blocking_after_its_window(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="executed")
        rail.submit(rail.intent(966))
        await rail.post.next_end()
        await until(lambda: rail.witness.ready)
        second = rail.intent(966, "CRB2")
        rail.submit(second)
        rail.clock.turn(600 + 60)
        await asyncio.sleep(0.3)
        assert rail.attempts.outcomes(second.operation_id) == []
        rail.clock.turn(61)
        assert (await rail.post.next_end()).operation_id == second.operation_id


async def test_an_unknown_of_an_earlier_incarnation_blocks_too(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="executed")
        rail.submit(rail.intent(966))
        await rail.post.next_end()
    again = Rail(rail.box, rail.dialer, rail.agent)
    again.attempts.operations, again.attempts.attempts = rail.attempts.operations, rail.attempts.attempts
    async with again.running():
        second = again.intent(966, "CRB9")
        again.submit(second)
        await asyncio.sleep(0.3)
    assert again.attempts.outcomes(second.operation_id) == []


@pytest.mark.parametrize(
    ("sender", "kind"),
    [(Rail.transferring, OperationKind.DERIV_TRANSFER), (Rail.withdrawing, OperationKind.DERIV_WITHDRAW)],
)
async def test_no_clock_of_ours_frees_the_equals_of_an_unknown_before_deriv_has_told_the_time(rail, sender, kind):
    """A node whose clock is ahead would take the window of what another one has just sent for over."""
    unknown = rail.attempts.add(kind, usd(966))
    before, sent_at = await rail.lease.keep(), rail.clock.now()
    rail.attempts.attempts[unknown.operation_id].append(StoredAttempt(before.epoch, sent_at, {}))
    rail.clock.turn(3600)
    ref = sender(rail)
    state = inside(ref).observable_state
    await until(lambda: state()["epoch"] > before.epoch)
    assert state()["unresolved"] == 1
    an_hour_later = int(sent_at.timestamp()) + 3600
    rail.witness.on_time(deriv.Frame(msg_type="time", req_id=1, members={"time": an_hour_later}))
    await until(lambda: not state()["unresolved"])
    await ref.shutdown(5)


async def test_equal_transfers_run_one_after_the_other(rail):
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"latency_s": 0.05}})
        submits = [rail.intent(966, f"CRB{n}") for n in range(4)]
        for submit in submits:
            rail.submit(submit)
        ends = [await rail.post.next_end() for _ in submits]
        marks = [rail.attempts.attempts[submit.operation_id][0].sent_at for submit in submits]
    assert [end.outcome for end in ends] == [Outcome.CONFIRMED] * 4
    assert marks == sorted(marks)
    assert len(set(marks)) == 4


async def test_a_late_reply_still_resolves_the_transfer(rail):
    rail.transfers = TransferSettings(calls_per_min=0, call_s=0.2)
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="late_reply", fault_delay_s=0.6)
        rail.submit(rail.intent())
        end = await rail.post.next_end()
        assert (end.outcome, end.code) == (Outcome.UNKNOWN, TIMED_OUT)
        late = await rail.post.next_end()
        moved = await rail.moved()
    assert (late.outcome, late.attempt, late.code) == (Outcome.CONFIRMED, end.attempt, "")
    assert late.provider_ref == str(moved[0]["transaction_id"])


def test_what_was_unknown_once_blocks_nobody_any_more_and_is_known_when_its_reply_comes():
    equals = Equals(reference_visible=False)
    submit = Submit(
        operation_id="op",
        shard=3,
        transaction_id="tx",
        kind=OperationKind.DERIV_TRANSFER,
        loginid="CR1",
        amount=usd(966),
    )
    equals.started(submit)
    equals.ended(submit, unknown=True)
    # What a sweep reads once the saga has gone on: nothing is in doubt any more.
    equals.left_open([])
    assert not equals.blocks(submit)
    assert equals.doubted("op") is submit
    assert equals.doubted("another") is None


async def test_a_late_refusal_is_proof_too(rail):
    rail.transfers = TransferSettings(calls_per_min=0, call_s=0.2)
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"latency_s": 0.6}})
        rail.submit(rail.intent(login="CR404"))
        assert (await rail.post.next_end()).outcome is Outcome.UNKNOWN
        late = await rail.post.next_end()
        equal = rail.intent(login="CR405")
        rail.submit(equal)
        await asyncio.sleep(0.3)
        assert rail.attempts.outcomes(equal.operation_id) == [], "its shard may still search the statement for it"
    assert (late.outcome, late.code) == (Outcome.REFUSED, "PaymentAgentTransferError")


async def test_a_killed_session_leaves_its_transfers_unknown(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="no_reply")
        rail.submit(rail.intent())
        session = rail.post.bound[DERIV_SESSION]
        await until(lambda: inside(session) is not None and inside(session).observable_state()["in_flight"])
        session.kill()
        end = await rail.post.next_end()
    assert end.outcome is Outcome.UNKNOWN


# --- the recipient's check ---


def check(login, amount=966):
    return CheckRecipient(shard=0, transaction_id=TRANSACTION, loginid=login, amount=usd(amount))


async def test_a_recipient_is_checked_once_and_remembered(rail):
    async with rail.running():
        for _ in range(3):
            rail.post.tell(DERIV_TRANSFERS, check("CRB5"))
        answer = await rail.post.next(SAGA)
        assert (answer.probe, answer.outcome) == ("recipient", "OK")
        await rail.box.deriv_step("paymentagent_transfer", fault="refuse", match={"dry_run": 1})
        rail.post.tell(DERIV_TRANSFERS, check("CRB5"))
        assert (await rail.post.next()).outcome == "OK"
        rail.clock.turn(601)
        rail.post.tell(DERIV_TRANSFERS, check("CRB5"))
        answer = await rail.post.next()
        assert (answer.outcome, answer.code) == ("REFUSED", "PaymentAgentTransferError")
        assert await rail.moved() == []


async def test_an_unknown_login_is_refused_before_anyone_pays(rail):
    async with rail.running():
        rail.post.tell(DERIV_TRANSFERS, check("CR404"))
        assert (await rail.post.next()).outcome == "REFUSED"


async def test_a_check_that_cannot_be_made_is_unanswered(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="before_read", match={"dry_run": 1})
        rail.post.tell(DERIV_TRANSFERS, check("CRB6"))
        assert (await rail.post.next()).outcome == "UNANSWERED"


async def test_paid_transfers_go_before_checks_of_new_requests(rail):
    rail.transfers = TransferSettings(calls_per_min=120, call_s=5.0)
    async with rail.running():
        for number in range(50):
            rail.post.tell(DERIV_TRANSFERS, check(f"CRB{number + 10}"))
        rail.submit(rail.intent())
        while isinstance(await rail.post.next(), ProbeAnswered):
            pass
        assert len(await rail.moved()) == 1
        state = inside(rail.post.bound[DERIV_TRANSFERS]).observable_state()
        assert state["unchecked"] > 20
        assert rail.board.backlogs["deriv"] >= state["unchecked"], "two calls each, two a second"


# --- the resolver ---


async def lost(rail, fault, minor=966, **more):
    """A transfer whose outcome is unknown; the session is back."""
    await rail.box.deriv_step("paymentagent_transfer", fault=fault, **more)
    submit = rail.intent(minor)
    rail.submit(submit)
    assert (await rail.post.next_end()).outcome is Outcome.UNKNOWN
    await until(lambda: rail.witness.ready)
    return submit


@pytest.mark.parametrize("visible", [True, False])
async def test_an_executed_transfer_is_found_in_the_statement(rail, visible):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": visible}})
    async with rail.running():
        rail.submit(rail.intent(967, "CRB8"))
        await rail.post.next_end()
        submit = await lost(rail, "executed")
        answer = await rail.resolve(submit)
        moved = await rail.moved()
    assert (answer.outcome, answer.amount) == ("CONFIRMED", usd(966))
    assert answer.reference == str(moved[-1]["transaction_id"])
    assert answer.proof


def in_other_numbers(write):
    """Every amount that is read becomes what `write` makes of it."""

    def change(told: Any) -> None:
        if isinstance(told, list):
            for one in told:
                change(one)
        elif isinstance(told, dict):
            for name, value in told.items():
                if name in {"balance", "amount", "balance_after"} and isinstance(value, int | float):
                    told[name] = write(value)
                elif name != "echo_req":
                    change(value)

    return change


@pytest.mark.parametrize("write", [lambda value: f"{value:.2f}", lambda value: value + 1e-9], ids=["text", "drift"])
async def test_amounts_in_other_numbers_are_evidence_like_any(rail, write):
    rail.dialer = Reworded(rail.dialer, in_other_numbers(write))
    async with rail.running():
        assert rail.board.floats["deriv_agent"].balance_minor == rail.box.house.config.opening_agent_minor
        found = await lost(rail, "executed")
        executed = await rail.resolve(found)
        rail.attempts.close(found.operation_id, state="CONFIRMED")
        missing = await lost(rail, "not_executed", minor=967)
        rail.clock.turn(601)
        first = await rail.resolve(missing)
        rail.clock.turn(21)
        second = await rail.resolve(missing)
    assert (executed.outcome, executed.amount) == ("CONFIRMED", usd(966))
    assert (first.outcome, second.outcome, second.attempt) == ("PENDING", "ABSENT", 1)


@pytest.mark.parametrize("transfers", [True, False])
async def test_an_executed_transfer_is_found_without_signs_and_words(rail, transfers):
    knobs = {"longcode_carries_description": False, "amounts_unsigned": True, "payments_are_transfers": transfers}
    await rail.box.control("/deriv/script", {"knobs": knobs})
    async with rail.running():
        before = rail.intent(967, "CRB8")
        rail.submit(before)
        await rail.post.next_end()
        submit = await lost(rail, "executed")
        if transfers:
            await rail.call(deriv.transfer(amount=usd(966), loginid="CRB7", reference="by hand"), money=True)
        answer = await rail.resolve(submit)
        moved = await rail.moved()
        await rail.box.deriv_step("paymentagent_transfer", fault="not_executed")
        absent = rail.intent(968, "CRB9")
        rail.submit(absent)
        assert (await rail.post.next_end()).outcome is Outcome.UNKNOWN
        await until(lambda: rail.witness.ready)
        outcomes = []
        for turn_s in (601, 21):
            rail.clock.turn(turn_s)
            outcomes.append((await rail.resolve(absent)).outcome)
    assert (answer.outcome, answer.reference) == ("CONFIRMED", str(moved[1]["transaction_id"]))
    assert outcomes == ["PENDING", "ABSENT"]


async def test_absence_takes_the_settle_window_and_two_clean_reads(rail):
    async with rail.running():
        submit = await lost(rail, "not_executed")
        early = await rail.resolve(submit)
        rail.clock.turn(601)
        first = await rail.resolve(submit)
        soon = await rail.resolve(submit)
        rail.clock.turn(21)
        second = await rail.resolve(submit)
    assert [answer.outcome for answer in (early, first, soon, second)] == ["PENDING", "PENDING", "PENDING", "ABSENT"]
    assert "balances continuous" in second.proof


async def test_a_statement_that_lags_never_proves_absence(rail):
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 3600.0}})
        submit = await lost(rail, "executed")
        rail.clock.turn(601)
        outcomes = []
        for _ in range(3):
            outcomes.append((await rail.resolve(submit)).outcome)
            rail.clock.turn(21)
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 0.0}})
        found = await rail.resolve(submit)
    assert outcomes == ["PENDING"] * 3
    assert found.outcome == "CONFIRMED"


async def test_a_row_that_another_operation_used_is_no_evidence(rail):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    async with rail.running():
        submit = await lost(rail, "executed")
        moved = await rail.moved()
        rail.attempts.references[str(moved[0]["transaction_id"])] = "another operation"
        answer = await rail.resolve(submit)
    assert answer.outcome == "PENDING"


async def test_a_movement_that_a_reply_confirmed_is_nobody_elses(rail):
    """It takes neither the stream to know of it nor the shard of its operation."""
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    await rail.box.deriv_step("transaction", fault="refuse", error_code="PermissionDenied")
    async with rail.running():
        rail.submit(rail.intent(966, "CRB2"))
        await rail.post.next_end()
        submit = await lost(rail, "not_executed")
        mark = rail.attempts.attempts[submit.operation_id][0].watermark
        answer = await rail.resolve(submit)
    assert (mark["transaction_id"], answer.outcome) == ("0", "PENDING")


async def test_a_row_that_deriv_gave_to_somebody_else_is_no_evidence(rail):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="other_recipient", loginid="CRB7")
        submit = rail.intent(966, "CRB1")
        rail.submit(submit)
        end = await rail.post.next_end()
        answer = await rail.resolve(submit)
        moved = await rail.moved()
    assert (end.outcome, end.code, end.facts) == (
        Outcome.CONFIRMED,
        ANOTHER_RECIPIENT,
        {"client_to_loginid": "CRB7"},
    )
    assert [end.provider_ref] == [str(one["transaction_id"]) for one in moved if one["to_loginid"] == "CRB7"]
    assert (answer.outcome, answer.code) == ("UNANSWERED", ANOTHER_RECIPIENT)


async def test_a_check_that_names_somebody_else_is_unanswered(rail):
    async with rail.running():
        step = {"match": {"dry_run": 1}, "fault": "other_recipient", "loginid": "CRB7"}
        await rail.box.deriv_step("paymentagent_transfer", **step)
        rail.post.tell(DERIV_TRANSFERS, check("CRB1"))
        answer = await rail.post.next()
    assert (answer.outcome, answer.code) == ("UNANSWERED", ANOTHER_RECIPIENT)


async def test_two_candidates_without_references_are_ambiguous(rail):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    async with rail.running():
        submit = await lost(rail, "executed")
        await rail.call(deriv.transfer(amount=usd(966), loginid="CRB7", reference="by hand"), money=True)
        assert (await rail.resolve(submit)).outcome == "AMBIGUOUS"


async def test_without_a_socket_nothing_is_answered_for_certain(rail):
    async with rail.running():
        submit = await lost(rail, "not_executed")
        await rail.box.deriv_step("statement", fault="before_read")
        answer = await rail.resolve(submit)
    assert answer.outcome == "UNANSWERED"
