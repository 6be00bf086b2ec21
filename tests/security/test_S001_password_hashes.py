"""S1: passwords and PINs are argon2id with the cost of the decisions and a pepper, hashed off the loop in few lanes."""

import asyncio
import threading

from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from penpay.adapters.passwords import Argon2Passwords
from penpay.domain.errors import Unavailable
from tests.http.world import PASSWORD, Customer, World

MEMORY_KIB = 19_456


async def test_a_stored_row_names_the_decided_cost(world: World, customer: Customer, module_database):
    """The listener's own hasher is cheaper in tests; this row is written as production writes it."""
    passwords = Argon2Passwords(pepper=b"pepper")
    try:
        stored = await passwords.hash_password(PASSWORD)
        await world.edge.accounts.set_password_hash(customer.id, stored, at=world.edge.clock.now())
        pin = await passwords.hash_pin(customer.id, "480375")
    finally:
        passwords.close()
    ((row,),) = module_database.rows("SELECT password_hash FROM {users}.users WHERE id = %s", (customer.id,))
    for phc in (str(row), pin):
        found = extract_parameters(phc)
        assert found.type is Type.ID
        assert (found.memory_cost, found.time_cost, found.parallelism) == (MEMORY_KIB, 2, 1)
        assert found.salt_len >= 16


async def test_without_the_pepper_a_right_password_does_not_fit():
    one, other = (Argon2Passwords(pepper=pepper, memory_kib=64, passes=1) for pepper in (b"one", b"two"))
    try:
        stored = await one.hash_password(PASSWORD)
        assert await one.check_password(stored, PASSWORD)
        assert not await other.check_password(stored, PASSWORD)
        plain = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        assert not await one.check_password(plain.hash(PASSWORD), PASSWORD)
    finally:
        one.close()
        other.close()


async def test_an_outdated_hash_is_renewed_by_the_next_sign_in(world: World, customer: Customer, module_database):
    old = Argon2Passwords(pepper=b"pepper", memory_kib=32, passes=1)
    stored = await old.hash_password(PASSWORD)
    old.close()
    await world.edge.accounts.set_password_hash(customer.id, stored, at=world.edge.clock.now())
    device = {"id": customer.device, "name": "X", "platform": "web"}
    body = {"email": customer.email, "password": PASSWORD, "device": device}
    assert (await world.call("POST", "/auth/login", body)).status == 200
    ((row,),) = module_database.rows("SELECT password_hash FROM {users}.users WHERE id = %s", (customer.id,))
    assert extract_parameters(str(row)).memory_cost == 64


async def test_hashing_runs_beside_the_loop_one_at_a_time_and_is_bounded(monkeypatch):
    """A rush of sign-ins waits in its lane; the loop goes on, and what the lane cannot hold is refused at once."""
    passwords = Argon2Passwords(pepper=b"pepper", memory_kib=64, passes=1)
    threads: set[str] = set()
    running = overlapped = 0
    gate = threading.Event()

    def slow(stored: str, secret: bytes) -> bool:
        nonlocal running, overlapped
        running += 1
        overlapped = max(overlapped, running)
        threads.add(threading.current_thread().name)
        gate.wait(10)
        running -= 1
        return bool(stored and secret)

    monkeypatch.setattr(passwords, "_right", slow)
    rush = [asyncio.create_task(passwords.check_password("x", PASSWORD)) for _ in range(200)]
    turns = 0
    while sum(task.done() for task in rush) == 0:
        # The loop turns while a hash is under way: those that the lane cannot hold are answered meanwhile.
        await asyncio.sleep(0)
        turns += 1
    gate.set()
    answers = await asyncio.gather(*rush, return_exceptions=True)
    passwords.close()
    refused = [one for one in answers if isinstance(one, Unavailable)]
    assert refused
    assert {one for one in answers if not isinstance(one, Unavailable)} == {True}
    assert overlapped == 1
    assert threading.main_thread().name not in threads
    assert turns > 0
