"""Registering, codes, sessions and PINs, through the API."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from penpay.adapters.identity_store import MySqlIdentities
from penpay.adapters.password_store import MySqlPasswordChanges
from penpay.domain.errors import Unavailable
from penpay.http.edge import EdgeSettings
from penpay.http.rates import rate_rules
from tests.http.world import PASSWORD, Answer, Customer, MovedClock, World, login, new_phone, signed_in


def registration(phone: str, **other: object) -> dict[str, object]:
    return {
        "email": f"r{phone}@example.com",
        "phone": phone,
        "password": PASSWORD,
        "full_name": "Achieng Otieno",
    } | other


async def test_a_registration_answers_masked_and_sends_a_code(world: World):
    phone = new_phone()
    answer = await world.call("POST", "/auth/register", registration("0" + phone[3:], email="R.First@Example.com"))
    assert answer.status == 201
    assert answer.body["phone"] == f"2547****{phone[-3:]}"
    assert answer.body["email"] == "r.first@example.com"
    assert answer.body["verification"].keys() == {"sent_to", "expires_at", "resend_at"}
    assert phone not in answer.raw.decode()
    assert world.actors.told[-1][1].to == phone


async def test_a_known_address_is_answered_like_a_new_one(world: World, customer: Customer):
    phone = new_phone()
    answer = await world.call("POST", "/auth/register", registration(phone, email=customer.email))
    assert answer.status == 201
    assert answer.body.keys() == {"email", "phone", "verification"}
    code = world.actors.last_code()
    refused = await world.call("POST", "/auth/phone/verify", {"phone": phone, "code": code})
    assert (refused.status, refused.code) == (400, "code_invalid")
    await login(world, customer.email, customer.device)


async def test_an_address_that_nobody_verified_is_free_for_who_comes_next(world: World, module_database):
    stranger, owner = new_phone(), new_phone()
    email = f"owner{owner}@example.com"
    await world.call("POST", "/auth/register", registration(stranger, email=email, password="a stranger's sentence"))
    strangers_code = world.actors.last_code()
    device = {"id": "x", "name": "X", "platform": "web"}
    signing_in = {"email": email, "password": "a stranger's sentence", "device": device}
    session = (await world.call("POST", "/auth/login", signing_in)).body
    assert (await world.call("POST", "/auth/register", registration(owner, email=email))).status == 201
    verify = {"phone": owner, "code": world.actors.last_code()}
    assert (await world.call("POST", "/auth/phone/verify", verify)).status == 200
    await login(world, email, "first")
    # Nothing of the earlier registration is left: neither its password, nor its session, nor its code.
    assert (await world.call("POST", "/auth/login", signing_in)).status == 401
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    assert (await world.call("GET", "/me", headers=headers)).status == 401
    late = await world.call("POST", "/auth/phone/verify", {"phone": stranger, "code": strangers_code})
    assert late.code == "code_invalid"
    # From now on the address is taken.
    await world.call("POST", "/auth/register", registration(new_phone(), email=email))
    await login(world, email, "first")


async def test_personal_fields_are_nowhere_in_the_rows(world: World, module_database):
    someone = await signed_in(world, name="Unmistakable Surname")
    dump = repr(module_database.rows("SELECT * FROM {users}.users JOIN {users}.deriv_links ON user_id = id"))
    for secret in (someone.phone, someone.email, "Unmistakable", PASSWORD, "a1-CR"):
        assert secret not in dump
        assert secret.encode().hex() not in dump


async def test_a_code_stops_working_after_five_wrong_ones(world: World):
    phone = new_phone()
    await world.call("POST", "/auth/register", registration(phone))
    code = world.actors.last_code()
    wrong = "000000" if code != "000000" else "111111"
    # The limit per phone would answer first; the count in the database must hold without it.
    results = [await verify_uncounted(world, phone, wrong) for _ in range(5)]
    assert results == ["wrong"] * 5
    assert await verify_uncounted(world, phone, code) == "wrong"


async def verify_uncounted(world: World, phone: str, code: str) -> str:
    edge = world.edge
    code_hash = edge.sealer.blind_index(f"code|{phone}|{code}")
    return (await edge.accounts.verify_phone(phone, code_hash=code_hash, at=edge.clock.now())).value


async def test_guessing_codes_is_limited_per_phone(world: World):
    phone = new_phone()
    answers = [await world.call("POST", "/auth/phone/verify", {"phone": phone, "code": "123456"}) for _ in range(6)]
    assert [answer.status for answer in answers] == [400] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_an_old_code_does_not_work(world: World, clock):
    phone = new_phone()
    await world.call("POST", "/auth/register", registration(phone))
    code = world.actors.last_code()
    clock.ahead = timedelta(minutes=11)
    answer = await world.call("POST", "/auth/phone/verify", {"phone": phone, "code": code})
    assert answer.code == "code_invalid"


async def test_another_code_replaces_the_first(world: World, clock):
    phone = new_phone()
    await world.call("POST", "/auth/register", registration(phone))
    first = world.actors.last_code()
    clock.ahead = timedelta(seconds=61)
    assert (await world.call("POST", "/auth/phone/resend", {"phone": phone})).status == 202
    second = world.actors.last_code()
    if first != second:
        assert (await world.call("POST", "/auth/phone/verify", {"phone": phone, "code": first})).status == 400
    assert (await world.call("POST", "/auth/phone/verify", {"phone": phone, "code": second})).status == 200


class TestWithUsualPauses:
    """A minute between two codes; the day's codes are few, so that the test meets their end."""

    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, rates=rate_rules(address_factor=1000, otp_per_day=3))

    async def test_who_waits_until_resend_at_gets_a_code(self, world: World, clock: MovedClock):
        phone, began_at = new_phone(), clock.now()
        answer = await world.call("POST", "/auth/register", registration(phone))
        for code in range(1, 6):
            assert len(world.actors.told) == code
            early = [await world.call("POST", "/auth/phone/resend", {"phone": phone}) for _ in range(5)]
            assert {one.status for one in early} == {429}
            wait_until(clock, answer)
            answer = await world.call("POST", "/auth/phone/resend", {"phone": phone})
            assert answer.status == 202
        assert timedelta(days=1) <= clock.now() - began_at < timedelta(days=1, minutes=5)

    async def test_who_comes_again_after_retry_after_gets_a_code(self, world: World, clock: MovedClock):
        phone = new_phone()
        await world.call("POST", "/auth/register", registration(phone))
        for code in range(1, 5):
            assert len(world.actors.told) == code
            early = await world.call("POST", "/auth/phone/resend", {"phone": phone})
            clock.ahead += timedelta(seconds=int(early.headers["Retry-After"]))
            assert (await world.call("POST", "/auth/phone/resend", {"phone": phone})).status == 202

    async def test_a_registration_that_is_repeated_answers_the_same_and_sends_nothing(self, world: World, clock):
        phone = new_phone()
        first, *others = [await world.call("POST", "/auth/register", registration(phone)) for _ in range(5)]
        code = world.actors.last_code()
        assert len(world.actors.told) == 1
        assert {one.status for one in (first, *others)} == {201}
        assert {one.raw.count(b'"') for one in others} == {first.raw.count(b'"')}
        # The code that went out works, and the time that each of them named is true.
        clock.ahead += timedelta(seconds=30)
        late = await world.call("POST", "/auth/register", registration(phone))
        wait_until(clock, late)
        assert (await world.call("POST", "/auth/phone/resend", {"phone": phone})).status == 202
        assert len(world.actors.told) == 2
        assert (await world.call("POST", "/auth/phone/verify", {"phone": phone, "code": code})).status == 400
        verify = {"phone": phone, "code": world.actors.last_code()}
        assert (await world.call("POST", "/auth/phone/verify", verify)).status == 200

    async def test_an_account_that_got_no_code_gets_one_at_resend_at(self, world: World, clock: MovedClock):
        phone = new_phone()
        await world.call("POST", "/auth/register", registration(phone, email="mistyped@example.com"))
        clock.ahead += timedelta(seconds=20)
        again = await world.call("POST", "/auth/register", registration(phone))
        assert (again.status, len(world.actors.told)) == (201, 1)
        wait_until(clock, again)
        assert (await world.call("POST", "/auth/phone/resend", {"phone": phone})).status == 202
        verify = {"phone": phone, "code": world.actors.last_code()}
        assert (await world.call("POST", "/auth/phone/verify", verify)).status == 200
        await login(world, registration(phone)["email"], "device")

    async def test_a_number_that_had_the_days_codes_is_answered_like_any_other(self, world: World, clock: MovedClock):
        phone = new_phone()
        for number in range(6):
            answer = await world.call(
                "POST", "/auth/register", registration(phone, email=f"{number}{phone}@example.com")
            )
            assert answer.status == 201
            clock.ahead += timedelta(minutes=2)
        assert len(world.actors.told) == 3
        wait_until(clock, answer)
        assert (await world.call("POST", "/auth/phone/resend", {"phone": phone})).status == 202


