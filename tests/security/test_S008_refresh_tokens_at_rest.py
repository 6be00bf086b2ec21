"""S8: refresh tokens are random and stored as a hash: a copy of the database signs nobody in."""

import hashlib
import math
import re

from tests.http.test_passwords import ask_code
from tests.http.world import Customer, World


async def test_a_dump_holds_no_usable_token(world: World, customer: Customer, module_database):
    tokens = [customer.refresh]
    for _ in range(3):
        body = {"refresh_token": tokens[-1], "device_id": customer.device}
        tokens.append((await world.call("POST", "/auth/refresh", body)).body["refresh_token"])
    code = await ask_code(world, customer.email)
    tables = [name for (name,) in module_database.rows("SHOW TABLES IN {users}")]

    def rows(table: object) -> list[tuple[object, ...]]:
        return module_database.rows(f"SELECT * FROM {{users}}.{table}")

    values = [value for table in tables for row in rows(table) for value in row]
    dump = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    for token in tokens:
        assert token.encode() not in dump
        assert hashlib.sha256(token.encode()).digest() in dump
    for access in (customer.access, customer.access.rpartition(".")[2]):
        assert access.encode() not in dump
    assert not any(code in value for value in values if isinstance(value, str) and len(value) != 26)


async def test_what_stands_in_the_rows_is_no_token(world: World, customer: Customer, module_database):
    hashes = module_database.rows("SELECT HEX(token_hash), HEX(successor_sealed) FROM {users}.refresh_tokens")
    for stored in {value for row in hashes for value in row if value}:
        answer = await world.call(
            "POST", "/auth/refresh", {"refresh_token": str(stored)[:128], "device_id": customer.device}
        )
        assert answer.status in {400, 401}
    assert (await customer.call("GET", "/me")).status == 200


def test_a_token_cannot_be_guessed(customer: Customer):
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", customer.refresh)
    assert 43 * math.log2(64) >= 256
