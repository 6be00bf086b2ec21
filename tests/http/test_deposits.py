"""POST /deposits and /quotes: what is refused before any actor hears of it, and answers that are repeated."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain.answers import ROUTE_DEPOSITS, answer_aad, comparable, key_hash_of
from penpay.domain.errors import Unavailable
from penpay.domain.fx import Direction
from penpay.domain.json_text import json_bytes
from penpay.domain.money import kes, usd
from penpay.domain.problems import CONTENT_TYPE, problem
from penpay.messages import AcceptDeposit, CreateQuote, HttpAnswer, Quote, Refusal
from tests.http.world import Customer, LostAnswer, World, signed_in

QUOTE_ID = "01KAF0Z3T9V5N5W6H3C8Q2YB7D"
GOOD = {"amount": {"amount": "1300.00", "currency": "KES"}}
ACCEPTED = HttpAnswer(
    status=202,
    body=b'{"id":"01KAF0Z3T9V5N5W6H3C8Q2YB7D","odd":  "bytes"}',
    content_type="application/json; charset=utf-8",
    location="/api/v1/transactions/01KAF0Z3T9V5N5W6H3C8Q2YB7D",
)


@pytest.fixture
def accepting(world: World) -> World:
    world.actors.answers[AcceptDeposit] = lambda _: ACCEPTED
    return world


async def deposit(customer: Customer, body: object = None, key: str | None = "k-1"):
    headers = {} if key is None else {"Idempotency-Key": key}
    return await customer.call("POST", "/deposits", GOOD if body is None else body, headers=headers)


async def test_the_users_actor_gets_everything_that_admission_needs(accepting: World, customer: Customer):
    answer = await deposit(customer, {**GOOD, "phone": "+" + customer.phone})
    assert answer.status == 202
    assert answer.raw == ACCEPTED.body
    assert answer.headers["Location"] == ACCEPTED.location
    assert "Idempotency-Replayed" not in answer.headers
    (address, asked) = accepting.actors.asked[-1]
    assert address == f"shards/{asked.customer.shard}/users/{customer.id}"
    assert asked.amount == kes(130_000)
    assert asked.phone == asked.customer.phone == customer.phone
    assert asked.customer.phone_verified
    assert asked.customer.deriv_loginid == f"CR{customer.phone[3:]}"
    assert asked.customer.status == "ACTIVE"
    assert asked.key_hash == key_hash_of("k-1")
    assert asked.route == ROUTE_DEPOSITS


async def test_a_replayed_answer_says_so(world: World, customer: Customer):
    world.actors.answers[AcceptDeposit] = lambda _: HttpAnswer(
        status=409, body=b"{}", content_type="application/problem+json", replayed=True
    )
    answer = await deposit(customer)
    assert (answer.status, answer.raw) == (409, b"{}")
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_replayed_refusal_says_when_to_come_again_as_the_first_did(world: World, customer: Customer):
    body = json_bytes(problem("stk_open", "", "/api/v1/deposits", retry_after_s=47))
    refused = HttpAnswer(status=409, body=body, content_type=CONTENT_TYPE, retry_after_s=47)
    # What is stored of it: no header field but the type and the place.
    stored = replace(refused, retry_after_s=0, replayed=True)
    answers = iter((refused, stored))
    world.actors.answers[AcceptDeposit] = lambda _: next(answers)
    first, again = [await deposit(customer) for _ in range(2)]
    assert (again.status, again.raw, again.headers["Retry-After"]) == (409, first.raw, first.headers["Retry-After"])
    assert again.headers["Retry-After"] == "47"


async def test_order_and_white_space_of_a_body_do_not_differ(accepting: World, customer: Customer):
    for text in (
        b'{"amount":{"amount":"5.00","currency":"USD"}}',
        b' {"amount" : {"currency":"USD", "amount":"5.00"} } ',
    ):
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        assert (await customer.call("POST", "/deposits", headers=headers, data=text)).status == 202
    first, second = (asked.fingerprint for _, asked in accepting.actors.asked[-2:])
    assert first == second
    await deposit(customer, {"amount": {"amount": "5.01", "currency": "USD"}})
    assert accepting.actors.asked[-1][1].fingerprint != first


def test_secrets_of_a_body_do_not_enter_its_fingerprint():
    body = {"amount": {"amount": "5.00", "currency": "USD"}, "pin": "480375", "verification_code": "abcdefgh"}
    assert comparable(body) == comparable({"amount": {"currency": "USD", "amount": "5.00"}, "pin": "111111"})


async def test_a_key_is_mandatory(accepting: World, customer: Customer):
    answer = await deposit(customer, key=None)
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")
    assert accepting.actors.asked == []


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "caf\u00e9"])
async def test_a_key_is_visible_ascii(accepting: World, customer: Customer, key: str):
    answer = await deposit(customer, key=key)
    assert (answer.status, answer.code) == (400, "idempotency_key_invalid")
    assert accepting.actors.asked == []


async def test_the_longest_key_is_taken(accepting: World, customer: Customer):
    assert (await deposit(customer, key="!" + "~" * 254)).status == 202


BAD_AMOUNTS = [
    0,
    1300,
    1300.0,
    True,
    None,
    [],
    {},
    "",
    "1300",
    "1300.0",
    "1300.000",
    "01300.00",
    "-1300.00",
    "+1300.00",
    " 1300.00",
    "1300.00\n",
    "1,300.00",
    "1e3",
    "1e400",
    "NaN",
    "Infinity",
    "0x10.00",
    "1300,00",
    ".50",
    "\u0663\u0660.\u0660\u0660",
    "\uff11\uff13.\uff10\uff10",
    "1234567890123.00",
]


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=repr)
async def test_a_malformed_amount_is_named(accepting: World, customer: Customer, amount: object):
    answer = await deposit(customer, {"amount": {"amount": amount, "currency": "KES"}})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.fields == {"amount.amount"}
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert accepting.actors.asked == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": {"amount": "5.00", "currency": "EUR"}}, "amount.currency"),
        ({"amount": {"amount": "5.00", "currency": "kes"}}, "amount.currency"),
        ({"amount": {"amount": "5.00"}}, "amount.currency"),
        ({"amount": {"amount": "5.00", "currency": "KES", "scale": 2}}, "amount.scale"),
        ({"amount": "5.00"}, "amount"),
        ({**GOOD, "state": "COMPLETED"}, "state"),
        ({**GOOD, "user_id": QUOTE_ID}, "user_id"),
        ({**GOOD, "fx_rate": "1.00"}, "fx_rate"),
        ({**GOOD, "quote_id": QUOTE_ID}, "amount"),
        ({}, "amount"),
        ({"quote_id": "x"}, "quote_id"),
        ({"quote_id": QUOTE_ID.lower()}, "quote_id"),
        ({"quote_id": 7}, "quote_id"),
        ({**GOOD, "phone": "12345"}, "phone"),
        ({**GOOD, "phone": "+14155550100"}, "phone"),
        ({**GOOD, "phone": 254712345678}, "phone"),
    ],
)
async def test_every_field_refuses_what_it_is_not(accepting: World, customer: Customer, body: object, field: str):
    answer = await deposit(customer, body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.fields == {field}
    assert accepting.actors.asked == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'a':1}",
        b'{"a":1,"a":2}',
        b'{"amount":NaN}',
        b'{"amount":-Infinity}',
        b'{"amount":' + b"9" * 20 + b"}",
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 17 + b"1" + b"}" * 17,
        b"[" * 10_000,
        b"{" + b",".join(b'"k%d":1' % n for n in range(501)) + b"}",
    ],
    ids=range(16),
)
async def test_unacceptable_json_is_refused(accepting: World, customer: Customer, raw: bytes):
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await customer.call("POST", "/deposits", headers=headers, data=raw)
    assert (answer.status, answer.code) == (400, "malformed_json")
    assert accepting.actors.asked == []


async def test_brackets_inside_a_text_are_text(accepting: World, customer: Customer):
    raw = b'{"amount":{"amount":"5.00","currency":"USD"},"phone":"' + b"[" * 18 + b'"}'
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await customer.call("POST", "/deposits", headers=headers, data=raw)
    assert answer.fields == {"phone"}


@pytest.mark.parametrize(("size", "status"), [(32 * 1024, 400), (32 * 1024 + 1, 413), (200_000, 413)])
async def test_a_body_has_at_most_32_kib(accepting: World, customer: Customer, size: int, status: int):
    raw = b'{"phone":"' + b"7" * (size - 12) + b'"}'
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await customer.call("POST", "/deposits", headers=headers, data=raw)
    assert answer.status == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_content_is_not_taken(accepting: World, customer: Customer, headers: dict[str, str]):
    answer = await customer.call("POST", "/deposits", headers={**headers, "Idempotency-Key": "k"}, data=b"{}")
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_nobody_deposits_without_signing_in(accepting: World):
    answer = await accepting.call("POST", "/deposits", GOOD, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.code) == (401, "unauthorized")


async def test_the_same_key_costs_one_use_of_the_limit(accepting: World, customer: Customer):
    for _ in range(10):
        assert (await deposit(customer, key="same")).status == 202
    statuses = [(await deposit(customer, key=f"other-{n}")).status for n in range(6)]
    assert statuses == [202] * 5 + [429]


async def test_limits_are_per_customer(accepting: World, customer: Customer):
    for n in range(7):
        last = await deposit(customer, key=f"k{n}")
    assert last.code == "rate_limited"
    assert int(last.headers["Retry-After"]) == last.body["retry_after_s"] > 0
    other = await signed_in(accepting)
    assert (await deposit(other, key="k0")).status == 202


def store_answer(world: World, module_database, asked: AcceptDeposit, body: bytes) -> None:
    sealed = world.edge.sealer.seal(
        body,
        aad=answer_aad(asked.route, asked.key_hash),
        user_id=asked.customer.user_id,
        data_key=asked.customer.data_key,
    )
    module_database.rows(
        "INSERT INTO {ledger}.answers VALUES"
        " (%s, %s, %s, %s, 202, '/api/v1/transactions/x', 'application/json', %s, '', 'u', NOW(6))",
        (asked.customer.user_id, asked.route, asked.key_hash, asked.fingerprint, sealed),
    )


async def test_an_answer_that_got_lost_is_read_again_byte_for_byte(world: World, customer: Customer, module_database):
    def recorded_but_lost(asked: AcceptDeposit) -> Exception:
        store_answer(world, module_database, asked, b'{"id": "stored"}')
        return LostAnswer()

    world.actors.answers[AcceptDeposit] = recorded_but_lost
    answer = await deposit(customer, key="lost")
    assert (answer.status, answer.raw) == (202, b'{"id": "stored"}')
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.headers["Location"] == "/api/v1/transactions/x"


async def test_a_lost_answer_under_a_key_of_another_body_is_no_answer(
    world: World, customer: Customer, module_database
):
    def other_body(asked: AcceptDeposit) -> Exception:
        store_answer(world, module_database, asked, b"{}")
        return LostAnswer()

    world.actors.answers[AcceptDeposit] = other_body
    await deposit(customer, key="twice")
    world.actors.answers[AcceptDeposit] = lambda _: LostAnswer()
    answer = await deposit(customer, {"amount": {"amount": "9.00", "currency": "USD"}}, key="twice")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")


async def test_nothing_recorded_and_no_answer_is_503_and_the_key_stays_good(world: World, customer: Customer):
    world.actors.answers[AcceptDeposit] = lambda _: LostAnswer()
    answer = await deposit(customer)
    assert (answer.status, answer.code) == (503, "outcome_unknown")
    assert answer.body["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    world.actors.answers[AcceptDeposit] = lambda _: ACCEPTED
    assert (await deposit(customer)).status == 202


@dataclass
class Deciding:
    """A user's actor that takes its time over the key `slow`."""

    asked: int = 0
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, asked: AcceptDeposit) -> HttpAnswer:
        if asked.key_hash == key_hash_of("slow"):
            self.asked += 1
            await self.goes_on.wait()
        return ACCEPTED

    async def begun(self) -> None:
        async with asyncio.timeout(10):
            while not self.asked:
                await asyncio.sleep(0.01)