class TestWithFewRegistrations:
    """Four an hour from one address, two codes an hour for everybody."""

    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, rates=rate_rules(register_per_hour_address=4, otp_per_hour_all=2))

    async def test_all_codes_and_the_callers_own_address_refuse_one(self, world: World, clock: MovedClock):
        async def register(phone: str) -> Answer:
            return await world.call("POST", "/auth/register", registration(phone))

        phone = new_phone()
        assert [(await register(one)).status for one in (phone, new_phone())] == [201, 201]
        # What is refused for all codes counts for nobody, what is answered without a code counts for its address.
        assert {(await register(new_phone())).code for _ in range(5)} == {"rate_limited"}
        clock.ahead += timedelta(minutes=59)
        assert {(await register(new_phone())).code for _ in range(5)} == {"rate_limited"}
        clock.ahead += timedelta(minutes=2)
        assert [(await register(phone)).status for _ in range(5)] == [201, 201, 201, 201, 429]
        assert len(world.actors.told) == 3


class TestWithTheUsualLimits:
    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, rates=rate_rules())

    async def test_what_the_database_kept_from_being_sent_costs_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ):
        phone, email = new_phone(), "achieng@example.com"
        calls: dict[str, dict[str, object]] = {
            "/auth/register": registration(phone),
            "/auth/phone/resend": {"phone": phone},
            "/auth/password/forgot": {"email": email},
        }

        async def away(*_: object) -> None:
            raise Unavailable("database")

        for _ in range(4):
            for path, body in calls.items():
                with monkeypatch.context() as broken:
                    broken.setattr(MySqlIdentities, "register", away)
                    broken.setattr(MySqlIdentities, "renew_phone_code", away)
                    broken.setattr(MySqlPasswordChanges, "ask_reset", away)
                    assert (await world.call("POST", path, body)).status == 503, path
        assert [(await world.call("POST", path, body)).status for path, body in calls.items()] == [201, 429, 202]

    async def test_a_guess_counts_whatever_the_database_did_with_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ):
        async def away(*_: object, **__: object) -> None:
            raise Unavailable("database")

        monkeypatch.setattr(MySqlIdentities, "verify_phone", away)
        guess = {"phone": new_phone(), "code": "000000"}
        statuses = [(await world.call("POST", "/auth/phone/verify", guess)).status for _ in range(6)]
        assert statuses == [503] * 5 + [429]


