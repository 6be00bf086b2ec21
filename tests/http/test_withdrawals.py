"""POST /withdrawals and its code: keys, PIN and holds before any actor hears of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.passwords import Argon2Passwords
from penpay.domain.answers import ROUTE_WITHDRAWALS, answer_aad, key_hash_of
from penpay.domain.errors import Unavailable
from penpay.domain.money import usd
from penpay.http.rates import rate_rules
from penpay.messages import AcceptWithdrawal, CreateQuote, HttpAnswer, RequestWithdrawalCode
from tests.http.world import PASSWORD, Customer, Elsewhere, LostAnswer, World, login, signed_in

PIN = "480375"
OTHER_PIN = "274913"
CODE = "h7Kq2VbN"
QUOTE_ID = "01KAF0Z3T9V5N5W6H3C8Q2YB7D"
TWENTY = {"amount": {"amount": "20.00", "currency": "USD"}}
ACCEPTED = HttpAnswer(
    status=202,
    body=b'{"id":"01KAF0Z3T9V5N5W6H3C8Q2YB7D","odd":  "bytes"}',
    content_type="application/json; charset=utf-8",
    location="/api/v1/transactions/01KAF0Z3T9V5N5W6H3C8Q2YB7D",
)

REFUSED_FOR_NOW = HttpAnswer(
    status=503, body=b"{}", content_type="application/problem+json", retry_after_s=1, untouched=True
)


class Away:
    """A shared counter that cannot be reached."""

    def eval(self, *_: object) -> object:
        raise ConnectionError("redis is away")


@pytest.fixture
def edge_settings(edge_settings):
    """Guessing as fast as anybody likes: the PIN's own count must be enough."""
    generous = rate_rules(
        address_factor=1000,
        otp_resend_s=1,
        withdrawal_per_minute=1000,
        withdrawal_per_day=1000,
        otp_per_15_minutes=1000,
    )
    return type(edge_settings)(
        **{name: getattr(edge_settings, name) for name in edge_settings.__slots__} | {"rates": generous}
    )


@pytest.fixture
async def payee(world: World, customer: Customer) -> Customer:
    """A customer with a PIN, before an actor that accepts everything."""
    world.actors.answers[AcceptWithdrawal] = lambda _: ACCEPTED
    world.actors.answers[RequestWithdrawalCode] = lambda _: HttpAnswer(
        status=202, body=b"{}", content_type="application/json"
    )
    await set_pin(customer, PIN)
    return customer


async def set_pin(customer: Customer, pin: str) -> None:
    answer = await customer.call("PUT", "/me/pin", {"pin": pin, "password": PASSWORD})
    assert answer.status == 204, answer.raw


async def withdraw(customer: Customer, pin: str = PIN, *, key: str | None = "k-1", **other: object):
    body = {**TWENTY, "verification_code": CODE, "pin": pin, **other}
    headers = {} if key is None else {"Idempotency-Key": key}
    return await customer.call("POST", "/withdrawals", body, headers=headers)


def asked_withdrawals(world: World) -> list[AcceptWithdrawal]:
    return [message for _, message in world.actors.asked if isinstance(message, AcceptWithdrawal)]


def pin_row(module_database, customer: Customer) -> tuple[int, bool]:
    rows = module_database.rows(
        "SELECT pin_failures, pin_locked_until IS NOT NULL FROM {users}.users WHERE id = %s", (customer.id,)
    )
    return int(rows[0][0]), bool(rows[0][1])


class CountingPasswords:
    """The real ones, with a count of how many PINs were looked at."""

    def __init__(self, real: Argon2Passwords) -> None:
        self.real = real
        self.evaluated = 0
        self.full = False

    def __getattr__(self, name: str):
        return getattr(self.real, name)

    async def check_pin(self, user_id: str, stored: str, pin: str) -> bool:
        if self.full:
            raise Unavailable("hashing", retry_after_s=2.0)
        self.evaluated += 1
        return await self.real.check_pin(user_id, stored, pin)


@pytest.fixture
def counting(world: World) -> CountingPasswords:
    made = CountingPasswords(world.edge.passwords)
    object.__setattr__(world.edge, "passwords", made)
    return made


# --- what the actor gets ------------------------------------------------------------------------------------------


