"""What a running node asks of what is new, and of everything in pieces, on the real database: nothing is missed."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from actors.deposit_flow import DEPOSIT
from actors.recording import unit_of
from penpay.adapters.database import PROOFS
from penpay.domain import deposit_events as ev
from penpay.domain.decision import Decision, Occasion, Operation
from penpay.domain.errors import StoreError, Unavailable
from penpay.domain.money import kes
from penpay.domain.unit import OperationState, UnitOfWork
from penpay.invariants import questions, rounds
from penpay.invariants.rounds import News, Round
from penpay.messages import Committed
from tests.contracts.store.units import begun
from tests.domain.books import RULES, new_deposit
from tests.ledger.house import SHARD, fresh_id, paid, stk, transaction_row
from tests.ledger.test_audit import as_root


async def deposits(ledger, count: int):
    """Paid ones; their first units."""
    firsts = [begun() for _ in range(count)]
    await asyncio.gather(*map(ledger.commit, firsts))
    await asyncio.gather(*(ledger.commit(paid(first)) for first in firsts))
    return firsts


async def found(asked) -> set[str]:
    return {name for name, rows in (await asked).items() if rows}


OLD, NEW = 0, -1
HISTORY = "UPDATE {{ledger}}.transaction_events SET to_state = 'FAILED' WHERE transaction_id = '{id}' AND seq = 3"


async def test_new_rows_that_break_a_rule_are_found_until_they_do_not(ledger, database):
    news = News(ledger.database)
    await deposits(ledger, 2)
    assert await found(news.look()) == set()
    first = (await deposits(ledger, 2))[NEW]
    as_root(database, HISTORY.format(id=first.transaction.row.id))
    broken = {"i14_illegal_step", "i15_row_differs_from_history"}
    assert await found(news.look()) == broken
    await deposits(ledger, 1)
    assert await found(news.look()) == broken
    as_root(database, HISTORY.format(id=first.transaction.row.id).replace("FAILED", paid(first).transaction.row.state))
    assert await found(news.look()) == set()


async def test_what_was_committed_right_before_a_node_ended_is_asked_by_the_next(ledger, database):
    first = (await deposits(ledger, 1))[OLD]
    as_root(database, HISTORY.format(id=first.transaction.row.id))
    next_one = News(ledger.database)
    broken = {"i14_illegal_step", "i15_row_differs_from_history"}
    assert await found(next_one.look()) == await found(next_one.look()) == broken


async def test_a_first_look_that_begins_within_a_commit_finds_nothing_in_sound_books(ledger, monkeypatch):
    await deposits(ledger, 2)
    for rows in range(1, 9):
        monkeypatch.setattr(rounds, "BEFORE", rows)
        news = News(ledger.database)
        assert await found(news.look()) == await found(news.look()) == set()


@pytest.fixture
def asked(monkeypatch):
    """The questions, as they are asked."""
    queries, answer = [], questions.rows

    async def counting(database, query):
        queries.append(query)
        return await answer(database, query)

    monkeypatch.setattr(questions, "rows", counting)
    return queries


async def test_a_look_costs_no_more_the_longer_a_rule_is_broken(ledger, database, asked, monkeypatch):
    monkeypatch.setattr(rounds, "IDS_MAX", 1)
    news, costs = News(ledger.database), []
    await news.look()
    first = (await deposits(ledger, 1))[OLD]
    as_root(database, HISTORY.format(id=first.transaction.row.id))
    for _ in range(4):
        asked.clear()
        assert "i14_illegal_step" in await found(news.look())
        costs.append(len(asked))
        await deposits(ledger, 1)
    assert costs[1:] == [costs[1]] * 3


async def test_what_breaks_behind_what_is_broken_is_found_and_either_until_it_holds(ledger, database):
    news = News(ledger.database)
    await news.look()
    first = (await deposits(ledger, 1))[OLD]
    as_root(database, HISTORY.format(id=first.transaction.row.id))
    assert "i14_illegal_step" in await found(news.look())
    second = (await deposits(ledger, 1))[OLD]
    rate = "UPDATE {{ledger}}.transactions SET mid_rate_e6 = mid_rate_e6 {by} WHERE id = '{id}'"
    as_root(database, rate.format(by="* 2", id=second.transaction.row.id))
    both = {"i14_illegal_step", "i15_row_differs_from_history", "i28_rate_not_honoured"}
    assert await found(news.look()) == await found(news.look()) == both
    as_root(database, HISTORY.format(id=first.transaction.row.id).replace("FAILED", paid(first).transaction.row.state))
    assert await found(news.look()) == {"i28_rate_not_honoured"}
    as_root(database, rate.format(by="DIV 2", id=second.transaction.row.id))
    assert await found(news.look()) == set()


async def test_a_transaction_of_long_ago_is_looked_at_when_it_moves(ledger, database):
    news = News(ledger.database)
    old = begun()
    await ledger.commit(old)
    assert await found(news.look()) == set()
    as_root(
        database,
        f"UPDATE {{ledger}}.transactions SET mid_rate_e6 = 2 * mid_rate_e6 WHERE id = '{old.transaction.row.id}'",
    )
    assert await found(news.look()) == set()
    assert "i28_rate_not_honoured" in await found(questions.check(ledger.database))
    await ledger.commit(paid(old))
    assert "i28_rate_not_honoured" in await found(news.look())


def told_by_its_rules(*happenings: ev.Event) -> Iterator[UnitOfWork]:
    """The units of a deposit to which these happen, a second apart."""
    at = datetime.now(UTC)
    saga = replace(new_deposit(), id=fresh_id(), shard=SHARD, user_id=fresh_id(), created_at=at, state_since=at)
    push = stk()
    saga, base = replace(saga, stk=Operation(id=push.id, state=OperationState.INTENT)), transaction_row(id=saga.id)
    for number, event in enumerate(happenings):
        occasion = Occasion(at + timedelta(seconds=number), (fresh_id(), fresh_id(), fresh_id()))
        decision = DEPOSIT.decide(saga, event, occasion, RULES)
        assert isinstance(decision, Decision)
        unit = unit_of(DEPOSIT, decision, base, actor="saga")
        saga, base = decision.saga, unit.transaction.row
        yield unit if number else replace(unit, new_operations=(push,))


async def test_an_operation_that_moves_while_its_transaction_stays_brings_the_look_there(ledger, database):
    news = News(ledger.database)
    paid_at = datetime.now(UTC)
    *before, acknowledged = told_by_its_rules(
        ev.StkStarted(),
        ev.StkAccepted(checkout_request_id="ws_1", pushed_at=paid_at),
        ev.MpesaPaid(source="callback", amount=kes(130_000), receipt=f"R{fresh_id()[-9:]}", paid_at=paid_at),
        ev.DerivRefused(code="TransferDisabled", attempt=1, hold=False),
        ev.RefundAccepted(conversation_id="AG_1", originator_conversation_id="1-1"),
    )
    for unit in before:
        assert isinstance(await ledger.commit(unit), Committed)
    assert await found(news.look()) == {"a01_attempts_have_gaps"}  # no rail made the attempts that are told of
    as_root(
        database,
        "UPDATE {ledger}.provider_operations SET state = 'UNKNOWN' WHERE kind = 'DERIV_TRANSFER'",
        "UPDATE {ledger}.provider_operations SET state = 'REFUSED' WHERE kind = 'STK'",
    )
    assert await found(news.look()) == {"a01_attempts_have_gaps"}
    assert isinstance(await ledger.commit(acknowledged), Committed)
    assert "i06_credit_without_payment" in await found(news.look())


async def test_old_rows_are_asked_about_with_everything(ledger, database):
    news = News(ledger.database)
    await deposits(ledger, 2)
    assert await found(news.look()) == set()
    as_root(database, "UPDATE {ledger}.postings SET prev_hash = REPEAT('x', 32) WHERE seq = 2")
    await deposits(ledger, 1)
    assert await found(news.look()) == set()
    assert await found(questions.check(ledger.database)) == {"i22_chain_broken"}


async def test_however_many_transactions_moved_each_is_looked_at(ledger, database, monkeypatch):
    monkeypatch.setattr(rounds, "IDS_MAX", 2)
    news = News(ledger.database)
    await news.look()
    for first in await deposits(ledger, 5):
        as_root(database, HISTORY.format(id=first.transaction.row.id))
    looked = await news.look()
    assert len(looked["i15_row_differs_from_history"]) == 5
    assert not looked["i01_posting_unbalanced"]


async def test_what_the_clock_breaks_is_found_whenever_it_was_written(ledger, database):
    news = News(ledger.database)
    first = (await deposits(ledger, 1))[OLD]
    assert await found(news.look()) == set()
    late = "UPDATE {{ledger}}.transactions SET next_wake_at = '2020-01-01' WHERE id = '{id}'"
    as_root(database, late.format(id=first.transaction.row.id))
    assert await found(news.look()) == {"i12_woken_late"}


async def test_a_question_about_everything_that_takes_its_time_keeps_no_look_at_what_is_new_waiting(ledger):
    news = News(ledger.database)
    async with ledger.database.connection(PROOFS):
        assert await found(news.look()) == set()


async def all_of(round_: Round) -> Mapping[str, Sequence[object]]:
    while await round_.step():
        pass
    return round_.broken


async def test_a_round_in_small_pieces_finds_what_one_look_at_everything_finds(ledger, database, monkeypatch):
    monkeypatch.setattr(rounds, "IDS_MAX", 2)
    monkeypatch.setattr(rounds, "ROWS_MAX", 3)
    firsts = await deposits(ledger, 5)
    assert {name for name, rows in (await all_of(Round(ledger.database))).items() if rows} == set()
    first = firsts[NEW].transaction.row
    as_root(
        database,
        HISTORY.format(id=first.id),
        "UPDATE {ledger}.postings SET prev_hash = REPEAT('x', 32) WHERE seq = 7",
        "UPDATE {ledger}.ledger_entries SET balance_after_minor = 5 WHERE posting_id = 3 AND line = 1",
        "UPDATE {audit}.audit_log SET unit_id = 'x' WHERE chain = 'shard/0' AND seq = 8",
        'UPDATE {ledger}.outbox SET body = \'{{"phone":"254712345678"}}\' WHERE seq = 9',
        f"UPDATE {{ledger}}.transactions SET next_wake_at = '2020-01-01' WHERE id = '{first.id}'",
    )
    at_once = await questions.check(ledger.database)
    assert {name: len(rows) for name, rows in (await all_of(Round(ledger.database))).items()} == {
        name: len(rows) for name, rows in at_once.items()
    }
    assert len([name for name, rows in at_once.items() if rows]) >= 6


async def test_a_round_ends_however_fast_transactions_come(ledger, monkeypatch):
    monkeypatch.setattr(rounds, "IDS_MAX", 1)
    await deposits(ledger, 2)
    round_ = Round(ledger.database)
    for _ in range(4 * len(questions.queries(""))):
        await ledger.commit(begun())
        if not await round_.step():
            return
    pytest.fail("it reads what came behind its beginning, and never ends")


AWAY = Unavailable("database")


def unanswered(monkeypatch, names: Sequence[str], times: int, error: BaseException = AWAY) -> list[str]:
    """The database does not answer these so many times. What it was asked."""
    asked, answer = [], questions.rows
    texts = {query: name for name, query in questions.queries("").items()}

    async def sometimes(database, query):
        name = texts.get(query.replace(database.prefix, ""), "")
        asked.append(name or query)
        if (name in names or not names) and asked.count(name or query) <= times:
            raise error
        return await answer(database, query)

    monkeypatch.setattr(questions, "rows", sometimes)
    return asked


async def ended(round_: Round, error: BaseException = AWAY) -> None:
    for _ in range(4 * len(questions.queries(""))):
        with suppress(type(error)):
            if not await round_.step():
                return
    pytest.fail("it never ends")


async def test_a_question_that_the_database_did_not_answer_is_asked_again_behind_the_others(ledger, monkeypatch):
    await deposits(ledger, 1)
    asked = unanswered(monkeypatch, (), times=1)
    round_ = Round(ledger.database)
    await ended(round_)
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
    assert half >= len(questions.queries(""))
    assert round_.unanswered == set()


async def test_what_takes_the_database_too_long_keeps_no_other_question_waiting(ledger, database, monkeypatch):
    first = (await deposits(ledger, 1))[OLD]
    as_root(database, HISTORY.format(id=first.transaction.row.id))
    asked = unanswered(monkeypatch, ("i21_balance_differs",), times=99)
    round_ = Round(ledger.database)
    await ended(round_)
    assert round_.unanswered == {"i21_balance_differs"}
    assert asked.count("i21_balance_differs") == 2
    broken = {name for name, rows in round_.broken.items() if rows}
    assert broken == {"i14_illegal_step", "i15_row_differs_from_history"}


async def test_a_question_that_was_cut_off_is_asked_again_too_and_not_taken_to_hold(ledger, monkeypatch):
    await deposits(ledger, 1)
    error = asyncio.CancelledError()
    asked = unanswered(monkeypatch, ("i21_balance_differs",), times=1, error=error)
    round_ = Round(ledger.database)
    await ended(round_, error)
    assert [asked.count("i21_balance_differs"), round_.unanswered] == [2, set()]
    unanswered(monkeypatch, ("i21_balance_differs",), times=2, error=error)
    round_ = Round(ledger.database)
    await ended(round_, error)
    assert round_.unanswered == {"i21_balance_differs"}


async def test_what_is_refused_of_what_is_new_is_told_and_hides_nothing_and_is_asked_again(
    ledger, database, monkeypatch
):
    news = News(ledger.database)
    await news.look()
    first = (await deposits(ledger, 1))[OLD]
    as_root(
        database,
        HISTORY.format(id=first.transaction.row.id),
        "UPDATE {ledger}.postings SET prev_hash = REPEAT('x', 32) WHERE seq = 2",
    )
    answer, refuses = questions.rows, True

    async def refusing(database, query):
        if refuses and "prev_hash" in query:
            raise StoreError(3, "Error writing file")
        return await answer(database, query)

    monkeypatch.setattr(questions, "rows", refusing)
    steps = {"i14_illegal_step", "i15_row_differs_from_history"}
    with capture_logs() as told:
        for _ in range(2):
            looked = await news.look()
            assert {name for name, rows in looked.items() if rows} == steps
            assert "i22_chain_broken" not in looked  # it neither holds nor is broken
    assert sorted(one["name"] for one in told) == ["i22_audit_chain_broken", "i22_chain_broken"]
    refuses = False
    assert await found(news.look()) == {*steps, "i22_chain_broken"}


async def test_what_is_refused_of_everything_is_told_and_holds_nothing_up(ledger, monkeypatch):
    await deposits(ledger, 3)
    monkeypatch.setattr(rounds, "IDS_MAX", 1)
    answer = questions.rows

    async def refusing(database, query):
        if "allowed_edges" in query:
            raise StoreError(3, "Error writing file")
        return await answer(database, query)

    monkeypatch.setattr(questions, "rows", refusing)
    round_ = Round(ledger.database)
    with capture_logs() as told:
        await all_of(round_)
    assert round_.unanswered == {"i14_illegal_step"}
    assert len(told) == 1


async def rows_read(ledger, query: str) -> int:
    """How many rows the server touches for it."""
    touched = "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%'"
    async with ledger.database.reading() as session:
        await session.rows(query)  # the first time the server looks at its own tables, too
        before = sum(int(count) for _, count in await session.rows(touched))
        await session.rows(query)
        return sum(int(count) for _, count in await session.rows(touched)) - before


async def test_what_is_asked_of_what_is_new_costs_the_same_in_larger_books(ledger, database):
    prefix, costs = ledger.database.prefix, []
    for _ in range(2):
        await deposits(ledger, 400)
        before = await rounds._heads(ledger.database)
        ids = [first.transaction.row.id for first in await deposits(ledger, 4)]
        spans = list(zip(before, await rounds._heads(ledger.database), strict=True))
        database.rows("ANALYZE TABLE {ledger}.transactions, {ledger}.provider_operations, {ledger}.ledger_entries")
        asked = [
            *questions.of_commits(prefix, spans),
            *questions.of_chains(prefix, spans),
            *questions.of_transactions(prefix, ids),
        ]
        costs.append({name: await rows_read(ledger, query) for name, query in asked})
    assert costs[0] == costs[1]