def wait_until(clock: MovedClock, answer: Answer) -> None:
    """Turn the clock to the `resend_at` of this answer."""
    told = answer.body.get("verification", answer.body)["resend_at"]
    clock.ahead += datetime.fromisoformat(told) - clock.now()


async def test_resending_to_an_unknown_phone_answers_the_same_and_sends_nothing(world: World):
    answer = await world.call("POST", "/auth/phone/resend", {"phone": new_phone()})
    assert answer.status == 202
    assert answer.body.keys() == {"sent_to", "expires_at", "resend_at"}
    assert world.actors.told == []


async def test_a_verified_phone_belongs_to_one_account(world: World, customer: Customer, clock):
    clock.ahead = timedelta(seconds=5)
    answer = await world.call("POST", "/auth/register", registration(customer.phone, email="second@example.com"))
    assert answer.status == 201
    verify = {"phone": customer.phone, "code": world.actors.last_code()}
    taken = await world.call("POST", "/auth/phone/verify", verify)
    assert (taken.status, taken.code) == (409, "phone_taken")


async def test_a_wrong_password_and_an_unknown_address_look_alike(world: World, customer: Customer):
    device = {"id": "x", "name": "X", "platform": "web"}
    body = {"email": customer.email, "password": "nonsense", "device": device}
    wrong = await world.call("POST", "/auth/login", body)
    unknown = await world.call(
        "POST", "/auth/login", {"email": "n@example.com", "password": "nonsense", "device": device}
    )
    assert wrong.status == unknown.status == 401
    assert wrong.body == unknown.body


async def test_sign_in_is_limited_per_account(world: World, customer: Customer):
    device = {"id": "x", "name": "X", "platform": "web"}
    body = {"email": customer.email, "password": "nonsense", "device": device}
    answers = [await world.call("POST", "/auth/login", body) for _ in range(5)]
    assert answers[-1].code == "rate_limited"
    assert [answer.status for answer in answers[:4]] == [401] * 4


async def test_a_third_device_is_refused_until_one_signs_out(world: World, customer: Customer):
    second = await login(world, customer.email, "second")
    device = {"id": "third", "name": "X", "platform": "ios"}
    body = {"email": customer.email, "password": PASSWORD, "device": device}
    assert (await world.call("POST", "/auth/login", body)).code == "device_limit"
    logout = {"refresh_token": second["refresh_token"], "device_id": "second"}
    assert (await world.call("POST", "/auth/logout", logout)).status == 204
    assert (await world.call("POST", "/auth/login", body)).status == 200