async def test_the_users_actor_gets_everything_that_admission_needs(world: World, payee: Customer):
    answer = await withdraw(payee)
    assert (answer.status, answer.raw) == (202, ACCEPTED.body)
    assert answer.headers["Location"] == ACCEPTED.location
    (address, asked) = world.actors.asked[-1]
    assert address == f"shards/{asked.customer.shard}/users/{payee.id}"
    assert asked.amount == usd(2_000)
    assert asked.quote_id == ""
    assert asked.verification_code == CODE
    assert asked.deriv_token == f"a1-CR{payee.phone[3:]}"
    assert asked.held_until is None
    assert (asked.route, asked.key_hash) == (ROUTE_WITHDRAWALS, key_hash_of("k-1"))
    assert asked.customer.phone == payee.phone
    for secret in (CODE, asked.deriv_token, PIN, payee.phone):
        assert secret not in repr(asked)


async def test_neither_pin_nor_code_enter_the_fingerprint(world: World, payee: Customer):
    await withdraw(payee)
    await set_pin(payee, OTHER_PIN)
    await withdraw(payee, OTHER_PIN, verification_code="anotherCode1")
    await withdraw(payee, OTHER_PIN, amount={"amount": "20.01", "currency": "USD"})
    first, second, third = (asked.fingerprint for asked in asked_withdrawals(world))
    assert first == second != third


async def test_a_quote_may_stand_for_the_amount(world: World, payee: Customer):
    body = {"quote_id": QUOTE_ID, "verification_code": CODE, "pin": PIN}
    assert (await payee.call("POST", "/withdrawals", body, headers={"Idempotency-Key": "q"})).status == 202
    assert asked_withdrawals(world)[-1].quote_id == QUOTE_ID
    assert asked_withdrawals(world)[-1].amount is None


async def test_without_a_deriv_link_the_actor_is_told_so(world: World):
    world.actors.answers[AcceptWithdrawal] = lambda _: ACCEPTED
    someone = await signed_in(world, linked=False)
    await set_pin(someone, PIN)
    await withdraw(someone)
    asked = asked_withdrawals(world)[-1]
    assert (asked.customer.deriv_loginid, asked.deriv_token) == ("", "")


