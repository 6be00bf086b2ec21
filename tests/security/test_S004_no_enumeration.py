"""S4: nothing tells whether an address or a phone is known: neither text, nor status, nor the work that is done.

Times are not measured: the same hashes and the same statements, in the same order, are what makes them equal.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.http.edge import EdgeSettings
from tests.http.world import Answer, Customer, World, new_phone
from tests.security.work import Work, work_done

DEVICE = {"id": "x", "name": "X", "platform": "web"}
PASSWORD = "a sentence of some length"


async def both(world: World, monkeypatch, path: str, known: dict, unknown: dict) -> tuple[list[Answer], list[Work]]:
    """The same request about somebody and about nobody."""
    answers, works = [], []
    for body in (known, unknown):
        with work_done(monkeypatch) as work:
            answers.append(await world.call("POST", path, body))
        works.append(work)
    return answers, works


def alike(answers: list[Answer], works: list[Work], *, but: tuple[str, ...] = ()) -> None:
    known, unknown = answers
    assert known.status == unknown.status
    bodies = [{key: value for key, value in (one.body or {}).items() if key not in but} for one in answers]
    assert bodies[0] == bodies[1]
    assert known.headers.keys() == unknown.headers.keys()
    assert works[0].done == works[1].done
    assert works[0].done


async def test_signing_in(world: World, customer: Customer, monkeypatch):
    body = {"email": customer.email, "password": "nonsense", "device": DEVICE}
    answers, works = await both(world, monkeypatch, "/auth/login", body, {**body, "email": "nobody@example.com"})
    alike(answers, works)
    assert works[0].hashes == 1


async def test_registering(world: World, customer: Customer, monkeypatch):
    body = {"email": customer.email, "phone": new_phone(), "password": PASSWORD, "full_name": "Achieng Otieno"}
    other = {**body, "email": "fresh@example.com", "phone": new_phone()}
    answers, works = await both(world, monkeypatch, "/auth/register", body, other)
    alike(answers, works, but=("email", "phone", "verification"))
    assert works[0].hashes == 1
    assert [one.body["verification"].keys() for one in answers] == [{"sent_to", "expires_at", "resend_at"}] * 2


async def test_registering_a_known_phone(world: World, customer: Customer, monkeypatch, clock):
    clock.ahead = timedelta(seconds=5)
    body = {"email": "one@example.com", "phone": customer.phone, "password": PASSWORD, "full_name": "Achieng Otieno"}
    other = {**body, "email": "two@example.com", "phone": new_phone()}
    answers, works = await both(world, monkeypatch, "/auth/register", body, other)
    alike(answers, works, but=("email", "phone", "verification"))


@pytest.mark.parametrize("verified", [True, False])
async def test_a_wrong_code_for_a_phone(world: World, customer: Customer, monkeypatch, *, verified: bool):
    phone = customer.phone
    if not verified:
        phone = new_phone()
        body = {"email": f"w{phone}@example.com", "phone": phone, "password": PASSWORD, "full_name": "Achieng Otieno"}
        await world.call("POST", "/auth/register", body)
    code = "000000" if world.actors.last_code() != "000000" else "111111"
    known, unknown = ({"phone": one, "code": code} for one in (phone, new_phone()))
    alike(*await both(world, monkeypatch, "/auth/phone/verify", known, unknown))


async def test_another_code_for_a_phone(world: World, customer: Customer, monkeypatch, clock):
    clock.ahead = timedelta(seconds=5)
    known, unknown = ({"phone": one} for one in (customer.phone, new_phone()))
    answers, works = await both(world, monkeypatch, "/auth/phone/resend", known, unknown)
    alike(answers, works, but=("sent_to", "expires_at", "resend_at"))


async def test_a_forgotten_password(world: World, customer: Customer, monkeypatch):
    known, unknown = ({"email": one} for one in (customer.email, "nobody@example.com"))
    answers, works = await both(world, monkeypatch, "/auth/password/forgot", known, unknown)
    alike(answers, works, but=("expires_at", "resend_at"))
    assert customer.phone[-3:] not in answers[0].raw.decode()


async def test_a_wrong_code_for_a_forgotten_password(world: World, customer: Customer, monkeypatch):
    await world.call("POST", "/auth/password/forgot", {"email": customer.email})
    body = {"email": customer.email, "code": "000000", "password": PASSWORD}
    answers, works = await both(
        world, monkeypatch, "/auth/password/reset", body, {**body, "email": "nobody@example.com"}
    )
    alike(answers, works)
    assert works[0].hashes == 1


class TestWithMail:
    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, sends_mail=True)

    async def test_registering(self, world: World, customer: Customer, monkeypatch, clock):
        clock.ahead = timedelta(seconds=5)
        body = {"email": customer.email, "phone": new_phone(), "password": PASSWORD, "full_name": "Achieng Otieno"}
        other = {**body, "email": "other@example.com", "phone": new_phone()}
        answers, works = await both(world, monkeypatch, "/auth/register", body, other)
        alike(answers, works, but=("email", "phone", "verification"))
        assert [mail.to for mail in world.actors.mails()[-2:]] == [customer.email, "other@example.com"]

    async def test_registering_an_address_that_was_just_mailed(
        self, world: World, customer: Customer, monkeypatch, clock
    ):
        mailed = len(world.actors.mails())
        body = {"email": customer.email, "phone": new_phone(), "password": PASSWORD, "full_name": "Achieng Otieno"}
        other = {**body, "email": "unheard@example.com", "phone": new_phone()}
        answers, works = await both(world, monkeypatch, "/auth/register", body, other)
        alike(answers, works, but=("email", "phone", "verification"))
        assert [mail.to for mail in world.actors.mails()[mailed:]] == ["unheard@example.com"]

    @pytest.mark.parametrize("verified", [True, False])
    async def test_another_code_for_an_address(self, world: World, customer: Customer, monkeypatch, clock, *, verified):
        if verified:
            await verify_email(world, customer.email)
        clock.ahead = timedelta(seconds=90)
        known, unknown = ({"email": one} for one in (customer.email, "nobody@example.com"))
        answers, works = await both(world, monkeypatch, "/auth/email/resend", known, unknown)
        alike(answers, works, but=("sent_to", "expires_at", "resend_at"))

    @pytest.mark.parametrize("verified", [True, False])
    async def test_a_wrong_code_for_an_address(self, world: World, customer: Customer, monkeypatch, *, verified):
        code = world.actors.last_mailed_code()
        if verified:
            await verify_email(world, customer.email)
        wrong = f"{(int(code) + 1) % 1_000_000:06d}"
        known, unknown = ({"email": one, "code": wrong} for one in (customer.email, "nobody@example.com"))
        alike(*await both(world, monkeypatch, "/auth/email/verify", known, unknown))


async def verify_email(world: World, email: str) -> None:
    body = {"email": email, "code": world.actors.last_mailed_code()}
    assert (await world.call("POST", "/auth/email/verify", body)).status == 200
