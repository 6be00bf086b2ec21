"""S45: what a provider says is a claim: bodies of wrong size, shape, type and coding change and break nothing.

Answers of providers to our own calls are tests/faults/test_F019_unreadable_answers.py. Here the genuine address of an
open push gets them all before its payer answers.
"""

import asyncio
import json

import pytest

from tests.faults.stage import WAITS, Stage

PAID = {
    "MerchantRequestID": "m",
    "ResultCode": 0,
    "ResultDesc": "ok",
    "CallbackMetadata": {
        "Item": [{"Name": "Amount", "Value": 1}, {"Name": "MpesaReceiptNumber", "Value": "SFF000001"}]
    },
}


def callback(**changes: object) -> bytes:
    return json.dumps({"Body": {"stkCallback": {**PAID, **changes}}}).encode()


def amounts(value: str) -> bytes:
    return callback(CallbackMetadata={"Item": [{"Name": "Amount", "Value": "@"}]}).replace(b'"@"', value.encode())


BODIES = {
    "nothing": b"",
    "no JSON": b"ResultCode=0",
    "half of it": callback()[:40],
    "an array": b"[]",
    "a number": b"0",
    "null": b"null",
    "another shape": b'{"Result": 1}',
    "a body that is text": b'{"Body": "paid"}',
    "a callback that is a list": b'{"Body": {"stkCallback": []}}',
    "no code": callback(ResultCode=None),
    "a code that is an object": callback(ResultCode={}),
    "a code without end": callback(ResultCode="0" * 5_000),
    "a code that is a truth": callback(ResultCode=False),
    "an amount that is no number": amounts("NaN"),
    "an endless amount": amounts("1e999999999"),
    "a negative amount": amounts("-1000"),
    "an amount of a thousand digits": amounts("9" * 1_000),
    "an amount with fractions of a cent": amounts("10.00000001"),
    "an amount twice": callback().replace(b'"Value": 1}', b'"Value": 1, "Value": 1000}'),
    "a receipt with quotes": callback(
        CallbackMetadata={"Item": [{"Name": "MpesaReceiptNumber", "Value": "'; DROP TABLE postings; --"}]}
    ),
    "an item without a name": callback(CallbackMetadata={"Item": [{"Value": 1}]}),
    "items that are text": callback(CallbackMetadata={"Item": "Amount"}),
    "another push": callback(CheckoutRequestID="ws_CO_1"),
    "an identifier that is a list": callback(CheckoutRequestID=["ws_CO_1"]),
    "deep": b"[" * 20_000 + b"]" * 20_000,
    "a key twice": b'{"Body": {}, "Body": {"stkCallback": {"ResultCode": 0}}}',
    "a lone surrogate": b'{"Body": {"stkCallback": {"ResultDesc": "\\ud800", "ResultCode": 0}}}',
    "bytes that are no UTF-8": b'{"Body": "\xff\xfe"}',
    "sixteen bits a letter": callback().decode().encode("utf-16"),
    "a zero byte": b'{"Body": "\\u0000"}',
    "larger than allowed": b'{"Body": "' + b"x" * 70_000 + b'"}',
}


@pytest.fixture
def headers() -> dict[str, str]:
    return {"Content-Type": "application/json"}


async def test_none_of_them_credits_fails_or_breaks_anything(stage: Stage, headers: dict[str, str]):
    who = stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    url = (await stage.push_of(who))["callback_url"]

    async def posted(body: bytes) -> int:
        async with stage.session.post(url, data=body, headers=headers) as answer:
            said = await answer.read()
            assert b"Traceback" not in said
            return answer.status

    statuses = dict(zip(BODIES, await asyncio.gather(*map(posted, BODIES.values())), strict=True))
    assert {name: status for name, status in statuses.items() if status not in {200, 400, 413}} == {}
    assert statuses["larger than allowed"] == 413
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert (await stage.told(who)).counts == (1, 1, 1)
    shown = (await stage.get(who, f"/transactions/{deposit}")).body
    assert shown["send"]["amount"] == f"{stage.amount_of(who)}.00"
    # The ledger of its shard lived through all of it.
    after = await stage.deposit(who, stage.amount_of(who) + 1)
    await stage.reaches(after, "COMPLETED")
    assert "BROKEN" not in stage.installation.run("check")


async def test_what_cannot_be_read_is_kept_as_evidence_and_shown_to_a_person(stage: Stage, headers: dict[str, str]):
    who = stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    push = await stage.push_of(who)
    async with stage.session.post(push["callback_url"], data=BODIES["no JSON"], headers=headers) as answer:
        assert answer.status == 200
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    # The real one may come behind a query, and be looked at behind the end.
    async with asyncio.timeout(30):
        while len(kept := callbacks(stage, deposit)) != 2 or "NEW" in kept:
            await asyncio.sleep(0.05)
    assert set(kept) <= {"CONSUMED", "QUARANTINED"}


def callbacks(stage: Stage, deposit: str) -> list[str]:
    """What became of each that came for its push."""
    found = stage.rows(
        "SELECT i.status FROM {ledger}.callback_inbox i JOIN {ledger}.provider_operations o ON o.id = i.operation_id"
        " WHERE o.transaction_id = %s AND i.kind = 'stk'",
        deposit,
    )
    return [str(status) for (status,) in found]
