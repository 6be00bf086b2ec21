"""S17: who calls is what our own proxies say, from the right; what clients write themselves counts for nothing."""

import ipaddress
from dataclasses import replace

import pytest

from penpay.http.rates import rate_rules
from tests.http.world import World, new_phone

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SPOOFS = (
    {"X-Forwarded-For": "10.9.8.{n}, 203.0.113.7"},
    {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "10.9.8.{n}"},
    {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=10.9.8.{n}"},
    {"X-Forwarded-For": "203.0.113.7", "CF-Connecting-IP": "10.9.8.{n}", "True-Client-IP": "10.9.8.{n}"},
)


def body() -> dict[str, str]:
    phone = new_phone()
    return {
        "email": f"{phone}@example.com",
        "phone": phone,
        "password": "correct horse battery",
        "full_name": "Wanjiku Kamau",
    }


async def register(world: World, headers: dict[str, str]) -> int:
    return (await world.call("POST", "/auth/register", body(), headers=headers)).status


class TestBehindOurProxy:
    @pytest.fixture
    def edge_settings(self, edge_settings):
        return replace(edge_settings, trusted_proxies=LOOPBACK, rates=rate_rules(register_per_hour_address=4))

    async def test_a_client_cannot_be_somebody_else_for_each_request(self, world: World):
        statuses = []
        for number, spoof in enumerate(SPOOFS * 2):
            statuses.append(await register(world, {name: text.format(n=number) for name, text in spoof.items()}))
        assert statuses == [201] * 4 + [429] * 4

    async def test_two_clients_of_one_proxy_are_two(self, world: World):
        for address in ("198.51.100.1", "198.51.100.2"):
            assert [await register(world, {"X-Forwarded-For": address}) for _ in range(5)] == [201] * 4 + [429]

    async def test_one_client_with_many_ipv6_addresses_is_one(self, world: World):
        statuses = [await register(world, {"X-Forwarded-For": f"2001:db8:7:7::{n:x}"}) for n in range(1, 6)]
        assert statuses == [201] * 4 + [429]


class TestWithoutProxy:
    @pytest.fixture
    def edge_settings(self, edge_settings):
        return replace(edge_settings, rates=rate_rules(register_per_hour_address=2))

    async def test_forwarded_addresses_are_not_read(self, world: World):
        statuses = [await register(world, {"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(3)]
        assert statuses == [201, 201, 429]