async def test_signing_out_ends_the_access_token_at_once(world: World, customer: Customer):
    assert (await customer.call("GET", "/me")).status == 200
    logout = {"refresh_token": customer.refresh, "device_id": customer.device, "everywhere": True}
    assert (await world.call("POST", "/auth/logout", logout)).status == 204
    answer = await customer.call("GET", "/me")
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert "WWW-Authenticate" in answer.headers


async def test_a_spent_refresh_token_ends_the_session(world: World, customer: Customer, clock):
    body = {"refresh_token": customer.refresh, "device_id": customer.device}
    first = await world.call("POST", "/auth/refresh", body)
    assert first.status == 200
    clock.ahead = timedelta(seconds=11)
    assert (await world.call("POST", "/auth/refresh", body)).code == "refresh_invalid"
    successor = {"refresh_token": first.body["refresh_token"], "device_id": customer.device}
    assert (await world.call("POST", "/auth/refresh", successor)).code == "refresh_invalid"


async def test_twenty_parallel_refreshes_have_one_successor(world: World, customer: Customer):
    body = {"refresh_token": customer.refresh, "device_id": customer.device}
    answers = await asyncio.gather(*(world.call("POST", "/auth/refresh", body) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["refresh_token"] for answer in answers}) == 1


async def test_a_refresh_token_moved_to_another_device_ends_the_session(world: World, customer: Customer):
    moved = {"refresh_token": customer.refresh, "device_id": "thief"}
    assert (await world.call("POST", "/auth/refresh", moved)).status == 401
    own = {"refresh_token": customer.refresh, "device_id": customer.device}
    assert (await world.call("POST", "/auth/refresh", own)).status == 401


async def test_a_web_client_gets_its_refresh_token_as_a_cookie_only(world: World, customer: Customer):
    device = {"id": customer.device, "name": "Browser", "platform": "web"}
    body = {"email": customer.email, "password": PASSWORD, "device": device, "refresh_in": "cookie"}
    answer = await world.call("POST", "/auth/login", body)
    assert "refresh_token" not in answer.body
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    refreshed = await world.call(
        "POST", "/auth/refresh", {"device_id": customer.device}, headers={"Cookie": f"penpay_refresh={value}"}
    )
    assert refreshed.status == 200
    assert "refresh_token" not in refreshed.body


async def test_a_pin_needs_the_password_and_is_not_a_run(customer: Customer):
    assert (await customer.call("PUT", "/me/pin", {"pin": "123456", "password": PASSWORD})).fields == {"pin"}
    assert (await customer.call("PUT", "/me/pin", {"pin": "480375", "password": "wrong"})).code == "password_wrong"
    assert (await customer.call("PUT", "/me/pin", {"pin": "480375", "password": PASSWORD})).status == 204
    assert (await customer.call("GET", "/me")).body["pin_set"] is True


async def test_sign_in_is_closed_while_the_shared_counter_is_away(world: World, customer: Customer):
    class Away:
        def eval(self, *_: object):
            raise ConnectionError("redis is away")

    world.edge.rate_limits._client = Away()
    device = {"id": "x", "name": "X", "platform": "web"}
    body = {"email": customer.email, "password": PASSWORD, "device": device}
    answer = await world.call("POST", "/auth/login", body)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    # Reads are counted in this process meanwhile.
    assert (await customer.call("GET", "/me")).status == 200


@pytest.mark.parametrize(
    "name",
    [
        *("   ", "\u00a0\u2003", "Wanjiku\u202eumak", "\u2067xy", "A\nB", "<b>Li</b>", "x\x7fy"),
        *("\u200b\ufeff", "\u2060\u00ad", "\u061c\U000e0041", "\u3164\u3164", "\ue000\ue001", "\u0378\u0379"),
        *(
            "12",
            "--",
            "Wan\u200bjiku",
            "Wan\u00adjiku",
            "Wanjiku\u200d",
            "\u200cWanjiku",
            "A \u200dB",
            "A\u200c\u200dB",
        ),
    ],
)
async def test_a_name_that_nobody_could_read_is_none(world: World, name: str):
    answer = await world.call("POST", "/auth/register", registration(new_phone(), full_name=name))
    assert (answer.status, answer.fields) == (400, {"full_name"})


JOINED = ("\u0645\u06cc\u200c\u0631\u0648\u062f", "\u0dc1\u0dca\u200d\u0dbb\u0dd3")
"""A Persian word with a joiner between two letters, and a Sinhala one with it behind a letter's mark."""


@pytest.mark.parametrize("name", ["José Ñandú", "N'gang'a wa Thiong'o", "أشينج أوتينو", "Li", "M. K.-Otieno", *JOINED])
async def test_a_name_of_any_script_is_one(world: World, name: str):
    assert (await world.call("POST", "/auth/register", registration(new_phone(), full_name=name))).status == 201
