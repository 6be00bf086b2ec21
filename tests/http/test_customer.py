"""The profile, balances and the Deriv link."""

from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain.accounts import AccountFacts
from penpay.domain.errors import NotSent, OutcomeUnknown, Refused, Unavailable
from penpay.domain.money import usd
from penpay.http.schemas import Balance, DerivLinkAnswer, LinkStart, Me
from penpay.messages_rails import DerivBalance, GetBalance
from tests.http.rows import add_transaction
from tests.http.world import Customer, World, link, signed_in


async def test_the_profile_has_the_documented_form(customer: Customer):
    answer = await customer.call("GET", "/me")
    Me.model_validate(answer.body)
    assert answer.body["email"] == customer.email
    assert answer.body["phone"] == f"2547****{customer.phone[-3:]}"
    assert answer.body["phone_verified"] is True
    assert answer.body["deriv"]["status"] == "active"
    assert answer.body["limits"]["deposit"]["today_left"] == {"amount": "2000.00", "currency": "USD"}


async def test_counted_deposits_of_the_day_lower_what_is_left(world: World, customer: Customer, module_database):
    day = (world.edge.clock.now() + timedelta(hours=3)).date().isoformat()
    add_transaction(module_database, customer, eat_day=day)
    add_transaction(module_database, customer, eat_day=day, counts=0, state="FAILED", status="FAILED")
    add_transaction(module_database, customer, eat_day="2020-01-01")
    limits = (await customer.call("GET", "/me")).body["limits"]["deposit"]
    assert limits["today_left"] == {"amount": "1990.34", "currency": "USD"}
    other = (await customer.call("GET", "/me")).body["limits"]["withdrawal"]
    assert other["today_left"] == other["today_max"] == {"amount": "2000.00", "currency": "USD"}


async def test_a_withdrawal_lowers_its_own_limit_by_what_it_sends(world: World, customer: Customer, module_database):
    day = (world.edge.clock.now() + timedelta(hours=3)).date().isoformat()
    money = {"send_minor": 2_000, "send_currency": "USD", "receive_minor": 249_000, "receive_currency": "KES"}
    add_transaction(
        module_database, customer, type="WITHDRAWAL", state="DEBITED", status="PROCESSING", eat_day=day, **money
    )
    limits = (await customer.call("GET", "/me")).body["limits"]
    assert limits["withdrawal"]["today_left"] == {"amount": "1980.00", "currency": "USD"}
    assert limits["withdrawal"]["per_transaction_min"] == {"amount": "5.00", "currency": "USD"}
    assert limits["deposit"]["today_left"] == limits["deposit"]["today_max"]


async def test_a_frozen_customer_reads_and_the_actor_learns_it(world: World, customer: Customer, module_database):
    module_database.rows(
        "INSERT INTO {ledger}.user_status VALUES (%s, 0, 'FROZEN', NOW(6), 'test', NOW(6))", (customer.id,)
    )
    assert (await customer.call("GET", "/me")).body["status"] == "FROZEN"


async def test_the_balance_comes_with_what_is_in_flight(world: World, customer: Customer, module_database):
    add_transaction(module_database, customer)
    add_transaction(module_database, customer)
    add_transaction(module_database, customer, state="COMPLETED", status="COMPLETED")
    seen = datetime(2026, 11, 20, 9, tzinfo=UTC)
    world.actors.answers[GetBalance] = lambda _: DerivBalance(balance=usd(1234), as_of_at=seen, live=True)
    answer = await customer.call("GET", "/balance")
    Balance.model_validate(answer.body)
    assert answer.body == {
        "deriv": {"amount": "12.34", "currency": "USD", "as_of": "2026-11-20T09:00:00.000Z", "live": True},
        "in_flight": [{"amount": "2600.00", "currency": "KES"}],
    }
    asked = world.actors.asked[-1][1]
    assert asked.token == f"a1-CR{customer.phone[3:]}"
    assert asked.token not in repr(asked)


async def test_without_deriv_the_rest_of_the_balance_is_answered(world: World, customer: Customer):
    world.actors.answers[GetBalance] = lambda _: Unavailable("deriv")
    assert (await customer.call("GET", "/balance")).body == {"deriv": None, "in_flight": []}


async def test_linking_starts_with_a_single_use_state(world: World):
    someone = await signed_in(world, linked=False)
    started = await someone.call("POST", "/deriv/link")
    LinkStart.model_validate(started.body)
    url = started.body["authorize_url"]
    assert url.startswith("https://deriv.example/oauth2/authorize?app_id=1089&state=")
    linked = await link(someone, "CR501", "Kamau WANJIKU")
    DerivLinkAnswer.model_validate(linked.body)
    assert (linked.body["status"], linked.body["loginid"]) == ("active", "CR501")
    assert b"a1-" not in linked.raw
    assert (await someone.call("GET", "/deriv/link")).body == linked.body


