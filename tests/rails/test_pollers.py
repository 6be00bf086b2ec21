"""Balances and the list of payments, against the sandbox."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.daraja_pollers import RAIL_SHARD, DarajaPollersActor, PollerParts, PollerSettings, _LookForBalance
from actors.payment_watch import CURSOR, WatchParts
from actors.rail_lease import LeaseHolder
from penpay.domain.board import Board
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.money import kes
from penpay.domain.payments import PullRow
from penpay.messages import InboxRow
from penpay.messages_rails import DARAJA_GATE, ProbePull, ResumePayouts, StopPayouts
from penpay.ports_rails import PullList
from tests.rails.fakes import (
    CLOCK,
    IDS,
    TRANSACTION,
    MemoryAttempts,
    MemoryLeases,
    MemoryReads,
    PlainTokens,
    PostOffice,
    in_path,
    inside,
    until,
)

QUICK = PollerSettings(balance_every_s=30.0, pull_every_s=30.0, sweep_every_s=0.02, reserve_every_s=0.02)


@dataclass
class MemoryInbox:
    """The rail's rows, as the callback route would have stored them."""

    rows: list[InboxRow] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    away: bool = False

    async def waiting(self, shard: int, *, older_than: datetime, limit: int) -> list[InboxRow]:
        if self.away:
            raise Unavailable("database")
        assert shard == RAIL_SHARD
        return [row for row in self.rows if row.id not in self.consumed and row.received_at < older_than][:limit]

    async def consumed_by_rail(self, inbox_ids: list[str]) -> None:
        self.consumed += inbox_ids

    def arrive(
        self, path: str, body: bytes, *, trusted: bool = True, ahead: timedelta = -timedelta(milliseconds=1)
    ) -> None:
        _, kind, shard, operation_id = path.rsplit("/", 3)
        self.rows.append(
            InboxRow(
                id=IDS.ulid(),
                shard=int(shard),
                kind=kind,
                operation_id=bytes.fromhex(operation_id).decode(),
                body=body,
                trusted_source=trusted,
                received_at=CLOCK.now() + ahead,
            )
        )


