"""S22: the provider's published addresses are a setting, and the list can be made to warn only."""

import ipaddress
from dataclasses import replace

import pytest

from config.sections import SAFARICOM_ADDRESSES
from tests.http.test_callbacks import operation, path_of, post, stored
from tests.http.world import World

__all__ = ["operation"]
LISTED = tuple(ipaddress.ip_network(address) for address in SAFARICOM_ADDRESSES)


@pytest.fixture(params=[True, False], ids=["enforce", "observe"])
def enforced(request) -> bool:
    return bool(request.param)


@pytest.fixture
def edge_settings(edge_settings, enforced: bool):
    return replace(
        edge_settings,
        callback_enforce=enforced,
        callback_allowlist=LISTED,
        trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),),
    )


async def test_every_listed_address_is_heard_and_marked(world: World, module_database, operation: str):
    for number, address in enumerate(SAFARICOM_ADDRESSES):
        body = b'{"n":%d}' % number
        answer = await post(world, path_of(world, operation=operation), body, headers={"X-Forwarded-For": address})
        assert answer.status == 200, address
    rows = stored(module_database, operation)
    assert len(rows) == len(SAFARICOM_ADDRESSES)
    assert {trusted for _, _, _, trusted, _ in rows} == {1}


async def test_an_address_beside_the_list_is_refused_or_stored_and_marked(
    world: World, module_database, operation: str, enforced: bool
):
    answer = await post(world, path_of(world, operation=operation), headers={"X-Forwarded-For": "196.201.214.209"})
    assert answer.status == (404 if enforced else 200)
    assert [trusted for _, _, _, trusted, _ in stored(module_database, operation)] == ([] if enforced else [0])
    verdict = "foreign_address" if enforced else "stored"
    assert f'verdict="{verdict}"' in world.edge.metrics.exposition("")[0].decode()
