"""F55: Deriv says that it was done, for another recipient or another amount than was asked."""

import asyncio
from datetime import timedelta

import pytest

from actors.base import AsyncioActorRef
from actors.deriv_agent import Agent
from actors.deriv_calls import CallEnd
from actors.deriv_transfers import transfer_result
from actors.withdrawal_evidence import event_of
from penpay.adapters.deriv import WebSocketDialer
from penpay.domain.deriv_protocol import decode
from penpay.domain.money import usd
from penpay.domain.movements import decode_movement, movement_unit
from penpay.domain.rail_end import ANOTHER_RECIPIENT, Outcome, RailEnd, encode_rail_end
from penpay.domain.strays import ALREADY_KNOWN
from penpay.messages import InboxRow, ProbeAnswered, UnitRejected
from penpay.stack import ProcessFailed
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, operation, paid_body, rail, row_of, settle
from tests.actors.test_strays import sweep
from tests.domain.test_withdrawal_rules import failed_twice
from tests.faults.stage import Stage
from tests.faults.test_F078_refund_asked_twice import question
from tests.faults.withdrawing import BALANCE_MINOR, held, operations, withdrawer
from tests.rails.conftest import dialer, sandbox_rails  # noqa: F401 - fixtures
from tests.rails.fakes import Sandbox
from tests.rails.test_deriv import Rail, agent  # noqa: F401 - the agent is a fixture
from tests.rails.test_reconciliation import OurBooks, job, transferred


def test_a_reply_about_somebody_else_says_what_moved_and_that_it_was_not_asked() -> None:
    text = (
        '{"echo_req":{},"msg_type":"paymentagent_transfer","req_id":1,"paymentagent_transfer":1,"transaction_id":7,'
        '"client_to_full_name":"A B","client_to_loginid":"CR2"}'
    )
    end = CallEnd(outcome=Outcome.CONFIRMED, frame=decode(text))
    asked, another = transfer_result(end, "CR2"), transfer_result(end, "CR1")
    assert (asked.outcome, asked.code, asked.provider_ref) == (Outcome.CONFIRMED, "", "7")
    assert (another.outcome, another.code, another.provider_ref) == (Outcome.CONFIRMED, ANOTHER_RECIPIENT, "7")
    assert another.facts == {"client_to_loginid": "CR2"}


@pytest.mark.parametrize("outcome", [Outcome.CONFIRMED, Outcome.UNKNOWN])
async def test_another_recipient_stops_the_deposit(admitted: House, saga: AsyncioActorRef, outcome: Outcome) -> None:
    """Unknown: an end that an earlier version left."""
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, code="timed_out"))
    told = {"code": ANOTHER_RECIPIENT, "provider_ref": "7", "facts": {"client_to_loginid": "CR2"}}
    await settle(saga, rail(house, "DERIV_TRANSFER", outcome, **told))
    found = ProbeAnswered(
        probe="transfer",
        operation_id=operation(house, "DERIV_TRANSFER"),
        outcome="CONFIRMED",
        reference="7",
        amount=usd(966),
    )
    await settle(saga, found)
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["contradicting_transfer"])
    assert "done" not in [posting.key for unit in house.units.values() for posting in unit.postings]


def test_another_recipient_stops_the_return_of_a_withdrawal() -> None:
    story = failed_twice("2040")
    back = story.saga.back
    end = RailEnd(
        operation_id=back.id,
        attempt=1,
        kind="DERIV_RETURN",
        outcome=Outcome.CONFIRMED,
        code=ANOTHER_RECIPIENT,
        provider_ref="7",
        facts={"client_to_loginid": "CR2"},
        at=story.at,
    )
    row = InboxRow(
        id="row",
        shard=3,
        kind="rail",
        operation_id=back.id,
        body=encode_rail_end(end),
        trusted_source=True,
        received_at=story.at,
    )
    story.happens(event_of(story.saga, row))
    assert (str(story.state), story.reviews) == ("IN_REVIEW", ["contradicting_return"])


SOMEBODY = "CRB755"
LATE = {"fault": "late_reply", "fault_delay_s": 6.0, "loginid": SOMEBODY}
"""Well behind the call's time: the statement is read meanwhile, and does not say who got what."""


