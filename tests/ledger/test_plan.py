"""Properties of the ledger's decisions, without a database."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from actors.ledger_cache import LedgerCache, Memory
from actors.ledger_plan import Plan, wanted_by
from penpay.domain.incoming import taken_in
from penpay.domain.money import kes
from penpay.domain.postings import Books
from penpay.domain.unit import UnitOfWork
from penpay.messages import UnitRejected
from penpay.ports_ledger import NO_KEYS, Found, Heads
from tests.ledger.house import SHARD, admitted, fresh_id, paid, plain, stepped

USERS = [fresh_id() for _ in range(3)]


@st.composite
def units(draw) -> list[UnitOfWork]:
    """Deposits at any stage, spending that may exceed the balance, replays, and forged replays."""
    made: list[UnitOfWork] = []
    for _ in range(draw(st.integers(1, 12))):
        user_id = draw(st.sampled_from(USERS))
        match draw(st.sampled_from(["deposit", "transfer", "spend", "replay", "forged"])):
            case "deposit":
                first = admitted()
                payment = paid(first)
                void = Books(SHARD, first.user_id).deposit_void(kes(130_000))
                made += [first, payment, stepped(payment, state="FAILED", postings=(void,))][: draw(st.integers(1, 3))]
            case "transfer":
                made.append(plain(user_id=user_id, minor=draw(st.integers(1, 1_000))))
            case "spend":
                spend = Books(SHARD, user_id).deposit_hold(kes(draw(st.integers(1, 1_500))))
                made.append(replace(plain(), postings=(spend,)))
            case "replay" if made:
                made.append(draw(st.sampled_from(made)))
            case "forged" if made:
                made.append(replace(draw(st.sampled_from(made)), user_id="somebody else"))
            case _:
                pass
    return made


def run(made: list[UnitOfWork], sizes: list[int]) -> tuple[list[object], Heads, LedgerCache]:
    """Record in batches of these sizes, as the actor does on a store that holds nothing else."""
    cache, heads = LedgerCache.of_size(1_000), Heads()
    verdicts: list[object] = []
    waiting = list(made)
    for size in [*sizes, len(made)]:
        batch, waiting = waiting[:size], waiting[size:]
        plan = Plan(cache, Found(), heads, shard=SHARD, epoch=1)
        verdicts += [plan.add(taken_in(unit)) for unit in batch]
        heads = plan.batch().heads
        cache.take(plan.changes())
    return verdicts, heads, cache


@given(units(), st.lists(st.integers(1, 5), max_size=10))
def test_how_units_fall_into_batches_changes_nothing(made, sizes):
    together, separately = run(made, []), run(made, [1] * len(made))
    in_between = run(made, sizes)
    assert together[:2] == separately[:2] == in_between[:2]


@given(units())
def test_accepted_units_keep_the_books_balanced_and_on_their_side(made):
    verdicts, heads, cache = run(made, [])
    accepted = [unit for unit, verdict in zip(made, verdicts, strict=True) if verdict == ""]
    assert heads.unit_seq == len(accepted)
    assert heads.chain_seq == sum(len(unit.postings) for unit in accepted)
    assert sum(balance for balance, _ in cache.accounts.values()) == 0
    for account_id, (balance, version) in cache.accounts.items():
        legs = [
            entry.amount_minor
            for unit in accepted
            for posting in unit.postings
            for entry in posting.entries
            if entry.account.id == account_id
        ]
        assert (balance, version) == (sum(legs), len(legs))
        if ":customer:" in account_id or ":deriv_out:" in account_id:
            assert balance <= 0


@given(units())
def test_a_rejected_unit_leaves_no_trace(made):
    verdicts, heads, _ = run(made, [])
    rejected = [number for number, verdict in enumerate(verdicts) if isinstance(verdict, UnitRejected)]
    without = [unit for number, unit in enumerate(made) if number not in rejected]
    assert run(without, [])[1] == heads


@given(units())
def test_a_warm_cache_asks_for_nothing(made):
    _, _, cache = run(made, [])
    recorded = [unit for unit in made if cache.units[unit.unit_id] is not None]
    wanted = wanted_by([taken_in(unit) for unit in recorded if not unit.new_operations], cache, careful=True)
    asked = [wanted.units, wanted.accounts, wanted.transactions, wanted.operations, wanted.references]
    assert asked == [set()] * 5


@given(st.integers(1, 20), st.lists(st.integers(0, 60), max_size=200))
def test_a_memory_never_holds_more_than_two_generations_nor_anything_false(size, keys):
    memory: Memory[int, str] = Memory(size)
    for key in keys:
        memory.put({key: str(key)})
        found = memory[random.Random(key).randrange(61)]
        assert found is None or found.isdigit()
        assert memory[key] == str(key)
        assert len(memory) + len(memory._older) <= 2 * size + 2


def test_deposits_without_money_share_one_empty_set_of_keys():
    """Python 3.11 makes a new one of 216 bytes each time: two of them were a third of what the ledger held of each."""
    made = [admitted() for _ in range(3)]
    _, _, cache = run(made, [])
    heads = [cache.transactions[unit.transaction.row.id] for unit in made]
    assert all(not head.posting_keys and not head.pending for head in heads)
    assert len({id(held) for head in heads for held in (head.posting_keys, head.pending)}) == 1


def test_what_a_deposit_has_pending_no_more_is_the_same_empty_set():
    first = admitted()
    payment = paid(first)
    void = Books(SHARD, first.user_id).deposit_void(kes(130_000))
    _, _, cache = run([first, payment, stepped(payment, state="FAILED", postings=(void,))], [])
    head = cache.transactions[first.transaction.row.id]
    assert head.posting_keys
    assert head.pending is NO_KEYS


def test_what_the_database_guards_by_itself_is_remembered_for_a_short_while():
    cache = LedgerCache.of_size(1_000, guarded=10)
    heads = Heads()
    made = [admitted() for _ in range(100)]
    for unit in made:
        plan = Plan(cache, Found(), heads, shard=SHARD, epoch=1)
        assert plan.add(taken_in(unit)) == ""
        heads = plan.batch().heads
        cache.take(plan.changes())
    assert len(cache.transactions) == len(cache.operations) == 100
    assert all(len(one) + len(one._older) <= 21 for one in (cache.units, cache.keys, cache.quotes, cache.references))
    newest, oldest = taken_in(made[-1]), taken_in(made[0])
    assert cache.units[newest.unit.unit_id] == newest.content_hash
    assert wanted_by([oldest], cache, careful=True).units == {oldest.unit.unit_id}


def test_every_field_of_a_unit_is_under_its_hash():
    unit = paid(admitted())
    base = taken_in(unit).content_hash
    assert unit.transaction is not None
    row = unit.transaction.row
    changes = [
        replace(unit, user_id="x"),
        replace(unit, consumes=("x",)),
        replace(unit, quarantines=("x",)),
        replace(unit, outbox=()),
        replace(unit, audit=()),
        replace(unit, references=()),
        replace(unit, operations=()),
        replace(unit, new_operations=()),
        replace(unit, postings=unit.postings[:1]),
        replace(unit, postings=tuple(reversed(unit.postings))),
        replace(unit, staff_resolution=True),
        replace(unit, outbox_cursor=0),
        replace(unit, transaction=replace(unit.transaction, expected_version=0)),
        *(
            replace(unit, transaction=replace(unit.transaction, row=replace(row, **{name: value})))
            for name, value in {
                "state": "x",
                "data": "x",
                "counts": False,
                "send": kes(1),
                "completed_at": row.created_at,
            }.items()
        ),
    ]
    hashes = {taken_in(changed).content_hash for changed in changes}
    assert base not in hashes
    assert len(hashes) == len(changes)
