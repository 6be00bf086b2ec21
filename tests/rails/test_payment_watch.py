"""The watch over Safaricom's list: what the books lack becomes evidence, once, whatever the list or a node does."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from actors.payment_watch import AGAIN, CURSOR, Look, PaymentWatch, WatchParts, WatchSettings
from penpay.domain.errors import BadInput, OutcomeUnknown, Unavailable
from penpay.domain.money import kes
from penpay.domain.payments import PullRow, decode_payment
from penpay.domain.unit import OperationKind
from penpay.ports_rails import TOO_MANY_PAGES, PullList
from tests.rails.fakes import IDS, FiledRows, MemoryAttempts, MemoryLeases, MemoryReads, TurnableClock

ASKED = kes(130_000)
SETTLING = timedelta(seconds=WatchSettings().settle_s)


@dataclass
class SafaricomsList:
    """Its rows by time; a row is listed when its time has come. `rows_max`: what one read brings."""

    clock: TurnableClock
    rows: list[PullRow] = field(default_factory=list)
    late: dict[str, datetime] = field(default_factory=dict)
    complete: bool = True
    unreadable: tuple[str, ...] = ()
    rows_max: int = 10_000
    reads: list[tuple[datetime, datetime]] = field(default_factory=list)
    fails: bool = False

    async def pull(self, *, since: datetime, until: datetime) -> PullList:
        assert until >= since > self.clock.now() - timedelta(hours=48)
        self.reads.append((since, until))
        if self.fails:
            raise OutcomeUnknown("timed_out")
        now = self.clock.now()
        found = [row for row in self.rows if since <= row.paid_at <= until and self.late.get(row.receipt, now) <= now]
        if len(found) > self.rows_max:
            raise OutcomeUnknown(TOO_MANY_PAGES)
        return PullList(tuple(found), complete=self.complete, unreadable=self.unreadable)


@dataclass
class Books:
    """`PaymentBooks` over the rails' fakes."""

    attempts: MemoryAttempts
    moved: dict[str, datetime] = field(default_factory=dict)
    away: bool = False

    async def claims(self, references: Sequence[str]) -> Mapping[str, str]:
        paid = set(self.attempts.references.values())
        rows = self.attempts.operations.values()
        return {row.reference: row.id for row in rows if row.reference in references and row.id not in paid}

    async def cursors(self) -> Mapping[str, datetime]:
        if self.away:
            raise Unavailable("database")
        return dict(self.moved)

    async def move_cursor(self, source: str, until: datetime, *, at: datetime) -> None:
        del at
        self.moved[source] = max(until, self.moved.get(source, until))


class House:
    """A watch whose node may die at any time: what it knows is in here."""

    def __init__(self) -> None:
        self.clock = TurnableClock()
        self.list = SafaricomsList(self.clock)
        self.attempts = MemoryAttempts(MemoryLeases())
        self.books = Books(self.attempts)
        self.inbox = FiledRows()
        self.reads = MemoryReads(self.attempts, since=self.clock.now() - timedelta(hours=1))
        self.watch = self.started()

    def started(self) -> PaymentWatch:
        return PaymentWatch(
            WatchParts(
                daraja=self.list,  # type: ignore[arg-type] # nothing else of it is asked
                books=self.books,
                reads=self.reads,
                attempts=self.attempts,
                inbox=self.inbox,  # type: ignore[arg-type]
                clock=self.clock,
                ids=IDS,
            )
        )

    def push(self, state: str = "REFUSED") -> str:
        made = self.attempts.add(OperationKind.STK, ASKED, shard=3, state=state, recipient="2547****126")
        return made.operation_id

    def pays(self, receipt: str, push: str = "", *, ago_s: float = 0, minor: int = ASKED.minor, tail: str = "") -> None:
        reference = self.attempts.operations[push].reference if push else "HELLO"
        at = self.clock.now() - timedelta(seconds=ago_s)
        self.list.rows.append(PullRow(receipt, reference, kes(minor), at, tail))

    def later(self, seconds: float) -> None:
        self.clock.turn(seconds)

    @property
    def found(self) -> list[tuple[str, int, str]]:
        return [(decode_payment(row.body).receipt, row.shard, row.operation_id) for row in self.inbox.rows]


@pytest.fixture
def house() -> House:
    return House()


async def test_a_payment_of_a_push_that_failed_is_told_to_its_saga_by_the_next_look(house: House) -> None:
    push = house.push()
    house.pays("NLJ7RT61SV", push)
    assert await house.watch.look() == Look()
    assert house.found == [("NLJ7RT61SV", 3, push)]
    (row,) = house.inbox.rows
    assert (row.kind, row.trusted_source) == ("pull", True)
    assert decode_payment(row.body) == house.list.rows[0]


