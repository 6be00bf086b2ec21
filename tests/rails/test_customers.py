"""Customers' balances over their own sockets, against the sandbox."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from actors.deriv_customers import CustomersParts, CustomersSettings, DerivCustomersActor
from penpay.adapters.deriv_accounts import DialedDerivAccounts
from penpay.domain import deriv_protocol as deriv
from penpay.domain.errors import NotSent, Refused
from penpay.domain.money import usd
from penpay.messages import Refusal
from penpay.messages_rails import DerivBalance, GetBalance
from tests.rails.fakes import TurnableClock, inside, until

QUICK = {"backoff_first_s": 0.02, "backoff_max_s": 0.1, "look_s": 0.05, "answer_s": 2.0}


@dataclass
class Customers:
    dialer: object
    clock: TurnableClock = field(default_factory=TurnableClock)
    published: list[tuple[str, DerivBalance]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, **settings):
        parts = CustomersParts(
            dialer=self.dialer,
            clock=self.clock,
            dice=random.Random(1),
            publish=lambda user_id, balance: self.published.append((user_id, balance)),
            settings=CustomersSettings(**{**QUICK, **settings}),
        )
        ref = DerivCustomersActor.start(parts)
        await ref.ready()
        try:
            yield ref
        finally:
            await ref.shutdown(5)


@pytest.fixture
def customers(dialer):
    return Customers(dialer)


def ask(loginid="CRB1", token=None, user="u1"):
    return GetBalance(user_id=user, loginid=loginid, token=token or f"a1-{loginid}")


async def sockets(box):
    return [one["loginids"] for one in (await box.control("/deriv/sessions"))["sessions"]]


async def test_a_balance_is_live_and_follows_the_account(customers, sandbox_rails):
    async with customers.running() as ref:
        first = await ref.aask(ask())
        assert (first.balance, first.live) == (usd(0), True)
        await sandbox_rails.control("/funds", {"account": "CRB1", "delta_minor": 966})
        await until(lambda: ("u1", usd(966)) in [(user, told.balance) for user, told in customers.published])
        assert (await ref.aask(ask())).balance == usd(966)
        assert await sockets(sandbox_rails) == [["CRB1"]]


async def test_many_questions_open_one_socket(customers, sandbox_rails):
    async with customers.running() as ref:
        answers = await asyncio.gather(*(ref.aask(ask()) for _ in range(10)))
        assert {answer.balance for answer in answers} == {usd(0)}
        assert len(await sockets(sandbox_rails)) == 1


@pytest.mark.parametrize("token", ["a1-CRB2", "nonsense"])
async def test_a_token_for_another_account_asks_to_link_again(customers, token):
    async with customers.running() as ref:
        answer = await ref.aask(ask("CRB1", token))
    assert isinstance(answer, Refusal)
    assert answer.code == "deriv_not_linked"


@pytest.mark.parametrize("code", sorted(deriv.TOKEN_REFUSED))
async def test_an_error_about_the_token_asks_to_link_again(customers, sandbox_rails, code):
    await sandbox_rails.deriv_step("authorize", fault="refuse", error_code=code, times=0)
    async with customers.running() as ref:
        assert (await ref.aask(ask())).code == "deriv_not_linked"
    with pytest.raises(Refused, match=code):
        await DialedDerivAccounts(customers.dialer).authorize("a1-CRB1")


@pytest.mark.parametrize("code", ["RateLimit", "InternalServerError", "WrongResponse", "InvalidAppID", "NeverSeen"])
async def test_any_other_error_at_the_door_only_says_that_deriv_is_away(customers, sandbox_rails, code):
    await sandbox_rails.deriv_step("authorize", fault="refuse", error_code=code, times=0)
    async with customers.running(answer_s=0.2) as ref:
        assert (await ref.aask(ask())).code == "rail_down"
        with pytest.raises(NotSent, match=code):
            await DialedDerivAccounts(customers.dialer).authorize("a1-CRB1")
        await sandbox_rails.control("/deriv/script", {"steps": [], "clear": True})
        await until(lambda: customers.published)
        assert (await ref.aask(ask())).live


async def test_a_refused_balance_is_asked_for_again_with_patience(customers, sandbox_rails):
    await sandbox_rails.deriv_step("balance", fault="refuse", error_code="RateLimit", times=3)
    async with customers.running(backoff_first_s=0.1, backoff_max_s=0.4) as ref:
        began_s = customers.clock.monotonic_s()
        answer = await ref.aask(ask())
        assert customers.clock.monotonic_s() - began_s >= 0.05 + 0.1 + 0.2
        assert (answer.balance, answer.live) == (usd(0), True)


async def test_a_token_that_may_not_see_the_balance_asks_to_link_again(customers, sandbox_rails):
    token = (await sandbox_rails.control("/deriv/tokens", {"loginid": "CRB1", "scopes": ["payments"]}))["token"]
    async with customers.running() as ref:
        assert (await ref.aask(ask(token=token))).code == "deriv_not_linked"


async def test_without_a_live_token_the_last_known_balance_of_that_account_is_told(customers, sandbox_rails):
    async with customers.running() as ref:
        live = await ref.aask(ask())
        await sandbox_rails.deriv_step("authorize", fault="refuse", error_code="InvalidToken", times=0)
        await sandbox_rails.control("/deriv/drop", {})
        await until(lambda: not inside(ref).observable_state()["sessions"])
        assert await ref.aask(ask()) == replace(live, live=False)
        assert (await ref.aask(ask("CRB2"))).code == "deriv_not_linked"


async def test_after_a_drop_the_balance_comes_back_live(customers, sandbox_rails):
    async with customers.running() as ref:
        await ref.aask(ask())
        await sandbox_rails.control("/deriv/drop", {})
        await until(lambda: len(customers.published) == 2)
        assert (await ref.aask(ask())).live


async def test_with_deriv_away_the_last_known_balance_is_told_as_such(customers, sandbox_rails):
    async with customers.running(answer_s=0.1) as ref:
        await ref.aask(ask())
        await sandbox_rails.control("/deriv/script", {"knobs": {"zombie": True}})
        await sandbox_rails.control("/deriv/drop", {})
        await until(lambda: inside(ref)._sessions["u1"].balance is None)
        known = await ref.aask(ask())
        unknown = await ref.aask(ask("CRB9", user="u9"))
        await sandbox_rails.control("/deriv/script", {"knobs": {"zombie": False}})
    assert (known.balance, known.live) == (usd(0), False)
    assert isinstance(unknown, Refusal)
    assert unknown.code == "rail_down"


async def test_an_idle_session_is_closed(customers, sandbox_rails):
    async with customers.running() as ref:
        await ref.aask(ask())
        customers.clock.turn(121)
        await until(lambda: not inside(ref)._sessions)
        async with asyncio.timeout(5):
            while await sockets(sandbox_rails):
                pass


async def test_sessions_are_capped_and_the_longest_unused_gives_way(customers):
    async with customers.running(sessions_max=2) as ref:
        for number in (1, 2, 1, 3):
            await ref.aask(ask(f"CRB{number}", user=f"u{number}"))
        assert list(inside(ref)._sessions) == ["u1", "u3"]


async def test_a_relinked_account_replaces_the_session(customers):
    async with customers.running() as ref:
        await ref.aask(ask("CRB1"))
        assert (await ref.aask(ask("CRB2"))).live
        assert inside(ref)._sessions["u1"].loginid == "CRB2"
