"""F27: a stranger posts a perfect success to an address that was never given out."""

import pytest

from tests.faults.stage import Stage, random_token

OF_NOBODY = "SELECT COUNT(*) FROM {ledger}.callback_inbox WHERE kind NOT IN ('rail', 'pull') AND operation_id = ''"
"""Those of others may still arrive at the shared stage."""


@pytest.mark.parametrize("kind", ["d", "s", "x"])
async def test_a_wrong_token_is_404_and_leaves_nothing(stage: Stage, kind: str) -> None:
    before = stage.rows(OF_NOBODY)
    url = f"{stage.installation.node.public_url}/cb/{kind}/{random_token()}"
    assert await stage.forge(url, amount_kes=2100) == 404
    assert stage.rows(OF_NOBODY) == before


async def test_one_wrong_digit_of_a_real_address_is_404(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "1032", "answer_delay_s": 1.5})
    push = await stage.push_of(who)
    url = push["callback_url"]
    for place in (-1, -20, -40, -60):
        digit = "0" if url[place] != "0" else "1"
        wrong = url[:place] + digit + (url[place + 1 :] if place != -1 else "")
        assert await stage.forge(wrong, amount_kes=stage.amount_of(who), checkout_id=push["checkout_id"]) == 404
    await stage.reaches(deposit, "FAILED")
    assert stage.postings(deposit) == []
