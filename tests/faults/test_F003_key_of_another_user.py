"""F3: one key, two customers."""

from tests.faults.stage import Stage


async def test_a_key_belongs_to_its_user(stage: Stage) -> None:
    one, two = stage.customer(), stage.customer()
    first, second = await stage.ask(one, key="shared"), await stage.ask(two, key="shared")
    assert (first.status, second.status) == (202, 202)
    assert first.body["id"] != second.body["id"]
    assert "Idempotency-Replayed" not in second.headers