async def test_a_row_that_is_seen_a_hundred_times_is_told_once(house: House) -> None:
    house.pays("NLJ7RT61SV", house.push())
    house.pays("NOBODYS001", ago_s=1000)
    for _ in range(100):
        await house.watch.look()
    assert sorted(receipt for receipt, *_ in house.found) == ["NLJ7RT61SV", "NOBODYS001"]


async def test_what_the_books_know_is_told_to_nobody(house: House) -> None:
    push = house.push("CONFIRMED")
    house.attempts.references["NLJ7RT61SV"] = push
    house.pays("NLJ7RT61SV", push, ago_s=1000)
    await house.watch.look()
    assert house.found == []


@pytest.mark.parametrize("state", ["INTENT", "SENT", "UNKNOWN"])
async def test_while_a_push_is_open_its_saga_asks_by_itself(house: House, state: str) -> None:
    push = house.push(state)
    house.pays("NLJ7RT61SV", push)
    await house.watch.look()
    assert house.found == []
    house.later(601)
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push)]


async def test_a_payment_of_nobody_is_set_aside_when_it_is_on_its_way_no_more(house: House) -> None:
    house.pays("NOBODYS001")
    await house.watch.look()
    assert house.found == []
    house.later(601)
    await house.watch.look()
    assert house.found == [("NOBODYS001", 0, "")]


async def test_what_stands_in_the_opening_balance_is_nobodys_business(house: House) -> None:
    house.pays("BEFORE0001", ago_s=3601)
    await house.watch.look()
    assert house.found == []


async def test_a_clock_that_is_behind_hides_no_payment_of_our_first_push(house: House) -> None:
    push = house.push()
    house.pays("NLJ7RT61SV", push, ago_s=3660)
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push)]


async def test_of_two_payments_of_one_push_the_asked_one_is_its_own_and_the_other_nobodys(house: House) -> None:
    push = house.push()
    house.pays("BYHAND0001", push, ago_s=900, minor=100)
    house.pays("NLJ7RT61SV", push, ago_s=800)
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push), ("BYHAND0001", 0, "")]
    house.attempts.references["NLJ7RT61SV"] = push
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push), ("BYHAND0001", 0, "")]


async def test_of_two_payments_of_one_push_that_of_the_asked_phone_is_its_own(house: House) -> None:
    push = house.push()
    house.pays("STRANGER01", push, ago_s=900, tail="999")
    house.pays("NLJ7RT61SV", push, ago_s=800, tail="126")
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push), ("STRANGER01", 0, "")]


async def test_what_the_list_shows_of_who_paid_is_told_with_the_payment(house: House) -> None:
    house.pays("STRANGER01", house.push(), tail="999")
    await house.watch.look()
    assert [decode_payment(row.body).phone_tail for row in house.inbox.rows] == ["999"]


async def test_a_second_payment_of_one_push_is_not_lost_where_a_day_is_read_once(house: House) -> None:
    await house.watch.look()
    push = house.push()
    house.pays("NLJ7RT61SV", push)
    house.later(30)
    house.pays("BYHAND0001", push)
    house.later(86_400)
    while (await house.watch.look()).behind:
        house.attempts.references["NLJ7RT61SV"] = push
    assert house.found == [("NLJ7RT61SV", 3, push), ("BYHAND0001", 0, "")]


async def test_a_receipt_that_its_push_did_not_take_is_nobodys_later(house: House) -> None:
    push = house.push()
    house.pays("NLJ7RT61SV", push, ago_s=900)
    await house.watch.look()
    house.attempts.references["ANOTHER001"] = push
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push), ("NLJ7RT61SV", 0, "")]


async def test_a_row_that_is_listed_late_is_met_by_the_overlap(house: House) -> None:
    push = house.push()
    await house.watch.look()
    house.pays("NLJ7RT61SV", push)
    house.list.late["NLJ7RT61SV"] = house.clock.now() + timedelta(minutes=25)
    for _ in range(30):
        house.later(60)
        await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push)]


@pytest.mark.parametrize("push", [True, False])
async def test_a_row_that_is_listed_hours_late_is_met_by_the_second_look_of_a_day_later(
    house: House, push: bool
) -> None:
    await house.watch.look()
    named = house.push() if push else ""
    house.pays("NLJ7RT61SV", named)
    house.list.late["NLJ7RT61SV"] = house.clock.now() + timedelta(hours=5)
    for _ in range(28 * 6):
        house.later(600)
        await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3 if push else 0, named)]


async def test_the_second_look_goes_on_where_a_node_before_had_come_to(house: House) -> None:
    for _ in range(30 * 6):
        house.later(600)
        await house.watch.look()
    house.watch = house.started()
    again = house.books.moved[AGAIN]
    assert timedelta(hours=24) <= house.clock.now() - again <= timedelta(hours=26, minutes=10)
    house.list.reads.clear()
    for _ in range(12):
        house.later(600)
        await house.watch.look()
    (read,) = [one for one in house.list.reads if one[1] < house.clock.now() - timedelta(hours=12)]
    assert read == (again - timedelta(minutes=5), again + timedelta(hours=2))