# --- shape, before anything is counted ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": {"amount": "2490.00", "currency": "KES"}}, "amount.currency"),
        ({"amount": {"amount": "20", "currency": "USD"}}, "amount.amount"),
        ({"amount": {"amount": 20.0, "currency": "USD"}}, "amount.amount"),
        ({"amount": None}, "amount"),
        ({"quote_id": QUOTE_ID}, "amount"),
        ({"pin": "12345"}, "pin"),
        ({"pin": 480375}, "pin"),
        ({"pin": "٤٨٠٣٧٥"}, "pin"),
        ({"verification_code": ""}, "verification_code"),
        ({"verification_code": "short"}, "verification_code"),
        ({"verification_code": "h7Kq2VbN\n"}, "verification_code"),
        ({"phone": "254712345678"}, "phone"),
        ({"payee": "254712345678"}, "payee"),
    ],
)
async def test_every_field_refuses_what_it_is_not(
    world: World, payee: Customer, module_database, change: dict[str, object], field: str
):
    body = {**TWENTY, "verification_code": CODE, "pin": PIN, **change}
    answer = await payee.call("POST", "/withdrawals", body, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.fields == {field}
    assert asked_withdrawals(world) == []
    assert pin_row(module_database, payee) == (0, False)


@pytest.mark.parametrize(("key", "code"), [(None, "idempotency_key_missing"), ("two words", "idempotency_key_invalid")])
async def test_a_key_is_mandatory_and_costs_no_try(payee: Customer, module_database, key: str | None, code: str):
    answer = await withdraw(payee, "111222", key=key)
    assert (answer.status, answer.code) == (400, code)
    assert pin_row(module_database, payee) == (0, False)


async def test_nobody_withdraws_without_signing_in(world: World):
    body = {**TWENTY, "verification_code": CODE, "pin": PIN}
    assert (await world.call("POST", "/withdrawals", body, headers={"Idempotency-Key": "k"})).status == 401
    assert (await world.call("POST", "/withdrawals/code", TWENTY)).status == 401


async def test_a_quote_for_a_withdrawal_is_asked_in_dollars(world: World, customer: Customer):
    body = {"type": "WITHDRAWAL", "amount": {"amount": "2490.00", "currency": "KES"}}
    answer = await customer.call("POST", "/quotes", body)
    assert (answer.status, answer.fields) == (400, {"amount.currency"})
    assert not [message for _, message in world.actors.asked if isinstance(message, CreateQuote)]


# --- the PIN ------------------------------------------------------------------------------------------------------


async def test_without_a_pin_nothing_is_withdrawn(world: World, customer: Customer):
    answer = await withdraw(customer)
    assert (answer.status, answer.code) == (403, "pin_not_set")
    assert asked_withdrawals(world) == []


async def test_a_wrong_pin_is_counted_and_its_key_stays_good(world: World, payee: Customer, module_database):
    answer = await withdraw(payee, "480376")
    assert (answer.status, answer.code) == (403, "pin_wrong")
    assert "4 tries are left" in answer.body["detail"]
    assert pin_row(module_database, payee) == (1, False)
    assert asked_withdrawals(world) == []
    answers = module_database.rows("SELECT COUNT(*) FROM {ledger}.answers WHERE user_id = %s", (payee.id,))
    assert [int(count) for (count,) in answers] == [0]
    assert (await withdraw(payee)).status == 202
    assert pin_row(module_database, payee) == (0, False)


async def test_the_sixth_try_is_refused_even_with_the_right_pin(payee: Customer, module_database):
    for number in range(5):
        assert (await withdraw(payee, "480376", key=f"k{number}")).code == "pin_wrong"
    locked = await withdraw(payee, key="right")
    assert (locked.status, locked.code) == (423, "pin_locked")
    assert 86_000 < int(locked.headers["Retry-After"]) == locked.body["retry_after_s"] <= 86_400
    assert pin_row(module_database, payee) == (5, True)


async def test_the_lock_survives_a_flush_and_ends_after_a_day(world: World, payee: Customer, clock, module_database):
    for number in range(5):
        await withdraw(payee, "480376", key=f"k{number}")
    await world.edge.rate_limits._client.flushall()
    assert (await withdraw(payee)).status == 423
    clock.ahead = timedelta(hours=24, seconds=1)
    payee.access = (await login(world, payee.email, payee.device))["access_token"]
    assert (await withdraw(payee, "480376")).code == "pin_wrong"
    assert pin_row(module_database, payee) == (1, False)
    assert (await withdraw(payee)).status == 202


async def test_fifty_guesses_at_once_are_at_most_five(
    world: World, payee: Customer, counting: CountingPasswords, module_database
):
    wrong = [f"48{number:04d}" for number in range(1000, 1050)]
    answers = await asyncio.gather(*(withdraw(payee, pin, key=pin) for pin in wrong))
    assert counting.evaluated == 5
    assert sorted(answer.status for answer in answers) == [403] * 5 + [423] * 45
    assert pin_row(module_database, payee) == (5, True)
    assert (await withdraw(payee)).status == 423


async def test_one_key_for_all_guesses_counts_the_same(payee: Customer, counting: CountingPasswords):
    guesses = iter(range(1000, 1030))
    at_once = await asyncio.gather(*(withdraw(payee, f"48{next(guesses):04d}", key="one") for _ in range(20)))
    assert {answer.status for answer in at_once} <= {403, 409, 423}
    # What was refused because another one was running was not looked at.
    assert counting.evaluated == min(5, sum(answer.status == 403 for answer in at_once))
    assert {answer.code for answer in at_once if answer.status == 409} <= {"request_in_progress"}
    one_by_one = [await withdraw(payee, f"48{guess:04d}", key="one") for guess in guesses]
    assert counting.evaluated == 5
    assert {answer.status for answer in one_by_one} >= {423}


async def test_a_withdrawal_that_is_running_is_409_and_costs_no_try(world: World, payee: Customer, module_database):
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def decide(_: AcceptWithdrawal) -> HttpAnswer:
        begun.set()
        await goes_on.wait()
        return ACCEPTED

    world.actors.answers[AcceptWithdrawal] = decide
    first = asyncio.create_task(withdraw(payee))
    await begun.wait()
    for pin in (PIN, *["480376"] * 6):
        again = await withdraw(payee, pin)
        assert (again.status, again.code, again.headers["Retry-After"]) == (409, "request_in_progress", "1")
    goes_on.set()
    assert (await first).status == 202
    assert pin_row(module_database, payee) == (0, False)


async def test_a_try_that_no_lane_could_look_at_is_given_back(
    payee: Customer, counting: CountingPasswords, module_database
):
    counting.full = True
    for number in range(7):
        answer = await withdraw(payee, key=f"k{number}")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert pin_row(module_database, payee) == (0, False)
    counting.full = False
    assert (await withdraw(payee)).status == 202


async def test_a_try_given_back_after_others_were_counted_stays_counted(world: World, payee: Customer, module_database):
    at = world.edge.clock.now()
    first = await world.edge.pins.begin_try(payee.id, at=at)
    await world.edge.pins.begin_try(payee.id, at=at)
    await world.edge.pins.give_back(payee.id, first, at=at)
    assert pin_row(module_database, payee) == (2, False)


async def test_a_pin_proven_right_does_not_clear_the_count_of_its_successor(
    world: World, payee: Customer, module_database
):
    at = world.edge.clock.now()
    old = await world.edge.pins.begin_try(payee.id, at=at)
    await set_pin(payee, OTHER_PIN)
    await withdraw(payee, PIN)
    await world.edge.pins.passed(payee.id, old, at=at)
    assert pin_row(module_database, payee) == (1, False)


# --- repeated requests --------------------------------------------------------------------------------------------


def store_answer(world: World, module_database, asked: AcceptWithdrawal, body: bytes) -> None:
    sealed = world.edge.sealer.seal(
        body,
        aad=answer_aad(asked.route, asked.key_hash),
        user_id=asked.customer.user_id,
        data_key=asked.customer.data_key,
    )
    module_database.rows(
        "INSERT INTO {ledger}.answers VALUES"
        " (%s, %s, %s, %s, 202, '/api/v1/transactions/x', 'application/json', %s, '', 'u', NOW(6))",
        (asked.customer.user_id, asked.route, asked.key_hash, asked.fingerprint, sealed),
    )


async def test_a_repeated_answer_costs_no_try_and_asks_nobody(world: World, payee: Customer, module_database):
    await withdraw(payee)
    store_answer(world, module_database, asked_withdrawals(world)[0], b'{"id": "stored"}')
    for pin in (PIN, *["480376"] * 6):
        again = await withdraw(payee, pin)
        assert (again.status, again.raw) == (202, b'{"id": "stored"}')
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers["Location"] == "/api/v1/transactions/x"
    assert len(asked_withdrawals(world)) == 1
    assert pin_row(module_database, payee) == (0, False)


async def test_a_used_key_with_another_amount_is_refused_before_the_pin(world: World, payee: Customer, module_database):
    await withdraw(payee)
    store_answer(world, module_database, asked_withdrawals(world)[0], b"{}")
    answer = await withdraw(payee, "480376", amount={"amount": "21.00", "currency": "USD"})
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert pin_row(module_database, payee) == (0, False)


async def test_an_answer_that_got_lost_is_read_again_byte_for_byte(world: World, payee: Customer, module_database):
    def recorded_but_lost(asked: AcceptWithdrawal) -> Exception:
        store_answer(world, module_database, asked, b'{"id": "stored"}')
        return LostAnswer()

    world.actors.answers[AcceptWithdrawal] = recorded_but_lost
    answer = await withdraw(payee)
    assert (answer.status, answer.raw) == (202, b'{"id": "stored"}')


async def test_nothing_recorded_and_no_answer_is_503(world: World, payee: Customer):
    world.actors.answers[AcceptWithdrawal] = lambda _: LostAnswer()
    answer = await withdraw(payee)
    assert (answer.status, answer.code) == (503, "outcome_unknown")
    assert int(answer.headers["Retry-After"]) > 0


# --- holds --------------------------------------------------------------------------------------------------------


async def held_until(customer: Customer) -> datetime | None:
    text = (await customer.call("GET", "/me")).body["withdrawals_held_until"]
    return datetime.fromisoformat(text) if text else None


def is_a_day_away(until: datetime | None) -> bool:
    return until is not None and timedelta(hours=23, minutes=55) < until - datetime.now(UTC) <= timedelta(hours=24)


async def test_the_first_pin_holds_nothing(world: World, payee: Customer):
    assert await held_until(payee) is None
    await withdraw(payee)
    assert asked_withdrawals(world)[-1].held_until is None


async def test_a_changed_pin_holds_withdrawals_for_a_day(world: World, payee: Customer, clock):
    await set_pin(payee, OTHER_PIN)
    assert is_a_day_away(await held_until(payee))
    await withdraw(payee, OTHER_PIN)
    assert is_a_day_away(asked_withdrawals(world)[-1].held_until)
    clock.ahead = timedelta(hours=24, seconds=1)
    payee.access = (await login(world, payee.email, payee.device))["access_token"]
    assert await held_until(payee) is None
    await withdraw(payee, OTHER_PIN, key="later")
    assert asked_withdrawals(world)[-1].held_until is None


async def test_the_same_statement_twice_is_no_change(world: World, payee: Customer, module_database):
    stored = module_database.rows("SELECT pin_hash FROM {users}.users WHERE id = %s", (payee.id,))[0][0]
    at = world.edge.clock.now()
    await world.edge.pins.set_pin(
        payee.id, str(stored), held_until=at + timedelta(days=1), notice_id=world.edge.ids.ulid(), at=at
    )
    assert await held_until(payee) is None


async def test_another_device_holds_withdrawals_and_a_known_one_does_not(world: World, payee: Customer, clock):
    payee.access = (await login(world, payee.email, payee.device))["access_token"]
    assert await held_until(payee) is None
    payee.access = (await login(world, payee.email, "new-phone"))["access_token"]
    assert is_a_day_away(await held_until(payee))
    clock.ahead = timedelta(hours=24, seconds=1)
    payee.access = (await login(world, payee.email, "new-phone"))["access_token"]
    assert await held_until(payee) is None


async def test_a_hold_is_never_shortened(world: World, payee: Customer, module_database):
    module_database.rows(
        "UPDATE {users}.users SET withdrawals_held_until = NOW(6) + INTERVAL 9 DAY WHERE id = %s", (payee.id,)
    )
    await set_pin(payee, OTHER_PIN)
    until = await held_until(payee)
    assert until is not None
    assert until - datetime.now(UTC) > timedelta(days=8)


async def test_a_pin_that_stands_in_the_phone_number_is_refused(payee: Customer):
    answer = await payee.call("PUT", "/me/pin", {"pin": payee.phone[3:9], "password": PASSWORD})
    assert (answer.status, answer.fields) == (400, {"pin"})


# --- the code -----------------------------------------------------------------------------------------------------


async def test_a_code_needs_no_key_and_goes_to_derivs_address(world: World, payee: Customer):
    answer = await payee.call("POST", "/withdrawals/code", TWENTY)
    assert answer.status == 202
    (address, asked) = world.actors.asked[-1]
    assert address.endswith(f"/users/{payee.id}")
    assert (asked.amount, asked.quote_id) == (usd(2_000), "")
    assert asked.deriv_token == f"a1-CR{payee.phone[3:]}"
    assert asked.email == payee.email
    assert payee.email not in repr(asked)


async def test_when_deriv_wants_a_pause_the_customer_hears_how_long(world: World, payee: Customer):
    world.actors.answers[RequestWithdrawalCode] = lambda _: HttpAnswer(
        status=429, body=b"{}", content_type="application/problem+json", retry_after_s=37
    )
    answer = await payee.call("POST", "/withdrawals/code", TWENTY)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "37")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "amount"),
        ({**TWENTY, "quote_id": QUOTE_ID}, "amount"),
        ({**TWENTY, "pin": PIN}, "pin"),
        ({"amount": {"amount": "2490.00", "currency": "KES"}}, "amount.currency"),
    ],
)
async def test_a_code_is_asked_for_one_amount_in_dollars(payee: Customer, body: object, field: str):
    answer = await payee.call("POST", "/withdrawals/code", body)
    assert (answer.status, answer.fields) == (400, {field})


