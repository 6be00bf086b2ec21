"""F8: a request that failed validation is corrected and sent with the same key."""

import pytest

from tests.faults.stage import Stage


@pytest.mark.parametrize("bad", ["{", {"amount": "1300"}, {"amount": {"amount": "1300", "currency": "KES"}}, {}])
async def test_nothing_is_remembered_of_a_bad_request(stage: Stage, bad: object) -> None:
    who = stage.customer()
    assert (await stage.post(who, "/deposits", bad, key="k")).status == 400
    good = await stage.ask(who, key="k")
    assert (good.status, good.headers.get("Idempotency-Replayed")) == (202, None)