async def decided(stage: Stage, transaction_id: str, action: str) -> None:
    """Two people decide about the only question."""
    item = await question(stage, transaction_id)
    words = ("--action", action, "--by", "Achieng", "--second", "Brian", "--evidence", f"ticket {item[-6:]}", "--yes")
    await asyncio.to_thread(stage.installation.run, "review", "resolve", item, *words)


async def test_a_return_that_the_statement_showed_and_somebody_else_got_is_made_once_more(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_code": "2040"}, **LATE)
    await stage.reaches(withdrawal, "IN_REVIEW")
    assert stage.path(withdrawal)[-2:] == ["REVERSED", "IN_REVIEW"]
    assert stage.reviews(withdrawal) == ["contradicting_return"]
    assert stage.postings(withdrawal)[-2:] == ["return_done", "undone"]
    assert held(stage, withdrawal) == {"customer": -who.amount_minor}
    with pytest.raises(ProcessFailed):
        await decided(stage, withdrawal, "close")
    assert stage.state(withdrawal) == "IN_REVIEW", "nobody has the dollars"
    await decided(stage, withdrawal, "return")
    await stage.reaches(withdrawal, "REVERSED", within_s=60)
    assert operations(stage, withdrawal, "DERIV_RETURN") == [("CONFIRMED", 1), ("CONFIRMED", 1)]
    assert stage.postings(withdrawal)[-2:] == ["return_hold:2", "return_done:2"]
    assert ((await who.told()).counts, await who.balance_minor()) == ((1, 0, 1), BALANCE_MINOR)
    assert (held(stage, withdrawal), stage.reviews(withdrawal)) == ({}, [])


async def test_a_transfer_that_the_statement_showed_and_somebody_else_got_is_given_back(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv=LATE)
    await stage.reaches(deposit, "IN_REVIEW")
    assert stage.path(deposit)[-2:] == ["COMPLETED", "IN_REVIEW"]
    assert stage.reviews(deposit) == ["contradicting_transfer"]
    assert stage.postings(deposit) == ["paid", "hold", "done", "undone"]
    await decided(stage, deposit, "refund")
    await stage.reaches(deposit, "REVERSED", within_s=40)
    assert stage.postings(deposit)[-2:] == ["refund_hold", "refund_done"]
    told = await stage.told(who)
    assert (told.counts, [bool(one["reversed_by"]) for one in told.payments]) == ((1, 1, 0), [True])


@pytest.mark.parametrize("minor", [965, 967, 1])
async def test_another_amount_in_the_statement_stops_the_deposit(
    admitted: House, saga: AsyncioActorRef, minor: int
) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, code="dropped"))
    found = ProbeAnswered(
        probe="transfer",
        operation_id=operation(house, "DERIV_TRANSFER"),
        outcome="CONFIRMED",
        reference="991",
        amount=usd(minor),
    )
    await settle(saga, found)
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["contradicting_transfer"])
    assert "done" not in [posting.key for unit in house.units.values() for posting in unit.postings]


async def test_a_success_that_moved_another_amount_is_found_and_comes_before_people_once(
    sandbox_rails: Sandbox,  # noqa: F811
    dialer: WebSocketDialer,  # noqa: F811
    agent: Agent,  # noqa: F811
) -> None:
    """The reply names no amount, so only the agent's statement can say what moved: 1.00 where 6.94 are booked."""
    rail, house = Rail(sandbox_rails, dialer, agent), House()
    async with rail.running():
        ref = await transferred(rail, fault="other_amount", amount="1.00")
        books = OurBooks({ref: usd(-694)})
        await job(rail, books).compare()
        await job(rail, books).compare()
    (row,) = rail.filed.rows
    house.clock.at = row.received_at + timedelta(minutes=1)
    await sweep(house, row)
    again = movement_unit(decode_movement(row.body), review_id="R2", now=house.clock.now(), actor="staff:Achieng")
    known = house.commit(again)  # `penpay reconcile`, by hand
    assert isinstance(known, UnitRejected)
    assert known.code in ALREADY_KNOWN
    assert (house.reviews, house.quarantined) == (["movement_differs"], {row.id})
    (item,) = house.items.values()
    assert (item.owner_role, item.evidence["ref"]) == ("FINANCE", ref)
    assert (item.evidence["listed"], item.evidence["booked"]) == ("-1.00 USD", "-6.94 USD")
    assert not any(unit.postings for unit in house.units.values())
