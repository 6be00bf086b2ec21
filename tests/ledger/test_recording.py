"""What the ledger records, and what it refuses."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from penpay.domain.ledger import Account, AccountCode
from penpay.domain.money import Currency, kes, usd
from penpay.domain.postings import Books, opening
from penpay.domain.review import Action
from penpay.domain.strays import Stray, ended, stray_unit
from penpay.domain.unit import (
    OperationChange,
    OperationKind,
    OperationState,
    ProviderReference,
    RejectCode,
    ReviewClosed,
    ReviewOpened,
    UnitOfWork,
    UserStatusChange,
)
from penpay.messages import Committed, UnitRejected
from tests.ledger.house import (
    SHARD,
    admitted,
    answer,
    assert_sound,
    fresh_id,
    opened,
    paid,
    plain,
    stepped,
    stk,
    transaction_row,
)


@pytest.fixture
async def ledger(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        yield ledger
    await assert_sound(database.url, prefix=database.prefix)


async def test_a_unit_is_recorded_with_everything_in_it(ledger, database):
    first = admitted()
    row = first.transaction.row
    assert await ledger.commit(first) == Committed(first.unit_id, False, 1)
    second = paid(first)
    assert await ledger.commit(second) == Committed(second.unit_id, False, 2)
    customer = Account(SHARD, AccountCode.CUSTOMER, Currency.KES, row.user_id).id
    stored = database.rows(
        "SELECT state, version, event_count, data FROM {ledger}.transactions WHERE id = %s", (row.id,)
    )
    assert stored == [("DERIV_SENDING", 2, 4, row.data)]
    events = database.rows("SELECT seq, version, event FROM {ledger}.transaction_events ORDER BY seq")
    assert events == [(1, 1, "Created"), (2, 1, "StkStarted"), (3, 2, "MpesaPaid"), (4, 2, "MpesaPaid")]
    balances = dict(database.rows("SELECT id, balance_minor FROM {ledger}.accounts"))
    assert balances == {customer: 0, "00:mpesa_paybill:KES": 130_000, "00:deriv_out:KES": -130_000}
    entries = database.rows("SELECT amount_minor, balance_after_minor, account_version FROM {ledger}.ledger_entries")
    assert entries == [(130_000, 130_000, 1), (-130_000, -130_000, 1), (130_000, 0, 2), (-130_000, -130_000, 1)]
    operations = database.rows(
        "SELECT kind, state, provider_ref, sealed_request FROM {ledger}.provider_operations ORDER BY id"
    )
    receipt = second.references[0].ref
    assert operations == [
        ("STK", "CONFIRMED", receipt, bytes(range(256))),
        ("DERIV_TRANSFER", "INTENT", "", bytes(range(256))),
    ]
    assert database.rows("SELECT ref FROM {ledger}.provider_references") == [(receipt,)]
    assert database.rows("SELECT sealed_body, status FROM {ledger}.answers") == [(first.answer.sealed_body, 202)]
    assert database.rows("SELECT shard, seq FROM {ledger}.outbox") == [(0, 1), (0, 2)]
    audit = database.rows("SELECT chain, seq, detail FROM {audit}.audit_log ORDER BY seq")
    assert audit == [("shard/0", 1, b'{"steps":"admitted"}'), ("shard/0", 2, b'{"to":"DERIV_SENDING"}')]


async def test_units_of_many_senders_get_gapless_places(ledger, database):
    units = [plain() for _ in range(300)]
    answers = await asyncio.gather(*map(ledger.commit, units))
    assert answers == [Committed(unit.unit_id, False, 0) for unit in units]
    seqs = [seq for (seq,) in database.rows("SELECT seq FROM {ledger}.units ORDER BY seq")]
    assert seqs == list(range(1, 301))
    assert database.rows("SELECT balance_minor, version FROM {ledger}.accounts WHERE code = 'mpesa_paybill'") == [
        (30_000, 300)
    ]


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_same_unit_again_changes_nothing(ledger, database, restarted):
    first = admitted()
    unit = plain()
    await asyncio.gather(ledger.commit(first), ledger.commit(unit))
    before = database.rows("SELECT * FROM {ledger}.fences WHERE name = 'shard/0'")[0][3:]
    if restarted:
        await ledger.restart()
    assert await ledger.commit(first) == Committed(first.unit_id, True, 1)
    assert await ledger.commit(unit) == Committed(unit.unit_id, True, 1)
    both = await asyncio.gather(ledger.commit(unit), ledger.commit(fresh := plain()), ledger.commit(fresh))
    assert [found.replayed for found in both] == [True, False, True]
    assert database.rows("SELECT * FROM {ledger}.fences WHERE name = 'shard/0'")[0][4] == before[1] + 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_same_id_with_other_content_is_a_lost_race(ledger, restarted):
    unit, first = plain(), admitted()
    await asyncio.gather(ledger.commit(unit), ledger.commit(first))
    if restarted:
        await ledger.restart()
    other = replace(unit, postings=plain(minor=999).postings)
    assert await ledger.commit(other) == UnitRejected(unit.unit_id, RejectCode.UNIT_DIFFERS)
    later = replace(first, at=datetime.now(UTC))
    assert await ledger.commit(later) == UnitRejected(first.unit_id, RejectCode.UNIT_DIFFERS)


async def rejected(ledger, unit, code):
    """The unit is rejected in the middle of others, which are not."""
    answers = await asyncio.gather(*map(ledger.commit, [plain(), unit, plain()]))
    assert [type(found) for found in answers] == [Committed, UnitRejected, Committed]
    assert answers[1].code is code, answers[1]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_row_at_another_version_is_a_conflict(ledger, restarted):
    first = admitted()
    await ledger.commit(first)
    await ledger.commit(stepped(first, state="AWAITING_PAYER"))
    if restarted:
        await ledger.restart()
    late = stepped(first, state="FAILED", unit_id=f"{first.transaction.row.id}:2")
    assert (await ledger.commit(late)).code is RejectCode.UNIT_DIFFERS
    third = stepped(stepped(stepped(first, state="FAILED"), state="FAILED"), state="FAILED")
    await rejected(ledger, third, RejectCode.VERSION_CONFLICT)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_key_belongs_to_one_request(ledger, restarted):
    first = admitted()
    await ledger.commit(first)
    if restarted:
        await ledger.restart()
    row = first.transaction.row
    twin = transaction_row(user_id=row.user_id, key_hash=row.key_hash)
    await rejected(ledger, admitted(twin), RejectCode.KEY_REUSED)
    refusal = UnitOfWork(unit_id=f"idem:{fresh_id()}", shard=SHARD, at=row.created_at, answer=answer(row, status=422))
    await rejected(ledger, refusal, RejectCode.KEY_REUSED)
    stranger = transaction_row(key_hash=row.key_hash)
    assert isinstance(await ledger.commit(admitted(stranger)), Committed)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_quote_is_used_once(ledger, restarted):
    quote_id = fresh_id()
    await ledger.commit(admitted(transaction_row(quote_id=quote_id)))
    if restarted:
        await ledger.restart()
    await rejected(ledger, admitted(transaction_row(quote_id=quote_id)), RejectCode.QUOTE_USED)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_frozen_user_gets_no_new_intent_but_evidence_is_booked(ledger, database, restarted):
    first = admitted()
    await ledger.commit(first)
    user_id = first.transaction.row.user_id
    freeze = UserStatusChange(user_id=user_id, status="FROZEN", reason="sanctions list")
    await ledger.commit(UnitOfWork(unit_id=f"user:{user_id}:1", shard=SHARD, at=datetime.now(UTC), user_status=freeze))
    if restarted:
        await ledger.restart()
    await rejected(ledger, paid(first), RejectCode.ACCOUNT_FROZEN)
    without = paid(first, new_operations=())
    assert isinstance(await ledger.commit(without), Committed)
    decided = stepped(without, state="DERIV_SENDING", new_operations=(stk(),), staff_resolution=True)
    assert isinstance(await ledger.commit(decided), Committed)
    assert database.rows("SELECT SUM(staff_approved) FROM {ledger}.provider_operations") == [(1,)]
    approved, mine = decided.new_operations[0].id, first.new_operations[0].id
    once_more = (OperationChange(id=approved, to=OperationState.INTENT),)
    again = stepped(decided, state="DERIV_SENDING", operations=once_more)
    assert isinstance(await ledger.commit(again), Committed), "what two people decided may be sent again"
    refused = stepped(again, state="DERIV_SENDING", operations=(OperationChange(id=mine, to=OperationState.INTENT),))
    await rejected(ledger, refused, RejectCode.ACCOUNT_FROZEN)
    thaw = replace(freeze, status="ACTIVE", reason="cleared")
    await ledger.commit(UnitOfWork(unit_id=f"user:{user_id}:2", shard=SHARD, at=datetime.now(UTC), user_status=thaw))
    thawed = stepped(again, state="DERIV_SENDING", new_operations=(stk(),))
    assert isinstance(await ledger.commit(thawed), Committed)


async def test_an_intent_with_an_attempt_cannot_be_withdrawn(ledger, database):
    first = admitted()
    await ledger.commit(first)
    operation = first.new_operations[0].id
    cancel = OperationChange(id=operation, to=OperationState.WITHDRAWN)
    withdrawn = stepped(first, state="FAILED", operations=(cancel,))
    database.rows(
        "INSERT INTO {ledger}.rail_attempts (operation_id, attempt, rail, epoch, watermark, sent_at, outcome, code,"
        " provider_ref, facts) VALUES (%s, 1, 'rail/daraja', 1, '', NOW(6), '', '', '', '')",
        (operation,),
    )
    await rejected(ledger, withdrawn, RejectCode.ATTEMPT_EXISTS)
    closed = replace(cancel, attempts_closed=1)
    assert isinstance(await ledger.commit(replace(withdrawn, operations=(closed,))), Committed)
    assert database.rows("SELECT state, attempts_closed FROM {ledger}.provider_operations") == [("WITHDRAWN", 1)]


@pytest.mark.parametrize("end", ["CONFIRMED", "REFUSED", "WITHDRAWN"])
@pytest.mark.parametrize(("kind", "kept"), [(OperationKind.DERIV_WITHDRAW, False), (OperationKind.B2C, True)])
async def test_the_code_and_token_of_a_debit_are_kept_until_its_end_is_known(ledger, database, end, kind, kept):
    sealed = stk(kind=kind)
    unit = admitted(new_operations=(sealed,))
    await ledger.commit(unit)
    path = () if end == "WITHDRAWN" else ("UNKNOWN",)
    found = []
    for state in (*path, end):
        change = OperationChange(id=sealed.id, to=OperationState(state))
        unit = stepped(unit, state="STK_SENDING", operations=(change,))
        assert isinstance(await ledger.commit(unit), Committed)
        found += database.rows("SELECT sealed_request FROM {ledger}.provider_operations WHERE id = %s", (sealed.id,))
    assert found[:-1] == [(sealed.sealed_request,)] * len(path)
    assert found[-1] == ((sealed.sealed_request if kept else b""),)


@pytest.mark.parametrize(
    ("path", "legal"),
    [
        (("SENT", "CONFIRMED"), True),
        (("UNKNOWN", "SENT", "REFUSED"), True),
        (("REFUSED", "CONFIRMED"), True),
        (("CONFIRMED", "REFUSED"), False),
        (("CONFIRMED", "INTENT"), False),
        (("UNKNOWN", "INTENT"), False),
        (("SENT", "WITHDRAWN"), False),
        (("WITHDRAWN", "INTENT"), False),
    ],
)
async def test_operations_move_along_legal_edges_only(ledger, path, legal):
    unit = admitted()
    operation = unit.new_operations[0].id
    answers = [await ledger.commit(unit)]
    for state in path:
        unit = stepped(unit, state="STK_SENDING", operations=(OperationChange(id=operation, to=OperationState(state)),))
        answers.append(await ledger.commit(unit))
    *before, last = answers
    assert all(isinstance(found, Committed) for found in before)
    assert isinstance(last, Committed) if legal else last.code is RejectCode.ILLEGAL_OPERATION


async def test_an_unknown_operation_is_intended_again_only_with_its_attempt_closed(ledger):
    unit = admitted()
    operation = unit.new_operations[0].id
    await ledger.commit(unit)
    unit = stepped(unit, state="S", operations=(OperationChange(id=operation, to=OperationState.UNKNOWN),))
    await ledger.commit(unit)
    retry = OperationChange(id=operation, to=OperationState.INTENT, attempts_closed=1)
    unit = stepped(unit, state="S", operations=(retry,))
    assert isinstance(await ledger.commit(unit), Committed)
    reopened = stepped(unit, state="S", operations=(replace(retry, to=OperationState.SENT, attempts_closed=0),))
    assert (await ledger.commit(reopened)).code is RejectCode.ILLEGAL_OPERATION


async def test_an_operation_belongs_to_its_transaction(ledger):
    first, other = admitted(), admitted()
    await asyncio.gather(ledger.commit(first), ledger.commit(other))
    change = OperationChange(id=first.new_operations[0].id, to=OperationState.SENT)
    await rejected(ledger, stepped(other, state="S", operations=(change,)), RejectCode.ILLEGAL_OPERATION)
    missing = replace(change, id=fresh_id())
    await rejected(ledger, stepped(other, state="S", operations=(missing,)), RejectCode.ILLEGAL_OPERATION)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_receipt_is_used_once(ledger, restarted):
    first, other = admitted(), admitted()
    await asyncio.gather(ledger.commit(first), ledger.commit(other))
    payment = paid(first)
    await ledger.commit(payment)
    if restarted:
        await ledger.restart()
    stolen = replace(payment.references[0], operation_id=other.new_operations[0].id)
    await rejected(ledger, paid(other, references=(stolen,)), RejectCode.DUPLICATE_REFERENCE)
    seen_again = stepped(payment, state="DERIV_SENDING", references=payment.references)
    assert isinstance(await ledger.commit(seen_again), Committed)


@pytest.mark.parametrize("restarted", [False, True])
async def test_one_reversal_settles_one_payment_of_nobody(ledger, restarted):
    strays = [Stray(kind="payment", ref=ref, amount=kes(51_100), at="x") for ref in ("PAYA000001", "PAYB000002")]
    for stray in strays:
        await ledger.commit(stray_unit(stray, review_id=fresh_id(), now=datetime.now(UTC), actor="test"))
    first, second = (
        ended(
            UnitOfWork(
                unit_id=f"review:{stray.ref}:closed",
                shard=SHARD,
                at=datetime.now(UTC),
                staff_resolution=True,
            ),
            stray,
            Action.SETTLE,
            item_id=fresh_id(),
            reference="REVERSAL01",
            actor="staff",
        )
        for stray in strays
    )
    assert isinstance(await ledger.commit(first), Committed)
    if restarted:
        await ledger.restart()
    assert (await ledger.commit(first)).replayed
    await rejected(ledger, second, RejectCode.DUPLICATE_REFERENCE)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_posting_happens_once_and_a_hold_is_resolved_once(ledger, restarted):
    first = admitted()
    payment = paid(first)
    await ledger.commit(first)
    await ledger.commit(payment)
    if restarted:
        await ledger.restart()
    books = Books(SHARD, first.transaction.row.user_id)
    again = stepped(payment, state="S", postings=(books.deposit_paid(kes(130_000)),))
    await rejected(ledger, again, RejectCode.DUPLICATE_POSTING)
    void = stepped(payment, state="S", postings=(books.deposit_void(kes(130_000)),))
    assert isinstance(await ledger.commit(void), Committed)
    twice = stepped(void, state="S", postings=(replace(books.deposit_void(kes(130_000)), key="void2"),))
    await rejected(ledger, twice, RejectCode.DUPLICATE_POSTING)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("known", ["now", "before the rails had keys of their own"])
async def test_one_id_at_both_rails_is_two_movements_that_nobody_asked_for(ledger, restarted, known):
    """People may have named Deriv's id as a payout's receipt; in old books its key had no rail."""
    first = admitted()
    floats = (
        opening(SHARD, AccountCode.MPESA_UTILITY, kes(250_000)),
        opening(SHARD, AccountCode.DERIV_AGENT, usd(2_000)),
    )
    for unit in (first, *(replace(plain(), postings=(posting,)) for posting in floats)):
        assert isinstance(await ledger.commit(unit), Committed)
    books = Books(SHARD, first.transaction.row.user_id)
    shillings = books.unasked("77001", kes(249_000), asset=AccountCode.MPESA_UTILITY)
    dollars = books.unasked("77001", usd(2_000), asset=AccountCode.DERIV_AGENT)
    if known != "now":
        shillings = replace(shillings, key="unasked:77001")
    paid_out = stepped(first, state="IN_REVIEW", postings=(shillings,))
    assert isinstance(await ledger.commit(paid_out), Committed)
    if restarted:
        await ledger.restart()
    returned = stepped(paid_out, state="IN_REVIEW", postings=(dollars,))
    assert isinstance(await ledger.commit(returned), Committed)
    assert (await ledger.commit(paid_out)).replayed
    again = stepped(returned, state="IN_REVIEW", postings=(dollars,))
    await rejected(ledger, again, RejectCode.DUPLICATE_POSTING)


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_account_does_not_leave_its_side(ledger, database, restarted):
    user_id = fresh_id()
    await ledger.commit(plain(user_id=user_id, minor=500))
    if restarted:
        await ledger.restart()
    books = Books(SHARD, user_id)
    spend = replace(plain(), postings=(books.deposit_hold(kes(501)),))
    await rejected(ledger, spend, RejectCode.INSUFFICIENT_FUNDS)
    within = [replace(plain(), postings=(books.deposit_hold(kes(250)),)) for _ in range(3)]
    answers = await asyncio.gather(*map(ledger.commit, within))
    assert sorted(isinstance(found, Committed) for found in answers) == [False, True, True]
    assert database.rows("SELECT balance_minor FROM {ledger}.accounts WHERE user_id = %s", (user_id,)) == [(0,)]


async def test_evidence_reviews_and_cursor_move_with_their_unit(ledger, database):
    ids = [fresh_id(), fresh_id()]
    for id_ in ids:
        database.rows(
            "INSERT INTO {ledger}.callback_inbox (id, shard, kind, operation_id, dedupe_key, source, trusted_source,"
            " sealed_body, received_at, status, deliveries) VALUES (%s, 0, 'stk', '', %s, '', 1, '', NOW(6), 'NEW', 0)",
            (id_, id_),
        )
    first = admitted(consumes=(ids[0],), quarantines=(ids[1],))
    review = ReviewOpened(
        id=fresh_id(),
        transaction_id=first.transaction.row.id,
        operation_id="",
        kind="amount",
        reason="paid 5 more",
        owner_role="OPS",
        due_at=datetime.now(UTC),
    )
    await ledger.commit(replace(first, reviews=(review,), outbox_cursor=7))
    rows = dict(database.rows("SELECT id, status FROM {ledger}.callback_inbox WHERE unit_id = %s", (first.unit_id,)))
    assert rows == {ids[0]: "CONSUMED", ids[1]: "QUARANTINED"}
    assert database.rows("SELECT seq FROM {ledger}.outbox_cursors WHERE shard = 0") == [(7,)]
    closed = ReviewClosed(transaction_id=first.transaction.row.id, kind="amount", resolution="refunded")
    await ledger.commit(stepped(first, state="S", reviews_closed=(closed,), outbox_cursor=3))
    assert database.rows("SELECT resolution, closed_at IS NULL FROM {ledger}.review_items") == [("refunded", 0)]
    assert database.rows("SELECT seq FROM {ledger}.outbox_cursors WHERE shard = 0") == [(7,)]


def asked(transaction_id: str, kind: str) -> ReviewOpened:
    return ReviewOpened(
        id=fresh_id(),
        transaction_id=transaction_id,
        operation_id="",
        kind=kind,
        reason="?",
        owner_role="OPS",
        due_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(("kind", "left"), [("*", set()), ("!receipt_missing", {"receipt_missing"})])
async def test_a_sign_closes_what_the_end_of_a_saga_answers_or_all_but_one_of_it_and_an_id_only_one(
    ledger, database, kind, left
):
    first = admitted()
    unseen = {"evidence_unusable", "reference_taken", "unit_quarantined"}
    kinds = ("parked", "payment_awaited", "receipt_missing", *sorted(unseen))
    mine = [asked(first.transaction.row.id, about) for about in kinds]
    others = [asked("", "parked"), asked("", "parked")]
    await ledger.commit(replace(first, reviews=(*mine, *others)))
    star = ReviewClosed(transaction_id=first.transaction.row.id, kind=kind, resolution="by evidence")
    one = ReviewClosed(transaction_id="", kind="parked", resolution="by staff", item_id=others[0].id)
    await ledger.commit(stepped(first, state="S", reviews_closed=(star, one)))
    found = dict(database.rows("SELECT id, resolution FROM {ledger}.review_items"))
    closed = {one.id: "" if one.kind in left | unseen else "by evidence" for one in mine}
    assert found == {**closed, others[0].id: "by staff", others[1].id: ""}


@pytest.mark.parametrize(
    "unit",
    [
        replace(plain(), shard=1),
        replace(plain(), unit_id=""),
        replace(plain(), unit_id="x" * 191),
        replace(plain(), unit_id=f"{fresh_id()}:3"),
        replace(admitted(), unit_id=f"{fresh_id()}:1"),
        stepped(admitted(), state="S", unit_id="other"),
        replace(plain(), user_id="\ud800"),
    ],
    ids=["shard", "no id", "long id", "no transaction", "other transaction", "other version", "surrogate"],
)
async def test_what_is_no_unit_is_refused_without_touching_the_database(ledger, database, unit):
    found = await ledger.commit(unit)
    assert found.code is RejectCode.QUARANTINED
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(0,)]


async def test_the_unit_that_the_database_refuses_is_kept_apart_alone(ledger, database):
    poison = admitted(transaction_row(failure_code="x" * 100))
    units = [*(plain() for _ in range(20)), poison, *(plain() for _ in range(19))]
    answers = await asyncio.gather(*map(ledger.commit, units))
    assert [found for found in answers if isinstance(found, UnitRejected)] == [
        UnitRejected(poison.unit_id, RejectCode.QUARANTINED, "StoreError")
    ]
    assert database.rows("SELECT COUNT(*), MAX(seq) FROM {ledger}.units") == [(39, 39)]
    assert database.rows("SELECT subject FROM {ledger}.dead_letters") == [(poison.unit_id,)]
    assert database.rows("SELECT kind, transaction_id FROM {ledger}.review_items") == [
        ("unit_quarantined", poison.transaction.row.id)
    ]
    assert ledger.ref.incarnation == 1


async def test_a_reference_kind_and_value_are_both_needed_to_be_equal(ledger):
    first, other = admitted(), admitted()
    await asyncio.gather(ledger.commit(first), ledger.commit(other))
    same_value = ProviderReference(kind="deriv_transaction", ref="1", operation_id=first.new_operations[0].id)
    other_kind = ProviderReference(kind="mpesa_receipt", ref="1", operation_id=other.new_operations[0].id)
    assert isinstance(await ledger.commit(stepped(first, state="S", references=(same_value,))), Committed)
    assert isinstance(await ledger.commit(stepped(other, state="S", references=(other_kind,))), Committed)