@pytest.fixture
def deciding(world: World) -> Deciding:
    world.actors.answers[AcceptDeposit] = made = Deciding()
    return made


async def test_while_the_first_one_is_running_the_same_key_is_409(world: World, customer: Customer, deciding: Deciding):
    stranger = await signed_in(world)
    first = asyncio.create_task(deposit(customer, key="slow"))
    await deciding.begun()
    for body in (GOOD, {"amount": {"amount": "9.00", "currency": "USD"}}):
        again = await deposit(customer, body, key="slow")
        assert (again.status, again.code, again.headers["Retry-After"]) == (409, "request_in_progress", "1")
    assert deciding.asked == 1
    # Another key and another customer are other requests.
    assert (await deposit(customer, key="other")).status == 202
    other = asyncio.create_task(deposit(stranger, key="slow"))
    deciding.goes_on.set()
    assert {(await first).status, (await other).status, (await deposit(customer, key="slow")).status} == {202}
    assert (deciding.asked, world.edge.running) == (3, set())


async def test_a_first_one_that_is_recorded_already_is_replayed(
    world: World, customer: Customer, deciding: Deciding, module_database
):
    first = asyncio.create_task(deposit(customer, key="slow"))
    await deciding.begun()
    (asked,) = [asked for _, asked in world.actors.asked if isinstance(asked, AcceptDeposit)]
    store_answer(world, module_database, asked, b'{"id": "stored"}')
    again = await deposit(customer, key="slow")
    assert (again.status, again.raw, again.headers["Idempotency-Replayed"]) == (202, b'{"id": "stored"}', "true")
    deciding.goes_on.set()
    assert (await first).status == 202