class ScriptedList:
    """A list of payments that a test fills; every read waits for `gate`."""

    def __init__(self) -> None:
        self.rows: list[PullRow] = []
        self.complete = True
        self.reads: list[tuple[datetime, datetime]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def pull(self, *, since: datetime, until: datetime) -> PullList:
        self.reads.append((since, until))
        await self.gate.wait()
        if self.fails:
            raise OutcomeUnknown("timed_out")
        return PullList(tuple(self.rows), complete=self.complete)

    async def account_balance(self, **_: Any) -> str:
        return "AG"


@dataclass
class NoBooks:
    """`PaymentBooks` that nobody has written in. `cursor` is where the watch begins."""

    cursor: datetime | None = None

    async def cursors(self) -> dict[str, datetime]:
        return {CURSOR: self.cursor} if self.cursor else {}

    async def claims(self, _references: list[str]) -> dict[str, str]:
        return {}

    async def move_cursor(self, _source: str, until: datetime, *, at: datetime) -> None:
        self.cursor = until


@dataclass
class Pollers:
    daraja: Any = field(default_factory=ScriptedList)
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    post: PostOffice = field(default_factory=PostOffice)
    board: Board = field(default_factory=Board)
    reads: MemoryReads = field(default_factory=MemoryReads)
    base: str = "http://127.0.0.1:1"
    leases: MemoryLeases = field(default_factory=MemoryLeases)

    @asynccontextmanager
    async def running(self, **settings):
        lease = LeaseHolder("rail/daraja", self.leases, CLOCK)
        await lease.keep()
        parts = PollerParts(
            lease=lease,
            daraja=self.daraja,
            tokens=PlainTokens(self.base),
            inbox=self.inbox,
            reads=self.reads,
            addresses=self.post,
            clock=CLOCK,
            ids=IDS,
            board=self.board,
            watch=WatchParts(
                daraja=self.daraja,
                books=NoBooks(),
                reads=self.reads,
                attempts=MemoryAttempts(MemoryLeases()),
                inbox=self.inbox,
                clock=CLOCK,
                ids=IDS,
            ),
            settings=replace(QUICK, **settings),
        )
        ref = DarajaPollersActor.start(parts)
        await ref.ready()
        try:
            yield ref
        finally:
            await ref.shutdown(5)


PAYER = "2547****126"
RESULT = b"""{"Result":{"ResultCode":0,"ResultParameters":{"ResultParameter":{"Key":"AccountBalance","Value":"%s"}}}}"""


def probe(reference="P1", since=None):
    since = since or CLOCK.now() - timedelta(minutes=10)
    return ProbePull(
        operation_id=f"op-{reference}",
        shard=0,
        transaction_id=TRANSACTION,
        reference=reference,
        payer=PAYER,
        amount=kes(130_000),
        since=since,
    )


@pytest.fixture
def pollers():
    return Pollers()


async def test_one_read_of_the_list_serves_everyone_who_waits(pollers):
    paid_at = CLOCK.now() - timedelta(minutes=3)
    pollers.daraja.rows = [PullRow("NLJ7RT61SV", "P1", kes(130_000), paid_at)]
    pollers.daraja.gate.clear()
    async with pollers.running() as ref:
        ref.tell(probe("P0"))
        await until(lambda: pollers.daraja.reads)
        for number in range(1, 6):
            ref.tell(probe(f"P{number}"))
        pollers.daraja.gate.set()
        answers = {}
        for _ in range(6):
            answer = await pollers.post.next()
            answers[answer.operation_id] = answer
    assert len(pollers.daraja.reads) == 2
    assert {answer.outcome for name, answer in answers.items() if name != "op-P1"} == {"CLEAN"}
    found = answers["op-P1"]
    assert (found.outcome, found.reference, found.amount, found.paid_at) == (
        "PAID",
        "NLJ7RT61SV",
        kes(130_000),
        paid_at,
    )
    assert answers["op-P2"].until == pollers.daraja.reads[1][1]


@pytest.mark.parametrize("order", [1, -1])
async def test_of_several_payments_the_first_of_the_asked_amount_is_told(pollers, order):
    at = CLOCK.now() - timedelta(minutes=3)
    rows = [
        PullRow("BYHAND0001", "P1", kes(100), at),
        PullRow("FIRST00001", "P1", kes(130_000), at + timedelta(minutes=1)),
        PullRow("LATER00001", "P1", kes(130_000), at + timedelta(minutes=2)),
        PullRow("LATER00002", "P2", kes(200), at + timedelta(minutes=2)),
        PullRow("FIRST00002", "P2", kes(100), at),
    ]
    pollers.daraja.rows = rows[::order]
    async with pollers.running() as ref:
        for number, receipt in ((1, "FIRST00001"), (2, "FIRST00002")):
            ref.tell(probe(f"P{number}"))
            answer = await pollers.post.next()
            assert (answer.outcome, answer.reference) == ("PAID", receipt)


@pytest.mark.parametrize("order", [1, -1])
async def test_of_several_payments_one_of_the_phone_that_was_asked_is_told_first(pollers, order):
    at = CLOCK.now() - timedelta(minutes=3)
    rows = [
        PullRow("STRANGER01", "P1", kes(130_000), at, "999"),
        PullRow("ANOTHER001", "P1", kes(100), at + timedelta(minutes=1), "126"),
    ]
    async with pollers.running() as ref:
        for listed, told in ((rows[::order], ("ANOTHER001", "126")), (rows[:1], ("STRANGER01", "999"))):
            pollers.daraja.rows = listed
            ref.tell(probe("P1"))
            answer = await pollers.post.next()
            assert (answer.reference, answer.phone_tail) == told


async def test_a_list_that_cannot_be_read_says_nothing(pollers):
    pollers.daraja.fails = True
    async with pollers.running() as ref:
        ref.tell(probe())
        answer = await pollers.post.next()
    assert (answer.outcome, answer.code) == ("UNANSWERED", "timed_out")


async def test_the_silence_of_the_list_counts_only_as_far_as_it_reaches(pollers):
    async with pollers.running() as ref:
        ref.tell(probe(since=datetime.now(UTC) - timedelta(hours=60)))
        answer = await pollers.post.next()
    assert (answer.outcome, answer.code) == ("UNANSWERED", "beyond_the_list")
    since, until_ = pollers.daraja.reads[0]
    assert until_ - since <= timedelta(hours=48)


async def test_a_row_that_nobody_can_read_hides_no_payment_and_proves_no_absence(pollers):
    pollers.daraja.rows, pollers.daraja.complete = [PullRow("NLJ7RT61SV", "P1", kes(130_000), CLOCK.now())], False
    async with pollers.running() as ref:
        ref.tell(probe("P1"))
        assert (await pollers.post.next()).outcome == "PAID"
        ref.tell(probe("P2"))
        answer = await pollers.post.next()
    assert (answer.outcome, answer.code) == ("UNANSWERED", "unreadable_rows")


async def test_the_watch_and_those_who_ask_take_turns(pollers):
    pollers.reads.since = CLOCK.now() - timedelta(hours=5)
    pollers.daraja.gate.clear()
    async with pollers.running(pull_every_s=0.01) as ref:
        ref.tell(probe("P0"))
        await until(lambda: pollers.daraja.reads)
        # Both wait now; the watch is behind, and would read again and again.
        await until(lambda: inside(ref).observable_state()["watch_due"])
        ref.tell(probe("P1"))
        pollers.daraja.gate.set()
        assert {(await pollers.post.next()).operation_id for _ in range(2)} == {"op-P0", "op-P1"}
        await until(lambda: len(pollers.daraja.reads) >= 5)
    asked = [timedelta(minutes=14) < until_ - since < timedelta(minutes=16) for since, until_ in pollers.daraja.reads]
    assert asked[:5] in ([True, False, True, False, False], [False, True, False, False, False])


async def test_the_watch_tells_why_it_cannot_read(pollers):
    pollers.daraja.fails = True
    async with pollers.running(pull_every_s=0.01) as ref:
        await until(lambda: inside(ref).observable_state()["pull_problem"] == "timed_out")
        pollers.daraja.fails, pollers.reads.away = False, True
        await until(lambda: inside(ref).observable_state()["pull_problem"] == "Unavailable")
        pollers.reads.away = False
        await until(lambda: inside(ref).observable_state()["pull_problem"] == "")


async def test_a_real_payment_is_found_by_its_reference(pollers, daraja, sandbox_rails):
    pollers.daraja = daraja
    pollers.base = sandbox_rails.callback_url
    url = f"{sandbox_rails.callback_url}/cb/stk/0/1"
    await daraja.stk_push(amount=kes(50_000), phone="254708374149", reference="P00000000001", callback_url=url)
    while "/cb/stk/" not in (await sandbox_rails.callback())[0]:
        pass
    async with pollers.running() as ref:
        ref.tell(probe("P00000000001"))
        found = await pollers.post.next()
        ref.tell(probe("P00000000002"))
        clean = await pollers.post.next()
    assert (found.outcome, found.amount) == ("PAID", kes(50_000))
    assert clean.outcome == "CLEAN"


async def test_balances_of_both_short_codes_reach_the_board(pollers, daraja, sandbox_rails):
    pollers.daraja = daraja
    pollers.base = sandbox_rails.callback_url
    async with pollers.running():
        for _ in range(2):
            pollers.inbox.arrive(*await sandbox_rails.callback())
        await until(lambda: len(pollers.board.floats) == 2)
        config = sandbox_rails.house.config
        assert pollers.board.floats["mpesa_paybill"].balance_minor == config.opening_paybill_minor
        assert pollers.board.floats["mpesa_utility"].balance_minor == config.opening_utility_minor
        await until(lambda: len(pollers.inbox.consumed) == 2)


async def test_a_float_of_which_a_part_cannot_be_read_keeps_its_last_balance(pollers, daraja, sandbox_rails):
    pollers.daraja = daraja
    pollers.base = sandbox_rails.callback_url
    async with pollers.running():
        for _ in range(2):
            path, body = await sandbox_rails.callback()
            pollers.inbox.arrive(path, body.replace(b"Working Account|KES|0.00|0.00", b"Working Account|KES|0.00|x"))
        await until(lambda: len(pollers.inbox.consumed) == 2)
    assert pollers.board.floats.keys() == {"mpesa_utility"}


async def test_a_balance_that_nobody_asked_for_or_from_a_stranger_changes_nothing(pollers, daraja, sandbox_rails):
    pollers.daraja = daraja
    pollers.base = sandbox_rails.callback_url
    async with pollers.running():
        path, body = await sandbox_rails.callback()
        pollers.inbox.arrive(path.rsplit("/", 1)[0] + f"/{in_path('another')}", body)
        pollers.inbox.arrive(path, body, trusted=False)
        await until(lambda: len(pollers.inbox.consumed) == 2)
    assert pollers.board.floats == {}


async def test_a_result_is_read_whatever_the_clock_of_the_node_that_took_it_in(pollers):
    pollers.inbox.arrive(f"/balance/{RAIL_SHARD}/{in_path('asked')}", b"{}", ahead=timedelta(hours=1))
    async with pollers.running():
        await until(lambda: len(pollers.inbox.consumed) == 1)


async def test_a_result_that_ends_its_reader_does_not_meet_the_next_one(pollers, monkeypatch):
    """F92: no ledger counts the rows of a rail, so they are used up before they are read."""

    def broken(*_: object) -> None:
        raise ValueError("poison")

    monkeypatch.setattr(DarajaPollersActor, "_read_balance", broken)
    async with pollers.running(sweep_every_s=3600.0) as ref:
        await until(lambda: inside(ref)._balances)
        asked = next(iter(inside(ref)._balances))
        pollers.inbox.arrive(f"/balance/{RAIL_SHARD}/{in_path(asked)}", b"{}")
        with pytest.raises(ValueError, match="poison"):
            await ref.aask(_LookForBalance())
    assert pollers.inbox.consumed == [pollers.inbox.rows[0].id]


async def test_a_node_that_stands_by_leaves_the_results_to_the_one_that_asked(pollers):
    pollers.leases.taken_by_another = True
    pollers.inbox.arrive(f"/balance/{RAIL_SHARD}/{in_path('asked elsewhere')}", b"{}")
    async with pollers.running() as ref:
        await ref.aask(_LookForBalance())
        assert pollers.inbox.consumed == []


async def test_the_pollers_outlive_a_database_that_is_away(pollers):
    pollers.inbox.away = True
    async with pollers.running() as ref:
        await asyncio.sleep(0.1)
        pollers.inbox.away = False
        ref.tell(probe("P9"))
        assert (await pollers.post.next()).outcome == "CLEAN"
        assert ref.is_alive()


async def test_balances_are_asked_again_until_they_are_known(pollers):
    asked = []
    pollers.daraja.account_balance = lambda **about: asked.append(about) or asyncio.sleep(0, "AG")
    async with pollers.running(balance_again_s=0.01):
        await until(lambda: len(asked) >= 6)


async def test_what_safaricom_does_not_tell_is_on_the_board_until_it_does(pollers):
    pollers.daraja.fails = True
    lacks = pollers.board.lacks
    async with pollers.running(balance_again_s=0.01, pull_every_s=0.01) as ref:
        await until(lambda: lacks.get("daraja") == {"account_balance", "pull"})
        pollers.daraja.fails = False
        await until(lambda: lacks["daraja"] == {"account_balance"})
        for name in ("mpesa_paybill", "mpesa_utility"):
            inside(ref)._read_balance(name, RESULT % b"Utility Account|KES|1.00|1.00|0.00|0.00", CLOCK.now())
        assert not lacks["daraja"]


async def test_with_one_short_code_no_money_counts_twice(pollers, daraja, sandbox_rails):
    pollers.daraja = daraja
    pollers.base = sandbox_rails.callback_url
    async with pollers.running(one_short_code=True):
        for _ in range(2):
            pollers.inbox.arrive(*await sandbox_rails.callback())
        await until(lambda: len(pollers.board.floats) == 2)
    assert pollers.board.floats["mpesa_paybill"].balance_minor == 0


# --- what payouts may still spend, and whose credential it is ---


async def test_promised_payouts_are_reserved_of_the_paying_float_only(sandbox_rails, daraja):
    pollers = Pollers(daraja, base=sandbox_rails.callback_url)
    pollers.reads.reserved_minor = 249_000
    async with pollers.running():
        while len(pollers.board.floats) < 2:
            pollers.inbox.arrive(*await sandbox_rails.callback())
            await until(lambda: pollers.inbox.consumed == [row.id for row in pollers.inbox.rows])
        await until(lambda: pollers.board.floats["mpesa_utility"].reserved_minor == 249_000)
        assert pollers.board.floats["mpesa_paybill"].reserved_minor == 0
        pollers.reads.away = True
        await asyncio.sleep(0.05)
        assert pollers.board.floats["mpesa_utility"].reserved_minor == 249_000
        pollers.reads.away, pollers.reads.reserved_minor = False, 0
        await until(lambda: pollers.board.floats["mpesa_utility"].reserved_minor == 0)


async def test_a_balance_that_speaks_against_our_initiator_stops_payouts_and_further_questions(sandbox_rails, daraja):
    await sandbox_rails.daraja_step("balance", result_code="2001", times=0)
    pollers = Pollers(daraja, base=sandbox_rails.callback_url)
    async with pollers.running(balance_again_s=0.1) as ref:
        pollers.inbox.arrive(*await sandbox_rails.callback())
        assert await pollers.post.next(DARAJA_GATE) == StopPayouts(code="2001")
        pollers.inbox.arrive(*await sandbox_rails.callback())
        await until(lambda: len(pollers.inbox.consumed) == 2)
        await asyncio.sleep(0.3)
        assert sandbox_rails.received.empty()
        ref.tell(ResumePayouts())
        await sandbox_rails.callback()


async def test_missing_rights_for_payouts_leave_balances_asked(sandbox_rails, daraja):
    pollers = Pollers(daraja, base=sandbox_rails.callback_url)
    async with pollers.running(balance_again_s=0.1) as ref:
        ref.tell(StopPayouts(code="21"))
        for _ in range(3):
            await sandbox_rails.callback()