async def test_a_code_whose_answer_got_lost_may_be_on_its_way(world: World, payee: Customer):
    world.actors.answers[RequestWithdrawalCode] = lambda _: LostAnswer()
    answer = await payee.call("POST", "/withdrawals/code", TWENTY)
    assert (answer.status, answer.code) == (503, "outcome_unknown")


class TestUsualLimits:
    @pytest.fixture
    def edge_settings(self, edge_settings):
        usual = rate_rules(address_factor=1000, otp_resend_s=1)
        return type(edge_settings)(
            **{name: getattr(edge_settings, name) for name in edge_settings.__slots__} | {"rates": usual}
        )

    async def test_three_withdrawals_a_minute_and_repetitions_are_free(self, payee: Customer):
        for _ in range(5):
            assert (await withdraw(payee, key="same")).status == 202
        statuses = [(await withdraw(payee, key=f"other-{n}")).status for n in range(3)]
        assert statuses == [202, 202, 429]

    async def test_codes_are_limited_too(self, payee: Customer):
        statuses = [(await payee.call("POST", "/withdrawals/code", TWENTY)).status for _ in range(6)]
        assert statuses == [202] * 5 + [429]

    @pytest.mark.parametrize("alone", [False, True])
    @pytest.mark.parametrize("refused", [REFUSED_FOR_NOW, Elsewhere("shard")])
    async def test_what_is_refused_for_now_before_deriv_is_asked_costs_nothing(
        self, world: World, payee: Customer, refused: object, alone: bool
    ):
        if alone:
            world.edge.rate_limits._client = Away()
        usual = world.actors.answers[RequestWithdrawalCode]
        world.actors.answers[RequestWithdrawalCode] = lambda _: refused
        statuses = [(await payee.call("POST", "/withdrawals/code", TWENTY)).status for _ in range(7)]
        assert statuses == [503] * 7
        world.actors.answers[RequestWithdrawalCode] = usual
        statuses = [(await payee.call("POST", "/withdrawals/code", TWENTY)).status for _ in range(6)]
        assert statuses == [202] * 5 + [429]

    @pytest.mark.parametrize("lost", [LostAnswer(), replace(REFUSED_FOR_NOW, untouched=False)])
    async def test_a_code_that_may_be_on_its_way_counts(self, world: World, payee: Customer, lost: object):
        world.actors.answers[RequestWithdrawalCode] = lambda _: lost
        statuses = [(await payee.call("POST", "/withdrawals/code", TWENTY)).status for _ in range(6)]
        assert statuses == [503] * 5 + [429]

    async def test_many_at_once_are_let_through_no_more_than_one_after_the_other(self, world: World, payee: Customer):
        """What is refused for now is counted until it is answered."""
        free = asyncio.Event()

        async def refused() -> HttpAnswer:
            await free.wait()
            return REFUSED_FOR_NOW

        world.actors.answers[RequestWithdrawalCode] = lambda _: refused()
        calls = [asyncio.create_task(payee.call("POST", "/withdrawals/code", TWENTY)) for _ in range(8)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        while len(waiting) > 5:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert [one.result().status for one in done] == [429] * 3
        free.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [503] * 5

    async def test_a_withdrawal_that_is_refused_for_now_costs_nothing(self, world: World, payee: Customer):
        usual = world.actors.answers[AcceptWithdrawal]
        world.actors.answers[AcceptWithdrawal] = lambda _: REFUSED_FOR_NOW
        assert [(await withdraw(payee, key=f"away-{n}")).status for n in range(5)] == [503] * 5
        world.actors.answers[AcceptWithdrawal] = lambda _: replace(REFUSED_FOR_NOW, untouched=False)
        assert (await withdraw(payee, key="unknown")).status == 503
        world.actors.answers[AcceptWithdrawal] = usual
        statuses = [(await withdraw(payee, key=f"other-{n}")).status for n in range(3)]
        assert statuses == [202, 202, 429], "an unknown outcome counts"


async def test_a_crash_costs_a_try_only_to_those_who_are_being_checked(world: World, payee: Customer, module_database):
    async with world.edge.passwords.pin_turn(), world.edge.passwords.pin_turn():
        waiting = asyncio.create_task(withdraw(payee))
        async with asyncio.timeout(10):
            while world.edge.passwords._pins._queued < 3:
                await asyncio.sleep(0.01)
        assert pin_row(module_database, payee) == (0, False), "not counted while others are before it"
    assert (await waiting).status == 202