async def test_a_state_works_once(world: World):
    someone = await signed_in(world, linked=False)
    state = (await someone.call("POST", "/deriv/link")).body["authorize_url"].rpartition("state=")[2]
    world.deriv.known["bad"] = Refused("InvalidToken")
    params = {"acct1": "CR1", "token1": "bad", "cur1": "USD", "state": state}
    json = {"Accept": "application/json"}
    assert (await world.call("GET", "/deriv/callback", params=params, headers=json)).code == "deriv_refused"
    assert (await world.call("GET", "/deriv/callback", params=params, headers=json)).code == "link_state_invalid"


async def test_a_state_dies_after_ten_minutes(world: World, clock):
    someone = await signed_in(world, linked=False)
    state = (await someone.call("POST", "/deriv/link")).body["authorize_url"].rpartition("state=")[2]
    clock.ahead = timedelta(seconds=601)
    params = {"acct1": "CR1", "token1": "t", "cur1": "USD", "state": state}
    answer = await world.call("GET", "/deriv/callback", params=params, headers={"Accept": "application/json"})
    assert (answer.status, answer.code) == (400, "link_state_invalid")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"currency": "EUR"}, "deriv_account_unsuitable"),
        ({"is_virtual": True}, "deriv_account_unsuitable"),
        ({"scopes": ("read",)}, "deriv_account_unsuitable"),
        ({"loginid": "CR999"}, "deriv_refused"),
    ],
)
async def test_what_deriv_says_of_the_token_decides(world: World, facts: dict[str, object], code: str):
    someone = await signed_in(world, linked=False)
    assert (await link(someone, f"CR{someone.phone[3:]}", "Wanjiku Kamau", **facts)).code == code
    assert (await someone.call("GET", "/deriv/link")).body["status"] == "none"


async def test_another_name_is_not_linked(world: World):
    someone = await signed_in(world, linked=False)
    answer = await link(someone, "CR700", "Peter Mwangi")
    assert (answer.status, answer.code) == (403, "name_mismatch")
    assert answer.body["next_action"]
    assert "CR700" in answer.body["detail"]
    assert someone.email not in answer.raw.decode()
    shown = await someone.call("GET", "/deriv/link")
    assert (shown.status, shown.body["status"], shown.body["loginid"]) == (200, "name_mismatch", "CR700")
    assert (await someone.call("GET", "/me")).body["deriv"]["status"] == "name_mismatch"


async def test_an_empty_name_passes_in_development_only(world: World):
    someone = await signed_in(world, linked=False)
    assert (await link(someone, "CR701", "")).body["status"] == "active"


async def test_one_deriv_account_has_one_customer(world: World):
    first, second = await signed_in(world, linked=False), await signed_in(world, linked=False)
    assert (await link(first, "CR702", "Wanjiku Kamau")).body["status"] == "active"
    taken = await link(second, "CR702", "Wanjiku Kamau")
    assert (taken.status, taken.code) == (409, "deriv_account_taken")
    assert (await second.call("GET", "/deriv/link")).body["status"] == "none"
    assert (await first.call("GET", "/deriv/link")).body["loginid"] == "CR702"
    assert (await first.call("DELETE", "/deriv/link")).status == 204
    assert (await link(second, "CR702", "Wanjiku Kamau")).body["status"] == "active"


async def test_a_link_stays_while_money_is_on_its_way(customer: Customer, module_database):
    add_transaction(module_database, customer)
    assert (await customer.call("DELETE", "/deriv/link")).code == "deriv_link_busy"
    assert (await customer.call("GET", "/deriv/link")).body["status"] == "active"


async def test_deriv_away_is_said_so(world: World):
    someone = await signed_in(world, linked=False)
    world.deriv.known["a1-CR703"] = NotSent("not_connected")
    answer = await link(someone, "CR703", "x")
    assert (answer.status, answer.code) == (503, "rail_down")


async def test_with_deriv_back_the_same_return_links_and_its_state_is_spent(world: World):
    someone = await signed_in(world, linked=False)
    state = (await someone.call("POST", "/deriv/link")).body["authorize_url"].rpartition("state=")[2]
    params = {"acct1": "CR704", "token1": "a1-CR704", "cur1": "USD", "state": state}
    facts = AccountFacts(
        loginid="CR704",
        fullname="Wanjiku Kamau",
        currency="USD",
        scopes=("read", "payments"),
        is_virtual=False,
        email=someone.email,
    )
    answers = []
    for told in (NotSent("RateLimit"), OutcomeUnknown("connection_lost"), facts, facts):
        world.deriv.known["a1-CR704"] = told
        headers = {"Accept": "application/json"}
        answers.append(await world.call("GET", "/deriv/callback", params=params, headers=headers))
    assert [answer.status for answer in answers] == [503, 503, 200, 400]
    assert answers[-1].code == "link_state_invalid"


async def test_a_browser_gets_a_page_without_secrets(world: World):
    someone = await signed_in(world, linked=False)
    state = (await someone.call("POST", "/deriv/link")).body["authorize_url"].rpartition("state=")[2]
    params = {"acct1": "CR1", "token1": "secret-token", "cur1": "USD", "state": state}
    answer = await world.call("GET", "/deriv/callback", params=params, headers={"Accept": "text/html"})
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert b"secret-token" not in answer.raw
    assert b"<script" not in answer.raw