async def test_a_node_that_was_away_for_a_day_reads_the_day_in_pieces(house: House) -> None:
    await house.watch.look()
    push = house.push()
    house.pays("NLJ7RT61SV", push)
    house.later(86_400)
    house.watch = house.started()
    looks = [await house.watch.look()]
    while looks[-1].behind:
        looks.append(await house.watch.look())
    assert len(looks) == 13
    assert max(until - since for since, until in house.list.reads) <= timedelta(seconds=7200 + 1800)
    assert house.found == [("NLJ7RT61SV", 3, push)]
    assert house.books.moved[CURSOR] == house.list.reads[-1][1] - SETTLING


async def test_what_is_older_than_the_list_is_said_and_the_rest_is_read(house: House) -> None:
    await house.watch.look()
    house.later(60 * 3600)
    assert (await house.watch.look()).problem == "beyond_the_list"
    while (look := await house.watch.look()).behind:
        pass
    assert look == Look()


async def test_nothing_is_passed_over_that_was_not_read_or_not_stored(house: House) -> None:
    push = house.push()
    house.pays("NLJ7RT61SV", push)
    house.list.fails = True
    with pytest.raises(OutcomeUnknown):
        await house.watch.look()
    house.list.fails, house.inbox.away = False, True
    with pytest.raises(Unavailable):
        await house.watch.look()
    assert house.books.moved == {}
    house.inbox.away = False
    house.later(7200)
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push)]


async def test_a_crowd_is_read_in_smaller_pieces(house: House) -> None:
    pushes = [house.push() for _ in range(40)]
    for number, push in enumerate(pushes):
        house.pays(f"CROWD{number:05}", push, ago_s=3500 - 60 * number)
    house.list.rows_max = 15
    with pytest.raises(OutcomeUnknown, match=TOO_MANY_PAGES):
        await house.watch.look()
    for _ in range(100):
        with suppress(OutcomeUnknown):
            if not (await house.watch.look()).behind:
                break
    assert {operation_id for *_, operation_id in house.found} == set(pushes)


async def test_a_crowd_of_the_day_before_is_read_in_smaller_pieces_too(house: House) -> None:
    await house.watch.look()
    for number in range(40):
        house.pays(f"CROWD{number:05}")
        house.later(60)
    house.list.late = {row.receipt: house.clock.now() + timedelta(hours=5) for row in house.list.rows}
    house.list.rows_max = 15
    for _ in range(30 * 6):
        house.later(600)
        with suppress(OutcomeUnknown):
            await house.watch.look()
    assert len(house.found) == 40


async def test_in_a_crowd_too_what_was_too_young_is_read_again(house: House) -> None:
    await house.watch.look()
    house.list.rows_max = 200
    for second in range(3600):
        house.later(1)
        house.pays(f"CROWD{second:05}")
        if second % 20 == 0:
            with suppress(OutcomeUnknown):
                await house.watch.look()
    house.later(601)
    house.list.rows_max = 10_000
    while (await house.watch.look()).behind:
        pass
    assert {receipt for receipt, *_ in house.found} >= {f"CROWD{second:05}" for second in range(3600)}


async def test_a_row_that_nobody_can_read_holds_up_no_other(house: House) -> None:
    house.pays("NLJ7RT61SV", house.push())
    house.list.complete = False
    assert (await house.watch.look()).problem == "unreadable_rows"
    assert [receipt for receipt, *_ in house.found] == ["NLJ7RT61SV"]
    assert house.books.moved[CURSOR] == house.list.reads[-1][1] - SETTLING


async def test_each_row_that_nobody_can_read_becomes_evidence_once_and_is_no_payment(house: House) -> None:
    house.list.unreadable, house.list.complete = ("{'transactionId': ''}", "{'amount': '0'}"), False
    for _ in range(3):
        house.later(60)
        assert (await house.watch.look()).problem == "unreadable_rows"
    assert [(row.kind, row.shard, row.operation_id) for row in house.inbox.rows] == [("pull", 0, "")] * 2
    for row in house.inbox.rows:
        with pytest.raises(BadInput):
            decode_payment(row.body)


async def test_a_clock_that_was_set_back_hides_no_payment(house: House) -> None:
    house.books.moved[CURSOR] = house.clock.now() + timedelta(hours=1)
    house.reads = replace(house.reads, since=house.clock.now() - timedelta(hours=9))
    house.watch = house.started()
    push = house.push()
    house.pays("NLJ7RT61SV", push)
    await house.watch.look()
    assert house.found == [("NLJ7RT61SV", 3, push)]
