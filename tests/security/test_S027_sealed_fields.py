"""S27: personal fields are sealed for their place, under a key per customer that is itself sealed outside the database.

What is looked for is written by a customer's own requests, and looked for in the server's files as well as in its rows.
"""

import itertools
from pathlib import Path

import pytest

from tests.http.world import Customer, World, signed_in

NAME = "Unmistakable Kipchumba"


@pytest.fixture
async def someone(world: World) -> Customer:
    return await signed_in(world, name=NAME)


def secrets_of(customer: Customer) -> list[bytes]:
    written = [customer.phone, customer.email, f"a1-CR{customer.phone[3:]}", "Unmistakable", customer.refresh]
    return [one.encode() for one in written]


async def test_no_file_of_the_server_holds_a_personal_field(someone: Customer, module_database):
    """Tables, undo and redo logs, as a thief of the disk would read them."""
    module_database.rows("FLUSH TABLES")
    files = files_of(module_database)
    assert any(name == "users.ibd" for name, _ in files)
    found = [(name, secret) for (name, raw), secret in itertools.product(files, secrets_of(someone)) if secret in raw]
    assert found == []


def files_of(module_database) -> list[tuple[str, bytes]]:
    folder = Path(str(module_database.rows("SELECT @@datadir")[0][0]))
    ours = [module_database.schema(name) for name in ("users", "ledger", "audit")]
    places = (folder, *(folder / schema for schema in ours))
    return [(path.name, path.read_bytes()) for place in places for path in place.iterdir() if path.is_file()]


async def test_a_field_opens_at_its_own_place_only(world: World, someone: Customer, module_database, sealer):
    other = await signed_in(world)
    ((mine, phone, email, key),) = module_database.rows(
        "SELECT u.id, u.phone_sealed, u.email_sealed, k.wrapped"
        " FROM {users}.users u JOIN {users}.data_keys k ON k.user_id = u.id WHERE u.id = %s",
        (someone.id,),
    )
    ((other_key,),) = module_database.rows("SELECT wrapped FROM {users}.data_keys WHERE user_id = %s", (other.id,))
    right = {"aad": f"users|phone_sealed|{mine}", "user_id": mine, "data_key": key}
    assert sealer.open(phone, **right).decode() == someone.phone
    for wrong in (
        {**right, "aad": f"users|email_sealed|{mine}"},
        {**right, "aad": f"users|phone_sealed|{other.id}"},
        {**right, "user_id": other.id},
        {**right, "data_key": other_key},
        {**right, "data_key": b""},
    ):
        with pytest.raises(ValueError, match=r"sealed|key"):
            sealer.open(phone, **wrong)
    for broken in (email, phone[:-1], phone[:-1] + bytes([phone[-1] ^ 1]), b"\x01" + phone[1:], b""):
        with pytest.raises(ValueError, match=r"sealed|key"):
            sealer.open(broken, **right)


async def test_a_row_that_was_moved_answers_nobody(world: World, someone: Customer, module_database):
    other = await signed_in(world)
    module_database.rows(
        "UPDATE {users}.users a JOIN {users}.users b ON b.id = %s SET a.phone_sealed = b.phone_sealed WHERE a.id = %s",
        (other.id, someone.id),
    )
    answer = await someone.call("GET", "/me")
    assert answer.status == 500
    assert other.phone not in answer.raw.decode()
    assert (await other.call("GET", "/me")).status == 200


async def test_the_same_value_never_looks_the_same(world: World, module_database):
    for _ in range(2):
        await signed_in(world, name=NAME)
    sealed = [row[0] for row in module_database.rows("SELECT name_sealed FROM {users}.users")]
    assert len(set(sealed)) == len(sealed)
    nonces = [one[5:17] for one in sealed]
    assert len(set(nonces)) == len(nonces)
