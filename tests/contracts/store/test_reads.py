"""What users, sagas, the relay, rails and anchors read."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain.errors import Unavailable
from penpay.domain.fx import Direction
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency, kes, usd
from penpay.domain.unit import OperationChange, OperationState, ProviderReference, UnitOfWork
from penpay.messages import Quote
from penpay.ports import CodeRequest
from tests.contracts.store.ledgers import ledger
from tests.contracts.store.units import begun, booked, cancelled, debited, ended, status_changed, withdrawal
from tests.ledger.house import answer, event, fresh_id, paid, plain, stepped, transaction_row

DAY = "2026-11-20"


def quote(user_id: str, **changes: object) -> Quote:
    now = datetime.now(UTC)
    made = Quote(
        id=fresh_id(),
        user_id=user_id,
        direction=Direction.DEPOSIT,
        send=kes(130_000),
        receive=usd(966),
        mid_rate_e6=129_500_000,
        spread_e6=5_000_000,
        created_at=now,
        expires_at=now + timedelta(minutes=15),
    )
    return replace(made, **changes)


# --- users ---


async def test_an_unknown_user_is_active_and_has_nothing(stage):
    rows = await stage.process().users.load(fresh_id(), eat_day=DAY)
    assert (rows.status, rows.deposits, rows.withdrawals, rows.last_push_at) == ("ACTIVE", (), (), None)


async def test_deposits_that_count_today_or_may_still_prompt_are_known(stage):
    async with ledger(stage) as (process, commit):
        user = fresh_id()
        counted, prompting, other_day, not_counted = (
            transaction_row(user_id=user, **changes)
            for changes in (
                {"state": "COMPLETED"},
                {"eat_day": "2026-11-19"},
                {"state": "COMPLETED", "eat_day": "2026-11-19"},
                {"state": "FAILED", "counts": False},
            )
        )
        for row in (counted, prompting, other_day, not_counted, transaction_row()):
            await commit(begun(row))
        rows = await process.users.load(user, eat_day=DAY)
        found = {deposit.transaction_id: deposit for deposit in rows.deposits}
        assert found.keys() == {counted.id, prompting.id}
        assert (found[counted.id].usd_minor, found[counted.id].kes_minor) == (966, 130_000)
        assert found[prompting.id].created_at == prompting.created_at
        assert found[prompting.id].eat_day == "2026-11-19"


async def test_withdrawals_that_count_today_or_are_open_are_known(stage):
    async with ledger(stage) as (process, commit):
        user = fresh_id()
        for state, status, day, counts in (
            ("COMPLETED", "COMPLETED", DAY, True),
            ("DEBITED", "PROCESSING", "2026-11-19", True),
            ("COMPLETED", "COMPLETED", "2026-11-19", True),
            ("FAILED", "FAILED", DAY, False),
        ):
            await commit(withdrawal(user_id=user, state=state, status=status, eat_day=day, counts=counts))
        rows = await process.users.load(user, eat_day=DAY)
        found = sorted((one.status, one.eat_day, one.usd_minor) for one in rows.withdrawals)
        assert found == [("COMPLETED", DAY, 2_000), ("PROCESSING", "2026-11-19", 2_000)]
        assert rows.deposits == ()


async def test_users_that_are_read_together_get_their_own_days(stage):
    async with ledger(stage) as (process, commit):
        user = fresh_id()
        await commit(withdrawal(user_id=user, state="COMPLETED", status="COMPLETED", eat_day=DAY))
        await commit(begun(transaction_row(user_id=user, state="COMPLETED", eat_day=DAY)))
        today, tomorrow = await asyncio.gather(
            process.users.load(user, eat_day=DAY), process.users.load(user, eat_day="2026-11-21")
        )
        assert (len(today.deposits), len(today.withdrawals)) == (1, 1)
        assert (tomorrow.deposits, tomorrow.withdrawals) == ((), ())


async def test_freezing_and_the_newest_push_are_known(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        user = first.transaction.row.user_id
        await commit(first)
        epoch = (await process.leases.acquire("rail/daraja")).epoch
        await process.attempts.begin("daraja", epoch, first.new_operations[0].id, watermark={})
        await commit(status_changed(user, "FROZEN"))
        rows = await process.users.load(user, eat_day=DAY)
        (attempt,) = stage.stored("rail_attempts")
        assert rows.status == "FROZEN"
        assert rows.last_push_at.replace(tzinfo=None) == attempt["sent_at"]
        await commit(status_changed(user, "ACTIVE", number=2))
        assert (await process.users.load(user, eat_day=DAY)).status == "ACTIVE"
        (stored,) = stage.stored("user_status")
        assert stored["frozen_at"] == ""


async def test_a_quote_is_used_by_one_transaction_and_read_by_its_own_user(stage):
    async with ledger(stage) as (process, commit):
        user = fresh_id()
        locked = quote(user)
        process.lose("users.add_quote")
        await process.users.add_quote(locked)
        await process.users.add_quote(replace(locked, send=kes(1)))
        assert await process.users.quote(locked.id, user) == (locked, False)
        assert await process.users.quote(locked.id, fresh_id()) is None
        await commit(begun(transaction_row(user_id=user, quote_id=locked.id)))
        assert await process.users.quote(locked.id, user) == (locked, True)


async def test_the_newest_code_is_the_only_one(stage):
    process, user = stage.process(), fresh_id()
    assert await process.users.newest_code(user) is None
    codes = [CodeRequest(usd(amount), b"\x00payee", datetime.now(UTC)) for amount in (2_000, 3_000)]
    ids = [fresh_id(), fresh_id()]
    for id_, code in reversed(list(zip(ids, codes, strict=True))):
        await process.users.remember_code(id_, user, code)
    await process.users.remember_code(ids[1], user, codes[0])
    assert await process.users.newest_code(user) == codes[1]


async def test_a_stored_answer_comes_back_byte_for_byte(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        stored = first.answer
        await commit(first)
        assert await process.users.answer(stored.user_id, stored.route, stored.key_hash) == stored
        assert await process.users.answer(stored.user_id, stored.route, "0" * 64) is None
        refusal = answer(transaction_row(), status=409, transaction_id="")
        await commit(UnitOfWork(unit_id="idem:1", shard=0, at=first.at, answer=refusal))
        assert await process.users.answer(refusal.user_id, refusal.route, refusal.key_hash) == refusal


# --- sagas ---

URGENCY = (
    *("DEBITED", "B2C_SENDING", "B2C_HELD", "AWAITING_RESULT", "RETURN_SENDING"),
    *("PAID", "DERIV_SENDING", "DERIV_HELD", "REFUND_SENDING"),
    *("STK_UNKNOWN", "DERIV_UNKNOWN", "B2C_UNKNOWN"),
    *("AWAITING_PAYER", "STK_SENDING", "IN_REVIEW"),
    "FAILED",
)
RANKS = {
    state: rank
    for rank, states in enumerate((URGENCY[:5], URGENCY[5:9], URGENCY[9:12], URGENCY[12:15], URGENCY[15:]))
    for state in states
}


async def test_the_most_urgent_wake_first_and_among_equals_the_oldest(stage):
    async with ledger(stage) as (process, commit):
        now = datetime.now(UTC)
        rows = [
            transaction_row(state=state, next_wake_at=now - timedelta(seconds=number % 7 + 1, microseconds=number))
            for number, state in enumerate(URGENCY)
        ]
        rows += [transaction_row(next_wake_at=now), transaction_row(next_wake_at=now + timedelta(seconds=1))]
        for row in rows:
            await commit(begun(row))
        await commit(begun(transaction_row(next_wake_at=None)))
        due = await process.sagas.due(0, now=now, limit=100)
        expected = sorted(rows[:-1], key=lambda row: (RANKS[row.state], row.next_wake_at))
        assert list(due) == [(row.id, row.next_wake_at) for row in expected]
        assert list(await process.sagas.due(0, now=now, limit=3)) == list(due)[:3]
        assert list(await process.sagas.due(1, now=now, limit=3)) == []


async def test_a_saga_is_read_with_everything_that_is_its_own(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        payment = paid(first)
        await commit(first)
        await commit(payment)
        await commit(begun())
        rows = await process.sagas.load(first.transaction.row.id)
        assert rows.row == payment.transaction.row
        assert [row.id for row in rows.operations] == [first.new_operations[0].id, payment.new_operations[0].id]
        assert rows.operations[1].amount == usd(966)
        assert await process.sagas.load(fresh_id()) is None


async def test_what_was_fixed_at_admission_stays_whatever_a_unit_says(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        await commit(first)
        later = stepped(first, state="AWAITING_PAYER")
        row = replace(
            later.transaction.row, send=kes(1), deriv_loginid="other", eat_day="2020-01-01", limit_usd_minor=5
        )
        await commit(replace(later, transaction=replace(later.transaction, row=row)))
        found = (await process.sagas.load(row.id)).row
        before = first.transaction.row
        assert (found.send, found.deriv_loginid, found.eat_day) == (before.send, before.deriv_loginid, before.eat_day)
        assert (found.state, found.version, found.limit_usd_minor) == ("AWAITING_PAYER", 2, 5)


async def test_what_is_handed_out_is_not_what_is_stored(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        await commit(first)
        first.new_operations[0].request["shortcode"] = "changed by its sender"
        id_ = first.transaction.row.id
        (await process.sagas.load(id_)).operations[0].request["shortcode"] = "changed by its reader"
        assert (await process.sagas.load(id_)).operations[0].request == {"shortcode": "600000"}


# --- the relay ---


async def test_events_come_in_the_order_of_the_shard_from_the_cursor_on(stage):
    async with ledger(stage) as (process, commit):
        assert await process.outbox.cursor(0) == 0
        row = transaction_row()
        events = [replace(event(row), event_id=f"e{number}") for number in range(5)]
        for some in (events[:2], [], events[2:]):
            await commit(plain_with(outbox=tuple(some)))
        found = await process.outbox.after(0, 0, limit=10)
        assert [(one.seq, one.event_id) for one in found] == [(number + 1, f"e{number}") for number in range(5)]
        assert found[0].body == events[0].body
        assert [one.seq for one in await process.outbox.after(0, 2, limit=2)] == [3, 4]
        assert list(await process.outbox.after(0, 5, limit=2)) == []
        assert list(await process.outbox.after(1, 0, limit=2)) == []
        assert (await process.outbox.newest(0), await process.outbox.newest(1)) == (5, 0)
        for seq, expected in ((4, 4), (2, 4), (5, 5)):
            await commit(plain_with(outbox_cursor=seq))
            assert await process.outbox.cursor(0) == expected, "never backwards"


def plain_with(**changes: object) -> UnitOfWork:
    return replace(plain(), **changes)


# --- rails, anchors, probes ---


async def test_promised_shillings_are_those_of_payouts_and_debits_without_an_end(stage):
    async with ledger(stage) as (process, commit):
        asked = process.rail_reads.reserved_payouts_minor
        assert await asked() == 0
        first, second = withdrawal(), withdrawal()
        for unit in (booked(AccountCode.DERIV_AGENT, usd(1_000_000)), first, second):
            await commit(unit)
        assert await asked() == 2 * 249_000
        debit = debited(first)
        await commit(debit)
        assert await asked() == 2 * 249_000, "the debit is over, its payout is promised"
        await commit(cancelled(second))
        assert await asked() == 249_000
        await commit(
            ended(
                debit,
                state="COMPLETED",
                operations=(
                    OperationChange(id=debit.new_operations[0].id, to=OperationState.CONFIRMED, provider_ref="R"),
                ),
            )
        )
        assert await asked() == 0


async def test_operations_are_found_by_id(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        await commit(first)
        id_ = first.new_operations[0].id
        found = await process.rail_reads.operations([id_, fresh_id()])
        assert list(found) == [id_]
        assert (found[id_].attempts, found[id_].request) == (0, {"shortcode": "600000"})
        assert await process.rail_reads.operations([]) == {}


async def test_the_books_speak_of_an_account_since_its_opening_balance(stage):
    async with ledger(stage) as (process, commit):
        installed = await process.rail_reads.booked_since("mpesa_paybill")
        assert not await process.overview.is_recorded("opening:mpesa_paybill")
        assert await process.overview.account_minor(AccountCode.MPESA_PAYBILL, Currency.KES) == 0
        opening = booked(AccountCode.MPESA_PAYBILL, kes(100))
        await commit(opening)
        assert await process.overview.account_minor(AccountCode.MPESA_PAYBILL, Currency.KES) == 100
        assert await process.overview.account_minor(AccountCode.MPESA_PAYBILL, Currency.USD) == 0
        assert await process.rail_reads.booked_since("mpesa_paybill") == opening.at > installed
        assert await process.rail_reads.booked_since("deriv_agent") == installed
        assert await process.overview.is_recorded("opening:mpesa_paybill")


async def test_a_push_is_claimed_by_its_reference_until_a_receipt_belongs_to_it(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        await commit(first)
        (push,) = first.new_operations
        assert await process.payments.claims([push.reference, "NOBODYS00001"]) == {push.reference: push.id}
        assert await process.payments.claims([]) == {}
        receipt = ProviderReference(kind="mpesa_receipt", ref=fresh_id(), operation_id=push.id)
        await commit(plain_with(references=(receipt,)))
        assert await process.payments.claims([push.reference]) == {}


async def test_a_cursor_of_a_list_goes_forward_only_and_never_ahead_of_the_database(stage):
    process = stage.process()
    now = datetime.now(UTC)
    assert await process.payments.cursors() == {}
    await process.payments.move_cursor("list", now - timedelta(hours=2), at=now)
    await process.payments.move_cursor("other", now + timedelta(hours=2), at=now)
    first = await process.payments.cursors()
    assert first["list"] == now - timedelta(hours=2)
    assert now - timedelta(minutes=1) < first["other"] < now + timedelta(minutes=1)
    await process.payments.move_cursor("list", now - timedelta(hours=3), at=now)
    await process.payments.move_cursor("other", now + timedelta(hours=3), at=now)
    again = await process.payments.cursors()
    assert again["list"] == first["list"]
    assert first["other"] <= again["other"] < now + timedelta(minutes=1)


async def test_a_look_at_the_heads_tells_how_far_every_shard_is(stage):
    async with ledger(stage) as (process, commit):
        before = await process.heads.look()
        await commit(begun())
        await commit(plain())
        after = await process.heads.look()
        assert (after.installation_id, after.server) == (before.installation_id, before.server)
        assert after.unit_seqs == {0: 2, 1: 0, 2: 0, 3: 0}
        seqs = {head.chain: head.seq for head in after.heads}
        assert (seqs["postings/0"], seqs["audit/0"], seqs["postings/1"], seqs["audit/sys"]) == (1, 1, 0, 0)
        assert {head.chain for head in before.heads} == seqs.keys()


@pytest.mark.parametrize(
    ("point", "call"),
    [
        ("sagas.due", lambda p: p.sagas.due(0, now=datetime.now(UTC), limit=1)),
        ("users.load", lambda p: p.users.load(fresh_id(), eat_day=DAY)),
        ("outbox.after", lambda p: p.outbox.after(0, 0, limit=1)),
        ("rail_reads.reserved_payouts_minor", lambda p: p.rail_reads.reserved_payouts_minor()),
        ("attempts.unresolved", lambda p: p.attempts.unresolved("STK")),
        ("overview.ping", lambda p: p.overview.ping()),
    ],
)
async def test_a_read_survives_four_troubles_and_gives_up_at_the_fifth(stage, point, call):
    process = stage.process()
    process.lose(point, effect=False, times=4)
    await call(process)
    process.lose(point, effect=False, times=5)
    with pytest.raises(Unavailable):
        await call(process)
    await call(process)
