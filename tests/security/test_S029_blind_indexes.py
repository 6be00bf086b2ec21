"""S29: whoever has the database cannot try all Kenyan numbers against it: the indexes need a key that is not in it."""

import hashlib
import hmac

from penpay.adapters.crypto import KeySealer
from tests.http.world import Customer, World

GUESSED_KEYS = (b"", b"penpay", b"secret", bytes(32), b"\xff" * 32)


def indexes(module_database, customer: Customer) -> set[bytes]:
    (row,) = module_database.rows(
        "SELECT u.email_index, u.phone_index, u.verified_phone_index, c.target_index, c.code_hash"
        " FROM {users}.users u JOIN {users}.sent_codes c ON c.user_id = u.id WHERE u.id = %s",
        (customer.id,),
    )
    return {bytes(one) for one in row}


def guesses(value: str):
    """What a thief of the dump would compute for one candidate."""
    for text in (value, f"+{value}", f"0{value[3:]}", value[3:], f"phone|{value}", f"email|{value}"):
        for name in ("sha256", "sha3_256", "blake2s"):
            yield hashlib.new(name, text.encode()).digest()
        for key in GUESSED_KEYS:
            yield hmac.digest(key, text.encode(), "sha256")


async def test_a_dictionary_of_numbers_matches_nothing(world: World, customer: Customer, module_database):
    stored = indexes(module_database, customer)
    assert all(len(one) == 32 for one in stored)
    number = int(customer.phone)
    neighbours = {str(number + offset) for offset in range(-500, 500)} | {customer.phone}
    assert not stored & {one for value in neighbours for one in guesses(value)}
    assert not stored & set(guesses(customer.email))


async def test_with_the_key_it_is_found_at_once(world: World, customer: Customer, module_database, sealer: KeySealer):
    assert sealer.blind_index(f"phone|{customer.phone}") in indexes(module_database, customer)


def test_the_index_key_is_no_field_key_and_other_keys_give_other_indexes():
    field, one, other = b"f" * 32, b"i" * 32, b"j" * 32
    first = KeySealer(keys={1: field}, current=1, blind_index_key=one)
    assert first.blind_index("phone|254712345678") != hmac.digest(one, b"phone|254712345678", "sha256")
    assert first.blind_index("x") != KeySealer(keys={1: field}, current=1, blind_index_key=other).blind_index("x")
    again = KeySealer(keys={2: b"g" * 32}, current=2, blind_index_key=one)
    assert again.blind_index("x") == first.blind_index("x")


async def test_a_number_and_an_address_of_the_same_text_have_other_indexes(sealer: KeySealer):
    purposes = ("phone|1", "email|1", "limit|1", "login|1", "forgot|1", "code|1|1")
    assert len({sealer.blind_index(one) for one in purposes}) == len(purposes)
