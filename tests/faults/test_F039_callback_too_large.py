"""F39: callbacks that are too large, or hold ten thousand keys."""

import io
import json

from tests.faults.stage import Stage


async def test_a_body_beyond_the_bound_is_413_and_not_stored(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"answer_delay_s": 2.0})
    url = (await stage.push_of(who))["callback_url"]
    for size in (64 * 1024 + 1, 10 * 1024 * 1024):
        async with stage.session.post(url, data=io.BytesIO(b"{" + b" " * size)) as answer:
            assert answer.status == 413
    await stage.reaches(deposit, "COMPLETED")
    assert stage.reviews(deposit) == []


async def test_ten_thousand_keys_are_stored_put_aside_and_hurt_nobody(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"answer_delay_s": 2.0})
    url = (await stage.push_of(who))["callback_url"]
    body = json.dumps({f"{number:04x}": 1 for number in range(5_000)})
    assert len(body) < 64 * 1024
    async with stage.session.post(url, data=body) as answer:
        assert answer.status == 200
    await stage.reaches(deposit, "COMPLETED")
    assert stage.reviews(deposit) == ["evidence_unusable"]
