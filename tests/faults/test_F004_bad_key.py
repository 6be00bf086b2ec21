"""F4: a missing, empty, too long or unprintable key."""

import pytest

from tests.faults.stage import Stage


@pytest.mark.parametrize("key", [None, "k" * 256, "with space", "tab\tbed", "ключ"])
async def test_without_a_good_key_nothing_is_taken(stage: Stage, key: str | None) -> None:
    who = stage.customer()
    reply = await stage.ask(who, key=key)
    assert (reply.status, reply.code) == (400, "idempotency_key_missing" if key is None else "idempotency_key_invalid")
    assert stage.transactions_of(who) == 0