async def test_who_leaves_while_the_first_one_is_running_does_not_end_it(
    world: World, customer: Customer, deciding: Deciding
):
    first = asyncio.create_task(deposit(customer, key="slow"))
    await deciding.begun()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.sleep(0.1)
    assert (await deposit(customer, key="slow")).code == "request_in_progress"
    deciding.goes_on.set()
    async with asyncio.timeout(10):
        while world.edge.running:
            await asyncio.sleep(0.01)
    assert (await deposit(customer, key="slow")).status == 202


async def test_an_actor_without_room_is_503(world: World, customer: Customer):
    world.actors.answers[AcceptDeposit] = lambda _: Unavailable("users", retry_after_s=3.2)
    answer = await deposit(customer)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")


async def test_a_bug_shows_nothing_of_itself(world: World, customer: Customer):
    world.actors.answers[AcceptDeposit] = lambda _: RuntimeError("secret inside")
    answer = await deposit(customer)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"secret" not in answer.raw
    assert b"Traceback" not in answer.raw


async def test_a_quote_is_rendered_with_its_rates(world: World, customer: Customer):
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    world.actors.answers[CreateQuote] = lambda asked: Quote(
        id=QUOTE_ID,
        user_id=asked.customer.user_id,
        direction=asked.direction,
        send=asked.amount,
        receive=usd(966),
        mid_rate_e6=129_500_000,
        spread_e6=5_000_000,
        created_at=now,
        expires_at=now + timedelta(minutes=15),
    )
    answer = await customer.call("POST", "/quotes", {"type": "DEPOSIT", **GOOD})
    assert answer.status == 201
    assert answer.body == {
        "id": QUOTE_ID,
        "type": "DEPOSIT",
        "send": {"amount": "1300.00", "currency": "KES"},
        "receive": {"amount": "9.66", "currency": "USD"},
        "mid_rate": "129.50",
        "spread": "5.00",
        "rate": "134.50",
        "fees": [],
        "expires_at": "2026-11-20T12:15:00.000Z",
    }
    assert world.actors.asked[-1][1].direction is Direction.DEPOSIT


async def test_a_refused_quote_is_the_problem_that_the_actor_named(world: World, customer: Customer):
    world.actors.answers[CreateQuote] = lambda _: Refusal("rates_unavailable", "too old", 5)
    answer = await customer.call("POST", "/quotes", {"type": "DEPOSIT", **GOOD})
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "rates_unavailable", "5")
    assert answer.body["instance"] == "/api/v1/quotes"
    assert answer.body["type"].endswith("/problems/rates_unavailable")
