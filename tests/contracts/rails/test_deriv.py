"""What both Derivs do alike, frame by frame, read with the production's own protocol."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penpay.domain import deriv_protocol as protocol
from penpay.domain.errors import BadInput, NotSent
from penpay.domain.money import Currency, Money, usd
from penpay.domain.rail_end import AGENT_FUNDS
from penpay.domain.statement import StatementRow
from penpay.ports import ConnectionLost
from tests.contracts.rails.deriv import Rail, Scenario, Talk, Who, in_the_simulation, on_the_sandbox, talk

REFERENCE = "PenPay P9K3W01J9ZAB"
MOST = usd(200_000)
"""Of one transfer."""


@pytest.fixture(params=[on_the_sandbox, in_the_simulation], ids=["sandbox", "simulation"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    return lambda scenario: request.param(scenario, tmp_path)


def to(who: Who, amount: Money, **changes: bool) -> protocol.Request:
    return protocol.transfer(amount=amount, loginid=who.loginid, reference=REFERENCE, **changes)


async def balance(talking: Talk) -> Money:
    return protocol.balance(await talking.ask(protocol.balance_now()))[1]


async def rows(talking: Talk) -> list[StatementRow]:
    frame = await talking.ask(protocol.statement(since=None, offset=0))
    return list(protocol.statement_rows(frame, Currency.USD))


async def mailed(rail: Rail, talking: Talk, who: Who, amount: Money) -> str:
    asked = protocol.mail_code(email=who.email, agent=rail.agent.loginid, amount=amount)
    assert protocol.mailed(await talking.ask(asked))
    return await rail.code(who)


def test_a_token_says_whose_socket_it_is(play):
    async def scenario(rail: Rail) -> None:
        talking = await talk(rail)
        found = protocol.identity(await talking.ask(protocol.authorize(rail.agent.token)))
        assert (found.loginid, found.currency, found.is_virtual) == (rail.agent.loginid, "USD", False)
        assert protocol.AUTHORIZE_PAYMENTS in found.scopes

    play(scenario)


def test_a_stranger_is_refused_and_sees_nothing(play):
    async def scenario(rail: Rail) -> None:
        talking = await talk(rail)
        assert (await talking.ask(protocol.authorize("not-a-token"))).error_code == "InvalidToken"
        assert (await talking.ask(protocol.balance_now())).error_code == "AuthorizationRequired"
        assert not (await talking.ask(protocol.ping())).error_code

    play(scenario)


def test_a_dry_run_tells_and_moves_nothing(play):
    async def scenario(rail: Rail) -> None:
        who, talking = await rail.customer(balance_minor=0), await talk(rail, rail.agent)
        before = await balance(talking)
        frame = await talking.ask(to(who, usd(966), dry_run=True))
        assert protocol.transferred(frame, dry_run=True).loginid == who.loginid
        with pytest.raises(BadInput):
            protocol.transferred(frame)
        assert await balance(talking) == before

    play(scenario)


def test_a_transfer_moves_dollars_and_both_statements_show_it(play):
    async def scenario(rail: Rail) -> None:
        who, talking = await rail.customer(balance_minor=0), await talk(rail, rail.agent)
        before = await balance(talking)
        told = protocol.transferred(await talking.ask(to(who, usd(966))))
        assert told.loginid == who.loginid
        newest = (await rows(talking))[0]
        assert newest.id == told.transaction_id
        assert (newest.amount, newest.balance_after) == (usd(-966), usd(before.minor - 966))
        assert await balance(talking) == newest.balance_after
        theirs = await talk(rail, who)
        (arrived,) = await rows(theirs)
        assert (arrived.amount, arrived.balance_after) == (usd(966), usd(966)) == (usd(966), await balance(theirs))

    play(scenario)


def test_the_same_transfer_twice_happens_twice(play):
    async def scenario(rail: Rail) -> None:
        who, talking = await rail.customer(balance_minor=0), await talk(rail, rail.agent)
        first, second = [protocol.transferred(await talking.ask(to(who, usd(966)))) for _ in range(2)]
        assert first.transaction_id != second.transaction_id
        assert await balance(await talk(rail, who)) == usd(2 * 966)

    play(scenario)


def test_what_the_agent_has_not_is_refused_as_our_shortage(play):
    async def scenario(rail: Rail) -> None:
        who, talking = await rail.customer(balance_minor=0), await talk(rail, rail.agent)
        while (held := await balance(talking)).minor >= MOST.minor:
            protocol.transferred(await talking.ask(to(who, MOST)))
        refused = protocol.refusal(await talking.ask(to(who, usd(held.minor + 1))))
        assert refused is not None
        assert (refused.code, refused.hold) == (AGENT_FUNDS, True)
        assert await balance(talking) == held

    play(scenario)


def test_nobody_is_no_recipient(play):
    async def scenario(rail: Rail) -> None:
        talking = await talk(rail, rail.agent)
        nobody = Who("CR999999", "", "")
        for request in (to(nobody, usd(966)), to(nobody, usd(966), dry_run=True)):
            refused = protocol.refusal(await talking.ask(request))
            assert refused is not None
            assert not refused.hold

    play(scenario)


def test_streams_tell_of_a_movement_as_it_happens(play):
    async def scenario(rail: Rail) -> None:
        who, talking = await rail.customer(balance_minor=0), await talk(rail, rail.agent)
        before = protocol.balance(await talking.ask(protocol.balance_stream()))[1]
        assert "subscription" in (await talking.ask(protocol.transaction_stream())).members
        told = protocol.transferred(await talking.ask(to(who, usd(966))))
        movement = protocol.account_transaction(await talking.next_of("transaction"))
        assert movement is not None
        assert (movement.id, movement.amount) == (told.transaction_id, usd(-966))
        assert movement.balance_after == usd(before.minor - 966)
        assert protocol.balance(await talking.next_of("balance")) == (rail.agent.loginid, movement.balance_after)

    play(scenario)


def test_a_withdrawal_takes_its_code_once_and_both_sides_show_it(play):
    async def scenario(rail: Rail) -> None:
        who = await rail.customer(balance_minor=5_000)
        theirs, ours = await talk(rail, who), await talk(rail, rail.agent)
        before = await balance(ours)
        code = await mailed(rail, theirs, who, usd(2_000))
        asked = protocol.withdraw(amount=usd(2_000), agent=rail.agent.loginid, code=code, reference=REFERENCE)
        number = protocol.withdrawn(await theirs.ask(asked))
        debit, credit = (await rows(theirs))[0], (await rows(ours))[0]
        assert (debit.id, debit.amount, debit.balance_after) == (number, usd(-2_000), usd(3_000))
        assert (credit.amount, credit.balance_after) == (usd(2_000), usd(before.minor + 2_000))
        assert protocol.refusal(await theirs.ask(asked)) is not None
        assert await balance(theirs) == usd(3_000)

    play(scenario)


def test_a_wrong_code_is_refused_and_moves_nothing(play):
    async def scenario(rail: Rail) -> None:
        who = await rail.customer(balance_minor=5_000)
        theirs = await talk(rail, who)
        await mailed(rail, theirs, who, usd(2_000))
        asked = protocol.withdraw(amount=usd(2_000), agent=rail.agent.loginid, code="WRONGCODE1", reference=REFERENCE)
        assert protocol.refusal(await theirs.ask(asked)) is not None
        assert await balance(theirs) == usd(5_000)

    play(scenario)


def test_what_a_customer_has_not_is_refused_for_good(play):
    async def scenario(rail: Rail) -> None:
        who = await rail.customer(balance_minor=1_000)
        theirs = await talk(rail, who)
        code = await mailed(rail, theirs, who, usd(2_000))
        asked = protocol.withdraw(amount=usd(2_000), agent=rail.agent.loginid, code=code, reference=REFERENCE)
        refused = protocol.refusal(await theirs.ask(asked))
        assert refused is not None
        assert not refused.hold, "no shortage of ours, which would be waited for"
        assert await balance(theirs) == usd(1_000)

    play(scenario)


def test_the_statement_pages_newest_first(play):
    async def scenario(rail: Rail) -> None:
        who, talking = await rail.customer(balance_minor=0), await talk(rail, rail.agent)
        numbers = [protocol.transferred(await talking.ask(to(who, usd(100 + n)))).transaction_id for n in range(4)]
        pages = [
            protocol.statement_rows(await talking.ask(protocol.statement(since=None, offset=at, limit=2)), Currency.USD)
            for at in (0, 2)
        ]
        assert [row.id for page in pages for row in page] == numbers[::-1]

    play(scenario)


def test_a_socket_that_we_closed_sends_nothing(play):
    async def scenario(rail: Rail) -> None:
        talking = await talk(rail, rail.agent)
        await talking.socket.close()
        with pytest.raises(NotSent):
            await talking.socket.send(protocol.encode(protocol.ping(), 99))
        with pytest.raises(ConnectionLost):
            await talking.socket.receive()

    play(scenario)


def test_a_socket_that_deriv_drops_is_lost_to_whoever_listens(play):
    async def scenario(rail: Rail) -> None:
        talking = await talk(rail, rail.agent)
        await talking.ask(protocol.balance_stream())
        await rail.drop(rail.agent)
        with pytest.raises(ConnectionLost):
            await talking.socket.receive()
        with pytest.raises(NotSent):
            await talking.socket.send(protocol.encode(protocol.ping(), 99))

    play(scenario)
