"""S26: while Redis is away nobody guesses passwords, codes or PINs, and money is bounded by the database."""

import asyncio

import pytest

from penpay.messages import AcceptWithdrawal, HttpAnswer
from tests.http.world import PASSWORD, Customer, World, new_phone

PIN = "480375"


class Away:
    """A shared counter that cannot be reached."""

    def eval(self, *_: object) -> object:
        raise ConnectionError("redis is away")


@pytest.fixture
async def payee(world: World, customer: Customer) -> Customer:
    assert (await customer.call("PUT", "/me/pin", {"pin": PIN, "password": PASSWORD})).status == 204
    paid = HttpAnswer(status=202, body=b"{}", content_type="application/json")
    world.actors.answers[AcceptWithdrawal] = lambda _: paid
    world.edge.rate_limits._client = Away()
    return customer


async def test_a_hundred_guesses_of_a_pin_are_five(world: World, payee: Customer, monkeypatch):
    judged = 0
    check = world.edge.passwords.check_pin

    async def counted(user_id: str, stored: str, pin: str) -> bool:
        nonlocal judged
        judged += 1
        return await check(user_id, stored, pin)

    monkeypatch.setattr(world.edge.passwords, "check_pin", counted)

    async def guess(number: int) -> int:
        body = {
            "amount": {"amount": "20.00", "currency": "USD"},
            "verification_code": "abcdefgh",
            "pin": f"{number:06d}",
        }
        return (await payee.call("POST", "/withdrawals", body, headers={"Idempotency-Key": f"k{number}"})).status

    statuses = await asyncio.gather(*(guess(number) for number in range(100)))
    assert judged <= 5
    assert 202 not in statuses
    assert set(statuses) <= {403, 423, 429}


async def test_the_process_counts_withdrawals_by_itself(payee: Customer):
    body = {"amount": {"amount": "20.00", "currency": "USD"}, "verification_code": "abcdefgh", "pin": PIN}
    statuses = [
        (await payee.call("POST", "/withdrawals", body, headers={"Idempotency-Key": f"w{n}"})).status for n in range(5)
    ]
    assert statuses == [202] * 3 + [429] * 2


async def test_whatever_could_be_guessed_is_closed(world: World, payee: Customer):
    device = {"id": payee.device, "name": "X", "platform": "web"}
    closed = (
        ("/auth/login", {"email": payee.email, "password": PASSWORD, "device": device}),
        ("/auth/phone/verify", {"phone": payee.phone, "code": "123456"}),
        ("/auth/phone/resend", {"phone": payee.phone}),
        ("/auth/password/forgot", {"email": payee.email}),
        ("/auth/password/reset", {"email": payee.email, "code": "123456", "password": "a different sentence"}),
        (
            "/auth/register",
            {"email": "n@example.com", "phone": new_phone(), "password": PASSWORD, "full_name": "Achieng Otieno"},
        ),
    )
    for path, body in closed:
        answer = await world.call("POST", path, body)
        assert (answer.status, answer.code) == (503, "unavailable"), path
        assert "Retry-After" in answer.headers
    for path, body in (
        ("/me/pin", {"pin": "715926", "password": PASSWORD}),
        ("/me/password", {"password": PASSWORD, "new_password": "a different sentence"}),
    ):
        assert (await payee.call("PUT", path, body)).status == 503, path
    assert (await payee.call("GET", "/me")).status == 200
