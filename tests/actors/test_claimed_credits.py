"""A late credit that was set aside as nobody's, and that people find to be a withdrawal's: it is taken from there once.

Whatever comes first, and whatever is lost in between, the dollars are in the books once and pay one withdrawal.
"""

import asyncio
from collections.abc import AsyncIterator
from contextvars import Context
from dataclasses import replace

import pytest

from actors.base import AsyncioActorRef, NoSuchActor
from actors.saga import SagaActor
from penpay.domain.errors import Unavailable
from penpay.domain.money import usd
from penpay.domain.rail_end import Outcome
from penpay.domain.review import Action, Approval, ReviewItem, closing
from penpay.domain.strays import Stray, claimed, ended, stray_unit
from penpay.domain.unit import TransactionRow
from penpay.messages import Committed, Refusal, ResolveReview, WakeUp
from tests.actors.house import House
from tests.actors.test_withdrawals import (
    admitted,
    house,  # noqa: F401 - fixtures
    operation,
    rail,
    row_of,
    saga_parts,
    settle,
    user,  # noqa: F401
    witness,
)

REF = "77001"
ITEM = "S"
STRAY = Stray(kind="credit", ref=REF, amount=usd(2000), at="2026-03-01T09:00:00.000Z")


@pytest.fixture
async def saga(house: House, user: AsyncioActorRef) -> AsyncIterator[AsyncioActorRef]:  # noqa: F811
    """Debited, and before people: the agent's account has not shown the dollars."""
    await admitted(user)
    ref = SagaActor.start(row_of(house).id, saga_parts(house))
    await never_seen(house, ref, "c1")
    yield ref
    await ref.shutdown(1)


async def never_seen(house: House, saga: AsyncioActorRef, debit: str) -> None:  # noqa: F811
    await settle(saga, rail(house, "DERIV_WITHDRAW", Outcome.CONFIRMED, provider_ref=debit))
    house.clock.turn(13_801)
    await settle(saga, WakeUp())
    assert (row_of(house).state, house.reviews[-1]) == ("IN_REVIEW", "witness_missing")


def set_aside(house: House, minor: int = 2000) -> ReviewItem:  # noqa: F811
    """Nobody has claimed it for half an hour."""
    stray = replace(STRAY, amount=usd(minor))
    assert isinstance(house.commit(stray_unit(stray, review_id=ITEM, now=house.clock.now(), actor="inbox")), Committed)
    return house.items[ITEM]


def people_end(house: House, item: ReviewItem, action: Action) -> None:  # noqa: F811
    approval = Approval("c", "d", "R1")
    bare = closing(item, approval, at=house.clock.now())
    unit = ended(bare, STRAY, action, item_id=item.id, reference="R1", actor="staff:c")
    assert isinstance(house.commit(unit), Committed)


async def executed(saga: AsyncioActorRef, ref: str = REF) -> TransactionRow | Refusal:
    answer: TransactionRow | Refusal = await saga.aask(
        ResolveReview(item_id="i", action="executed", approval=Approval("a", "b", ref))
    )
    return answer


def stands(house: House) -> dict[str, int]:  # noqa: F811
    """Over all shards, in cents."""
    sums: dict[str, int] = {}
    for unit in house.units.values():
        for posting in unit.postings:
            for entry in posting.entries:
                sums[entry.account.code.value] = sums.get(entry.account.code.value, 0) + entry.amount_minor
    return {name: minor for name, minor in sums.items() if minor}


async def passes() -> None:
    """A unit on its way, judged as always."""


ARRIVED = {"deriv_agent": 2000, "customer": -2000}
AWAITED = {"deriv_in": 2000, "customer": -2000}
AND_NOBODYS = {"deriv_in": 2000, "customer": -2000, "deriv_agent": 2000, "suspense": -2000}


async def test_what_was_set_aside_is_taken_from_there_with_one_decision(house: House, saga: AsyncioActorRef) -> None:  # noqa: F811
    set_aside(house)
    assert stands(house) == AND_NOBODYS
    assert isinstance(await executed(saga), TransactionRow)
    assert stands(house) == ARRIVED
    assert house.items[ITEM].resolution == "a and b, 77001"
    assert house.references["deriv_credit_claimed", REF] == operation(house, "DERIV_WITHDRAW")
    assert isinstance(
        await saga.aask(ResolveReview(item_id="i", action="pay", approval=Approval("a", "b", "t 1"))), TransactionRow
    )


async def test_what_is_found_before_it_is_set_aside_never_is(house: House, saga: AsyncioActorRef) -> None:  # noqa: F811
    assert isinstance(await executed(saga), TransactionRow)
    late = house.commit(stray_unit(STRAY, review_id=ITEM, now=house.clock.now(), actor="inbox"))
    assert not isinstance(late, Committed)
    assert stands(house) == ARRIVED


