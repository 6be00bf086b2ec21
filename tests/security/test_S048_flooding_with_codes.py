"""S48: a flood of registrations ends early and costs a bounded number of messages."""

from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.http.edge import EdgeSettings
from penpay.http.rates import rate_rules
from penpay.messages_rails import SMS
from tests.http.world import PASSWORD, World, new_phone


def registration(number: int, phone: str) -> dict[str, str]:
    return {
        "email": f"flood{number}@example.com",
        "phone": phone,
        "password": PASSWORD,
        "full_name": "Achieng Otieno",
    }


def messages(world: World) -> int:
    return sum(address == SMS for address, _ in world.actors.told)


class TestFromOneAddress:
    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, rates=rate_rules())

    async def test_three_an_hour(self, world: World):
        statuses = [
            (await world.call("POST", "/auth/register", registration(n, new_phone()))).status for n in range(100)
        ]
        assert statuses == [201] * 3 + [429] * 97
        assert messages(world) == 3


class TestFromManyAddresses:
    """Everybody is a thousand addresses here, as a botnet is."""

    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(
            edge_settings, rates=rate_rules(register_per_hour_address=100_000, otp_resend_s=1, otp_per_hour_all=25)
        )

    async def test_all_of_them_together_are_bounded(self, world: World):
        statuses = [
            (await world.call("POST", "/auth/register", registration(n, new_phone()))).status for n in range(100)
        ]
        assert statuses == [201] * 25 + [429] * 75
        assert messages(world) == 25

    async def test_one_phone_is_not_rung_all_night(self, world: World, clock):
        phone = new_phone()
        for number in range(30):
            clock.ahead = timedelta(seconds=5 * number)
            await world.call("POST", "/auth/register", registration(number, phone))
        assert messages(world) == 10
