"""The invariants over the simulation's rows say what the SQL ones say, of sound books and of broken ones."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penpay.domain.ledger import AccountCode
from penpay.domain.money import kes, usd
from penpay.domain.unit import OperationChange, OperationState, ReviewOpened
from penpay.invariants import questions
from penpay.messages import InboxRow
from penpay.ports import AttemptEnd
from penpay.simulation.books import sweep as sweeping
from penpay.simulation.books.sweep import sweep
from penpay.simulation.books.watch import Watch
from penpay.simulation.store.tables import Change, Table
from tests.contracts.store.judging import news_verdict, sql_verdict
from tests.contracts.store.ledgers import ledger
from tests.contracts.store.stage import MemoryStage
from tests.contracts.store.units import (
    begun,
    booked,
    cancelled,
    credited,
    debited,
    paid_out,
    status_changed,
    withdrawal,
)
from tests.ledger.house import fresh_id, paid, stepped, stk

OF_TIME = {
    *("i12_woken_late", "i13_unknown_for_hours", "i17_evidence_waits", "i29_outbox_stuck"),
    *("i31_phone_in_clear", "i31_phone_told_in_clear"),
    "i21_balance_differs",
}
"""Asked by the sweep only."""
BY_KEYS = {"i16_key_used_twice"}
"""Broken only where the unique key is missing."""
OF_WHOLE_POSTINGS = {
    *("i01_posting_unbalanced", "i02_posting_without_two_legs", "i02_leg_without_posting"),
    *("i26_posting_without_unit", "i26_money_without_audit"),
}


class World:
    """Books with a little of everything, and handles to what is broken in them later."""

    def __init__(self) -> None:
        self.stage = MemoryStage()
        self.server = self.stage.server
        self.schema = self.stage.server.schema
        self.watch = Watch(self.server)
        self.done, self.waiting, self.open = begun(), begun(), begun()
        self.failed, self.frozen = begun(), begun()
        self.out = withdrawal()
        self.payment, self.transfer = paid(self.done), paid(self.waiting)
        self.debit = debited(self.out)

    async def build(self) -> None:
        async with ledger(self.stage) as (process, commit):
            units = [booked(AccountCode.DERIV_AGENT, usd(1_000_000)), booked(AccountCode.MPESA_UTILITY, kes(9_000_000))]
            units += [self.done, self.payment, credited(self.payment), self.waiting, self.transfer]
            units += [self.out, self.debit, paid_out(self.debit), self.open]
            units += [self.failed, cancelled(self.failed), self.frozen]
            for unit in units:
                await commit(unit)
            epoch = (await process.leases.acquire("rail/daraja")).epoch
            for first in (self.open, self.frozen):
                assert await process.attempts.begin("daraja", epoch, first.new_operations[0].id, watermark={})
            owner = self.frozen.transaction.row
            review = ReviewOpened(
                id=fresh_id(),
                transaction_id=owner.id,
                operation_id="",
                kind="account_frozen",
                reason="why",
                owner_role="OPS",
                due_at=datetime.now(UTC),
            )
            await commit(stepped(self.frozen, state="IN_REVIEW", reviews=(review,)))
            await commit(status_changed(owner.user_id, "FROZEN"))
            pushed = self.open.new_operations[0].id
            at = datetime.now(UTC)
            evidence = InboxRow(
                id=fresh_id(), shard=0, kind="stk", operation_id=pushed, body=b"{}", trusted_source=True, received_at=at
            )
            assert await process.inbox.add(evidence, dedupe_key="k", source="")
            end = AttemptEnd(operation_id=pushed, attempt=1, kind="STK", outcome="UNKNOWN", at=at)
            await process.attempts.end("daraja", epoch, end, shard=0, transaction_id="")
        self.stage.close()

    def put(self, table: Table[Any], key: object, **fields: object) -> list[Change]:
        """Other columns for a row, whatever the schema says to them."""
        before = table.rows[key]
        if hasattr(before, "row"):
            inside = {name: fields.pop(name) for name in list(fields) if name not in before._fields}
            fields["row"] = replace(before.row, **inside)
        after = before._replace(**fields)
        table._put(key, before, after)
        return [Change(table, key, before, after)]

    def remove(self, table: Table[Any], key: object) -> list[Change]:
        table._put(key, table.rows[key], None)
        return []

    def operation(self, unit: Any) -> str:
        return unit.new_operations[0].id

    def posting(self, key: str, unit: Any) -> Any:
        found = self.schema.postings.holder("uq_postings_key", (unit.transaction.row.id, key))
        return self.schema.postings.rows[found]

    def audit_of(self, unit: Any) -> object:
        (record,) = self.schema.audit_log.under("unit", unit.unit_id)
        return record.chain, record.seq

    def ask(self, unit: Any, kind: str) -> str:
        """A question about the transaction and the operation of a unit; its id."""
        asked = next(iter(self.schema.review_items))._replace(
            id=fresh_id(), transaction_id=unit.transaction.row.id, operation_id=self.operation(unit), kind=kind
        )
        self.schema.review_items._put(asked.id, None, asked)
        return asked.id

    def twin(self, unit: Any, **fields: object) -> list[Change]:
        """Another operation like the first of a unit."""
        operations = self.schema.provider_operations
        row = operations.rows[self.operation(unit)]._replace(id=stk().id, **fields)
        operations._put(row.id, None, row)
        return [Change(operations, row.id, None, row)]


@pytest.fixture
async def world():
    made = World()
    await made.build()
    return made


@pytest.mark.parametrize(
    ("kind", "is_seen"), [("parked", True), ("evidence_unusable", False), ("payment_awaited", False)]
)
async def test_only_a_question_that_a_saga_waits_for_stands_in_for_a_time_to_wake(
    world, module_database, kind: str, is_seen: bool
):
    world.ask(world.open, kind)
    world.put(world.schema.transactions, world.open.transaction.row.id, next_wake_at=None)
    broken = set() if is_seen else {"i12_nobody_wakes"}
    assert sweep(world.server).keys() == sql_verdict(world.server, module_database) == broken


@pytest.mark.parametrize(
    ("kind", "is_closed", "is_seen"),
    [
        ("payment_unknown", False, True),
        ("payment_unknown", True, False),
        ("payment_awaited", False, True),
        # People have looked; the deposit goes on asking and comes before them again by itself.
        ("payment_awaited", True, True),
        ("receipt_missing", False, False),
    ],
)
async def test_an_unknown_outcome_is_known_to_people_only_through_a_question_about_it(
    world, module_database, kind: str, is_closed: bool, is_seen: bool
):
    item = world.ask(world.open, kind)
    if is_closed:
        world.put(world.schema.review_items, item, closed_at=datetime.now(UTC), resolution="by staff")
    world.put(world.schema.provider_operations, world.operation(world.open), state="UNKNOWN", updated_at=LONG_AGO)
    broken = set() if is_seen else {"i13_unknown_for_hours"}
    assert sweep(world.server).keys() == sql_verdict(world.server, module_database) == broken


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BREAKAGES: dict[str, Callable[[World], list[Change]]] = {
    "i01_posting_unbalanced": lambda w: w.put(
        w.schema.ledger_entries, (w.posting("paid", w.done).id, 0), amount_minor=130_001
    ),
    "i02_posting_without_two_legs": lambda w: w.remove(w.schema.ledger_entries, (w.posting("paid", w.done).id, 0)),
    "i02_leg_without_posting": lambda w: w.remove(w.schema.postings, w.posting("paid", w.done).id),
    "i03_trial_balance": lambda w: w.put(w.schema.accounts, "00:equity:USD", balance_minor=-999_999),
    "i04_credited_twice": lambda w: w.twin(w.payment, provider_ref="other"),
    "i05_paid_out_twice": lambda w: w.twin(w.debit, provider_ref="other"),
    "i06_credit_without_payment": lambda w: w.put(w.schema.provider_operations, w.operation(w.done), state="REFUSED"),
    "i07_payout_without_debit": lambda w: w.put(w.schema.provider_operations, w.operation(w.out), state="REFUSED"),
    "i08_evidence_used_twice": lambda w: w.twin(w.done, transaction_id=w.open.transaction.row.id),
    "i09_clearing_not_empty": lambda w: w.put(
        w.schema.transactions, w.waiting.transaction.row.id, state="COMPLETED", next_wake_at=None
    ),
    "i10_failed_with_money": lambda w: [
        *w.put(w.schema.transactions, w.waiting.transaction.row.id, state="FAILED"),
        *w.put(w.schema.ledger_entries, (w.posting("hold", w.waiting).id, 0), amount_minor=130_001),
    ],
    "i11_final_with_open_operation": lambda w: w.put(
        w.schema.provider_operations, w.operation(w.failed), state="UNKNOWN"
    ),
    "i12_nobody_wakes": lambda w: w.put(w.schema.transactions, w.open.transaction.row.id, next_wake_at=None),
    "i12_woken_late": lambda w: w.put(w.schema.transactions, w.open.transaction.row.id, next_wake_at=LONG_AGO),
    "i13_unknown_for_hours": lambda w: w.put(
        w.schema.provider_operations, w.operation(w.open), state="UNKNOWN", updated_at=LONG_AGO
    ),
    "i14_illegal_step": lambda w: w.put(
        w.schema.transaction_events, (w.done.transaction.row.id, 2), from_state="PAID", to_state="STK_SENDING"
    ),
    "i15_history_broken": lambda w: w.put(w.schema.transaction_events, (w.done.transaction.row.id, 2), version=4),
    "i15_row_differs_from_history": lambda w: w.put(w.schema.transactions, w.open.transaction.row.id, version=2),
    "i17_evidence_waits": lambda w: w.put(
        w.schema.callback_inbox, next(iter(w.schema.callback_inbox.rows)), received_at=LONG_AGO
    ),
    "i18_booked_otherwise_than_done": lambda w: w.put(
        w.schema.provider_operations, w.operation(w.done), amount=kes(130_100)
    ),
    "i19_daily_limit": lambda w: w.put(w.schema.transactions, w.open.transaction.row.id, limit_usd_minor=965),
    "i20_wrong_side": lambda w: w.put(w.schema.accounts, "00:fx_spread:KES", balance_minor=1),
    "i21_balance_differs": lambda w: w.put(w.schema.accounts, "00:fx_spread:KES", version=9),
    "i21_account_differs": lambda w: w.put(w.schema.accounts, "00:fx_spread:KES", balance_minor=-99),
    "i21_entry_differs": lambda w: w.put(
        w.schema.ledger_entries, (w.posting("paid", w.done).id, 1), balance_after_minor=0
    ),
    "i22_chain_broken": lambda w: w.put(w.schema.postings, w.posting("paid", w.done).id, prev_hash=b"x" * 32),
    "i22_audit_chain_broken": lambda w: w.put(w.schema.audit_log, ("shard/0", 2), prev_hash=b"x" * 32),
    "i22_head_differs": lambda w: w.put(w.schema.fences, "shard/0", outbox_seq=99),
    "i26_posting_without_unit": lambda w: w.remove(w.schema.units, w.payment.unit_id),
    "i26_money_without_audit": lambda w: w.remove(w.schema.audit_log, w.audit_of(w.payment)),
    "i27_hold_not_resolved": lambda w: w.put(w.schema.postings, w.posting("done", w.done).id, resolves="other"),
    "i28_rate_not_honoured": lambda w: w.put(
        w.schema.transactions, w.open.transaction.row.id, send=kes(130_200), receive=usd(960)
    ),
    "i29_outbox_stuck": lambda w: w.put(w.schema.outbox, (0, 1), created_at=LONG_AGO),
    "i30_call_after_freeze": lambda w: w.put(
        w.schema.rail_attempts, (w.operation(w.frozen), 1), sent_at=datetime.now(UTC) + timedelta(hours=1)
    ),
    "i31_phone_in_clear": lambda w: w.put(
        w.schema.transactions, w.open.transaction.row.id, data='{"phone":"254712345678"}'
    ),
    "i31_phone_told_in_clear": lambda w: w.put(w.schema.outbox, (0, 1), body='{"phone":"254712345678"}'),
    "a01_attempts_have_gaps": lambda w: w.put(w.schema.provider_operations, w.operation(w.open), attempts_closed=2),
    "a02_withdrawn_but_sent": lambda w: w.put(w.schema.provider_operations, w.operation(w.open), state="WITHDRAWN"),
}


def test_every_rule_of_the_database_is_known_here():
    assert BREAKAGES.keys() | BY_KEYS == questions.queries("").keys()


async def test_sound_books_break_no_rule(world, module_database):
    assert sweep(world.server) == {}
    assert world.watch.broken == []
    assert sql_verdict(world.server, module_database) == set()
    assert news_verdict(world.server, module_database) == set()


@pytest.mark.parametrize("name", BREAKAGES)
async def test_a_broken_rule_is_seen_by_both(world, module_database, name):
    BREAKAGES[name](world)
    found = sweep(world.server)
    assert name in found
    assert found.keys() == sql_verdict(world.server, module_database)
    assert found.keys() - questions.OF_ALL == news_verdict(world.server, module_database)


@pytest.mark.parametrize("name", BREAKAGES.keys() - OF_TIME)
async def test_a_commit_that_breaks_a_rule_is_seen_at_once(world, name):
    world.watch.look(BREAKAGES[name](world))
    if name in OF_WHOLE_POSTINGS:
        # Legs come with their posting and unit, so that each is looked at with the others.
        tables = (world.schema.postings, world.schema.ledger_entries)
        world.watch.look([Change(table, key, None, row) for table in tables for key, row in table.rows.items()])
    assert name in {broken.name for broken in world.watch.broken}


@pytest.mark.parametrize(("audited", "found"), [(True, []), (False, ["w03_operation_without_audit"])])
async def test_an_operation_that_a_commit_moves_without_a_record_is_seen_at_once(audited: bool, found: list[str]):
    stage, first = MemoryStage(), begun()
    watch = Watch(stage.server)
    async with ledger(stage) as (_, commit):
        await commit(first)
        sent = OperationChange(id=first.new_operations[0].id, to=OperationState.SENT)
        unit = stepped(first, state="AWAITING_PAYER", operations=(sent,))
        await commit(unit if audited else replace(unit, audit=()))
    assert [broken.name for broken in watch.broken if broken.name.startswith("w")] == found
    stage.close()


def test_a_phone_is_what_the_database_takes_for_one():
    asked = set(re.findall(r"REGEXP '(.*?)'", " ".join(questions.queries("").values())))
    assert asked == {sweeping._PHONE.pattern}


@pytest.mark.parametrize("text", ['{"phone":"254712345678"}', "254112345678", '["a",254712345678]', "to-254712345678"])
def test_a_whole_number_is_a_phone(module_database, text):
    assert sweeping._PHONE.search(text)
    assert module_database.rows(f"SELECT %s REGEXP '{sweeping._PHONE.pattern}'", (text,)) == [(1,)]


@pytest.mark.parametrize(
    "text",
    [
        "ws_CO_271120261447058155254712345678",
        '{"n":25471234567890}',
        "2547****678",
        "019cadc6-bb01-15e5-c878-254726235585",
        "01KJPWDER1254726235585K26N",
    ],
)
def test_digits_within_something_longer_are_no_phone(module_database, text):
    assert not sweeping._PHONE.search(text)
    assert module_database.rows(f"SELECT %s REGEXP '{sweeping._PHONE.pattern}'", (text,)) == [(0,)]


async def test_an_asset_whose_opening_balance_nobody_told_is_on_no_side(world, module_database):
    def judged() -> set[str]:
        found = {*sweep(world.server)}
        assert found == sql_verdict(world.server, module_database)
        return found & {"i20_wrong_side"}

    units = world.schema.units
    told = units.rows["opening:mpesa_utility"]
    note = told._replace(unit_id="opening:mpesa_utility:untold")
    spent = world.put(world.schema.accounts, "00:mpesa_utility:KES", balance_minor=-1)
    units._put(note.unit_id, None, note)
    assert judged()
    units._put(told.unit_id, told, None)
    assert not judged()
    world.watch.look(spent)
    assert "i20_wrong_side" not in {broken.name for broken in world.watch.broken}