async def test_a_decision_that_is_told_twice_counts_once(house: House, saga: AsyncioActorRef) -> None:  # noqa: F811
    set_aside(house)
    await executed(saga)
    assert isinstance(await executed(saga), Refusal)
    assert stands(house) == ARRIVED


@pytest.mark.parametrize("lost", [1, 2])
async def test_what_is_lost_on_the_way_is_brought_by_the_same_decision(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
    lost: int,
) -> None:
    """The ledger of the one shard or of the other does not answer."""

    async def away() -> None:
        raise Unavailable("ledger")

    set_aside(house)
    house.meanwhile += [passes] * lost + [away]
    with pytest.raises(Unavailable):
        await executed(saga)
    assert stands(house) == (AND_NOBODYS if lost == 1 else AWAITED)
    assert row_of(house).state == "IN_REVIEW"
    assert isinstance(await executed(saga), TransactionRow)
    assert stands(house) == ARRIVED


async def test_a_shard_that_is_not_here_is_waited_for(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    async def gone() -> None:
        raise NoSuchActor("shards/0/ledger")

    set_aside(house)
    house.meanwhile += [passes, gone]
    with pytest.raises(Unavailable):
        await executed(saga)
    assert isinstance(await executed(saga), TransactionRow)


async def test_what_people_have_ended_otherwise_is_named_and_moves_nothing(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    people_end(house, set_aside(house), Action.OWN)
    before = stands(house)
    refused = await executed(saga)
    assert isinstance(refused, Refusal)
    assert refused.detail == "77001 was nobody's, and what it was is decided: item S, c and d, R1"
    assert stands(house) == before


async def test_whoever_is_overtaken_learns_which_question_to_look_at(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    async def overtakes() -> None:
        people_end(house, item, Action.OWN)

    item = set_aside(house)
    house.meanwhile += [passes, overtakes]
    refused = await executed(saga)
    assert isinstance(refused, Refusal)
    assert "item S" in refused.detail
    assert "deriv_in" in stands(house)


async def test_a_saga_that_goes_on_when_its_credit_was_taken_says_no_plain_no(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    async def settled() -> None:
        other = SagaActor.start(row_of(house).id, saga_parts(house))
        undone = ResolveReview(item_id="i", action="settle", approval=Approval("c", "d", "U1"))
        assert isinstance(await other.aask(undone), TransactionRow)
        await other.shutdown(1)

    async def goes_on() -> None:
        await asyncio.create_task(settled(), context=Context())  # somebody else's ask, not one of this saga's

    set_aside(house)
    house.meanwhile += [passes, passes, goes_on]
    refused = await executed(saga)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.retry_after_s) == ("outcome_unknown", 2)


async def test_one_credit_serves_one_of_two_debits(house: House, saga: AsyncioActorRef) -> None:  # noqa: F811
    item = set_aside(house)
    bare = closing(item, Approval("c", "d", REF), at=house.clock.now())
    assert isinstance(house.commit(claimed(bare, STRAY, operation_id="ANOTHER", actor="staff:c")), Committed)
    refused = await executed(saga)
    assert isinstance(refused, Refusal)
    assert refused.detail == "77001 is the credit of another debit, ANOTHER: item S, c and d, 77001"
    assert stands(house) == AWAITED


async def test_another_amount_than_was_debited_is_booked_as_it_came_and_looked_at(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    set_aside(house, 1900)
    assert isinstance(await executed(saga), TransactionRow)
    assert stands(house) == {"deriv_agent": 1900, "customer": -2000, "write_off": 100}
    assert house.reviews[-1] == "witness_mismatch"


async def test_the_id_of_something_else_is_refused_as_before(house: House, saga: AsyncioActorRef) -> None:  # noqa: F811
    house.references["deriv_credit", REF] = "another operation"
    refused = await executed(saga)
    assert isinstance(refused, Refusal)
    assert refused.detail.startswith("77001 was used already")


async def test_a_credit_that_is_told_by_itself_in_review_is_booked_and_people_decide(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    await settle(saga, witness(house, REF), witness(house, REF))
    assert (row_of(house).state, house.reviews[-1], stands(house)) == ("IN_REVIEW", "witness_late", ARRIVED)


async def test_a_debit_that_people_have_settled_takes_nothing_from_suspense(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,
) -> None:
    set_aside(house)
    undone = ResolveReview(item_id="i", action="settle", approval=Approval("a", "b", "U1"))
    assert isinstance(await saga.aask(undone), TransactionRow)
    assert isinstance(await executed(saga), Refusal)
    assert stands(house) == {"deriv_agent": 2000, "suspense": -2000}
