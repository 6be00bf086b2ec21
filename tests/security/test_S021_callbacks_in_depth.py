"""S21: a callback needs the right address, from the right place; what it says is checked against what was asked.

Bodies of other operations, wrong amounts and leaked addresses are tests/faults/test_F027 to test_F033.
"""

import ipaddress
from dataclasses import replace

import pytest

from penpay.domain.mpesa_callbacks import PATHS
from tests.http.test_callbacks import operation, path_of, post, stored
from tests.http.world import World

__all__ = ["operation"]
PROXY = (ipaddress.ip_network("127.0.0.0/8"),)
PROVIDER = "196.201.214.200"


@pytest.fixture
def edge_settings(edge_settings):
    return replace(
        edge_settings,
        callback_enforce=True,
        callback_allowlist=(ipaddress.ip_network(PROVIDER),),
        trusted_proxies=PROXY,
    )


async def test_the_right_address_from_the_right_place_is_stored(world: World, module_database, operation: str):
    answer = await post(world, path_of(world, operation=operation), headers={"X-Forwarded-For": PROVIDER})
    assert answer.status == 200
    assert len(stored(module_database, operation)) == 1


async def test_no_single_digit_of_a_token_can_be_changed(world: World, module_database, operation: str):
    path = path_of(world, operation=operation)
    start = path.rindex("/") + 1
    for place in range(start, len(path)):
        digit = "0" if path[place] != "0" else "1"
        answer = await post(world, path[:place] + digit + path[place + 1 :], headers={"X-Forwarded-For": PROVIDER})
        assert answer.status == 404, place
    assert stored(module_database, operation) == []


async def test_a_token_of_one_kind_opens_no_other(world: World, module_database, operation: str):
    path = path_of(world, operation=operation)
    token = path.rpartition("/")[2]
    for letter in PATHS:
        if path.startswith(f"/cb/{letter}/"):
            continue
        assert (await post(world, f"/cb/{letter}/{token}", headers={"X-Forwarded-For": PROVIDER})).status == 404
    assert stored(module_database, operation) == []


@pytest.mark.parametrize("source", ["196.201.214.201", "10.0.0.1", "127.0.0.1", "::ffff:10.0.0.1"])
async def test_the_right_address_from_another_place_is_none(world: World, module_database, operation: str, source: str):
    answer = await post(world, path_of(world, operation=operation), headers={"X-Forwarded-For": source})
    assert (answer.status, answer.code) == (404, "not_found")
    assert stored(module_database, operation) == []


async def test_a_list_in_front_of_the_real_sender_helps_nobody(world: World, module_database, operation: str):
    forged = {"X-Forwarded-For": f"{PROVIDER}, 10.0.0.1"}
    assert (await post(world, path_of(world, operation=operation), headers=forged)).status == 404
    assert stored(module_database, operation) == []
