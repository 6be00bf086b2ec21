"""HttpDaraja against the sandbox, over real sockets."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from penpay.adapters.daraja import HttpDaraja
from penpay.adapters.system import SystemClock
from penpay.domain.errors import NotSent, OutcomeUnknown, Refused
from penpay.domain.money import kes
from penpay.domain.mpesa_callbacks import account_balances, parse_result, parse_stk_callback
from penpay.domain.rail_end import (
    DISCONNECTED,
    NOT_CONNECTED,
    RATE_LIMITED,
    SUBSCRIBER_LOCKED,
    TIMED_OUT,
    UNREADABLE,
    WRONG_CREDENTIALS,
)
from penpay.ports_rails import PullList

PHONE = "254708374149"
REFERENCE = "P9K3W01J9ZAB"
ROW = {"trxDate": "2024-07-06 22:48:52", "billreference": REFERENCE, "amount": "168.00"}


async def push(daraja, sandbox_rails, amount=130_000):
    url = f"{sandbox_rails.callback_url}/cb/d/00aa"
    return await daraja.stk_push(amount=kes(amount), phone=PHONE, reference=REFERENCE, callback_url=url)


async def paid(daraja, sandbox_rails, amount=130_000):
    ack = await push(daraja, sandbox_rails, amount)
    path, body = await sandbox_rails.callback()
    assert path == "/cb/d/00aa"
    callback = parse_stk_callback(body)
    assert callback.checkout_request_id == ack.checkout_request_id
    return callback


async def test_a_push_is_taken_and_its_callback_read(daraja, sandbox_rails):
    callback = await paid(daraja, sandbox_rails)
    assert callback.result_code == "0"
    assert callback.amount == kes(130_000)
    assert abs(callback.paid_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert PHONE.endswith(callback.phone_tail)


@pytest.mark.parametrize(
    "step",
    [
        {"code_type": "string", "amount_type": "string", "phone": "masked", "balance": "packed"},
        {"amount_type": "int", "phone": "string", "balance": "absent", "shuffle": True},
    ],
)
async def test_every_form_of_a_callback_reads_alike(daraja, sandbox_rails, step):
    await sandbox_rails.control(f"/phones/{PHONE}/script", {"steps": [step]})
    callback = await paid(daraja, sandbox_rails)
    assert (callback.result_code, callback.amount) == ("0", kes(130_000))
    assert callback.receipt


async def test_a_query_is_pending_then_tells_the_code(daraja, sandbox_rails):
    await sandbox_rails.control(f"/phones/{PHONE}/script", {"steps": [{"outcome": "1032", "answer_delay_s": 0.2}]})
    ack = await push(daraja, sandbox_rails)
    assert (await daraja.stk_query(ack.checkout_request_id)).result_code == ""
    await sandbox_rails.callback()
    assert (await daraja.stk_query(ack.checkout_request_id)).result_code == "1032"


@pytest.mark.parametrize(
    ("http", "code", "message", "error", "told"),
    [
        (400, "400.002.02", "Bad Request - Invalid PhoneNumber", Refused, "400.002.02"),
        (404, "404.001.01", "Resource not found", Refused, "404.001.01"),
        (405, "405.001", "Method Not Allowed", Refused, "405.001"),
        (
            500,
            "500.001.1001",
            "Unable to lock subscriber, a transaction is already in process",
            Refused,
            SUBSCRIBER_LOCKED,
        ),
        (500, "500.001.1001", "Wrong credentials", Refused, WRONG_CREDENTIALS),
        (500, "500.001.1001", "Merchant does not exist", Refused, WRONG_CREDENTIALS),
        (500, "500.001.1001", "something new", OutcomeUnknown, "500.001.1001"),
        (500, "500.003.02", "System is busy. Please try again in few minutes.", NotSent, RATE_LIMITED),
        (429, "429.000", "Spike arrest violation", NotSent, RATE_LIMITED),
        (429, "500.003.1001", "never seen", NotSent, RATE_LIMITED),
        (500, "500.003.03", "Quota Violation", NotSent, RATE_LIMITED),
        (500, "500.003.1001", "Internal Server Error", OutcomeUnknown, "500.003.1001"),
        (500, "500.002.1001", "Service is currently under maintenance", OutcomeUnknown, "500.002.1001"),
        (400, "400.999.99", "never seen", OutcomeUnknown, "400.999.99"),
    ],
)
async def test_the_error_table_says_what_is_proven(daraja, sandbox_rails, http, code, message, error, told):
    await sandbox_rails.daraja_step("stk", fault="error", error_http=http, error_code=code, error_message=message)
    with pytest.raises(error) as caught:
        await push(daraja, sandbox_rails)
    assert type(caught.value) is error
    assert caught.value.code == told


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("html", "http_"),
        ("html_after", "http_"),
        ("reset", DISCONNECTED),
        ("reset_after", DISCONNECTED),
        ("truncated", ""),
        ("refused_200", "response_code_1"),
    ],
)
async def test_an_answer_that_proves_nothing_leaves_the_outcome_unknown(daraja, sandbox_rails, fault, code):
    await daraja.check()
    await sandbox_rails.daraja_step("stk", fault=fault)
    with pytest.raises(OutcomeUnknown) as caught:
        await push(daraja, sandbox_rails)
    assert caught.value.code.startswith(code)


async def test_no_answer_in_time_leaves_the_outcome_unknown(daraja_account, sandbox_rails):
    hurried = HttpDaraja(replace(daraja_account, call_timeout_s=0.3), SystemClock())
    await hurried.check()
    await sandbox_rails.daraja_step("stk", fault="late", fault_delay_s=2.0)
    with pytest.raises(OutcomeUnknown) as caught:
        await push(hurried, sandbox_rails)
    assert caught.value.code == TIMED_OUT
    _, body = await sandbox_rails.callback()
    assert parse_stk_callback(body).result_code == "0"
    await hurried.close()


async def test_nobody_there_means_not_sent(daraja_account, unused_tcp_port):
    alone = HttpDaraja(replace(daraja_account, base_url=f"http://127.0.0.1:{unused_tcp_port}"), SystemClock())
    with pytest.raises(NotSent) as caught:
        await alone.check()
    assert caught.value.code == NOT_CONNECTED
    await alone.close()


async def test_a_server_that_leaves_after_the_token_means_not_sent(daraja_account):
    """The token was fetched, the listener is gone: no byte of the push can have left."""
    app = web.Application()

    async def token(_: web.Request) -> web.Response:
        answer = web.json_response({"access_token": "t", "expires_in": "3599"})
        answer.force_close()
        return answer

    app.router.add_get("/oauth/v1/generate", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gateway = HttpDaraja(replace(daraja_account, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}"), SystemClock())
    await gateway.check()
    await runner.cleanup()
    with pytest.raises(NotSent):
        await gateway.stk_push(amount=kes(100), phone=PHONE, reference=REFERENCE, callback_url="http://x/cb")
    await gateway.close()


async def test_an_expired_token_is_refreshed_once_and_the_push_resent(daraja, sandbox_rails):
    await daraja.check()
    await sandbox_rails.control("/daraja/script", {"expire_tokens": True})
    assert (await push(daraja, sandbox_rails)).checkout_request_id
    summary = await sandbox_rails.control("/truth/summary")
    assert summary["pushes"]["count"] == 1


REFUSED_TOKENS = [
    (404, "404.001.03", "Invalid Access Token"),
    (401, "401.003.01", "Error Occurred - Invalid Access Token - x"),
    (401, "401.000.00", "never seen"),
    (400, "400.999.99", "Error Occurred: INVALID ACCESS TOKEN"),
]


@pytest.mark.parametrize(("http", "code", "message"), REFUSED_TOKENS)
async def test_a_push_whose_token_is_refused_is_sent_once_more(daraja, sandbox_rails, http, code, message):
    await sandbox_rails.daraja_step("stk", fault="error", error_http=http, error_code=code, error_message=message)
    assert (await push(daraja, sandbox_rails)).checkout_request_id
    assert (await sandbox_rails.control("/truth/summary"))["pushes"]["count"] == 1


@pytest.mark.parametrize(("http", "code", "message"), REFUSED_TOKENS)
async def test_a_token_refused_twice_is_not_sent(daraja, sandbox_rails, http, code, message):
    refused = {"error_http": http, "error_code": code, "error_message": message}
    await sandbox_rails.daraja_step("stk", fault="error", times=2, **refused)
    with pytest.raises(NotSent) as caught:
        await push(daraja, sandbox_rails)
    assert caught.value.code == code


async def test_a_product_that_is_not_ours_refuses_with_a_fresh_token_too(daraja, sandbox_rails):
    message = "Invalid API call as no apiproduct match found"
    refused = {"error_http": 401, "error_code": "401.001.01", "error_message": message}
    await sandbox_rails.daraja_step("stk", fault="error", times=2, **refused)
    with pytest.raises(Refused) as caught:
        await push(daraja, sandbox_rails)
    assert caught.value.code == "401.001.01"


async def test_many_callers_share_one_token_fetch(daraja, sandbox_rails):
    fetched = []

    async def count(request: web.Request) -> web.Response:
        fetched.append(request.path)
        await asyncio.sleep(0)
        return web.json_response({"access_token": "t", "expires_in": "3599"})

    app = web.Application()
    app.router.add_get("/oauth/v1/generate", count)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    gateway = HttpDaraja(replace(daraja._account, base_url=base), SystemClock())
    await asyncio.gather(*(gateway.check() for _ in range(20)))
    assert len(fetched) == 1
    await gateway.close()
    await runner.cleanup()


async def test_wrong_consumer_credentials_are_not_sent(daraja_account):
    stranger = HttpDaraja(replace(daraja_account, consumer_secret="wrong"), SystemClock())
    with pytest.raises(NotSent) as caught:
        await stranger.check()
    assert caught.value.code == "token_refused"
    await stranger.close()


async def test_a_reversal_gives_the_payment_back_once(daraja, sandbox_rails):
    payment = await paid(daraja, sandbox_rails)
    urls = {"result_url": f"{sandbox_rails.callback_url}/cb/r/1", "timeout_url": f"{sandbox_rails.callback_url}/cb/t/1"}
    ack = await daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls)
    path, body = await sandbox_rails.callback()
    result = parse_result(body)
    assert (path, result.result_code, result.conversation_id) == ("/cb/r/1", "0", ack.conversation_id)
    assert result.transaction_id != payment.receipt
    await daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls)
    _, body = await sandbox_rails.callback()
    assert parse_result(body).result_code == "R000001"


async def test_the_status_of_a_reversal_is_found_by_its_conversation(daraja, sandbox_rails):
    payment = await paid(daraja, sandbox_rails)
    urls = {"result_url": f"{sandbox_rails.callback_url}/cb/s/1", "timeout_url": f"{sandbox_rails.callback_url}/cb/t/1"}
    ack = await daraja.reverse(receipt=payment.receipt, amount=payment.amount, **urls)
    reversed_by = parse_result((await sandbox_rails.callback())[1]).transaction_id
    await daraja.transaction_status(receipt="", conversation_id=ack.conversation_id, payouts=False, **urls)
    status = parse_result((await sandbox_rails.callback())[1])
    assert (status.result_code, status.transaction_status) == ("0", "Completed")
    assert status.receipt == reversed_by


async def test_the_list_holds_every_payment_of_the_period_over_several_pages(daraja, sandbox_rails):
    await sandbox_rails.control("/daraja/script", {"knobs": {"pull_page": 2}})
    receipts = {(await paid(daraja, sandbox_rails, amount=100 * (n + 1))).receipt for n in range(5)}
    now = datetime.now(UTC)
    rows = (await daraja.pull(since=now - timedelta(minutes=5), until=now + timedelta(seconds=1))).rows
    assert {row.receipt for row in rows} == receipts
    assert {row.reference for row in rows} == {REFERENCE}
    assert sum(row.amount.minor for row in rows) == 100 * (1 + 2 + 3 + 4 + 5)
    assert all(abs(row.paid_at - now) < timedelta(minutes=1) for row in rows)


async def test_a_period_without_payments_is_an_empty_list(daraja, sandbox_rails):
    now = datetime.now(UTC)
    assert await daraja.pull(since=now - timedelta(minutes=5), until=now) == PullList(())


async def test_both_short_codes_tell_their_balances(daraja, sandbox_rails):
    urls = {"result_url": f"{sandbox_rails.callback_url}/cb/a/1", "timeout_url": f"{sandbox_rails.callback_url}/cb/t/1"}
    found = []
    for payouts in (False, True):
        await daraja.account_balance(payouts=payouts, **urls)
        result = parse_result((await sandbox_rails.callback())[1])
        found.append(account_balances(result.value("AccountBalance"))["Utility Account"])
    config = sandbox_rails.house.config
    assert found == [kes(config.opening_paybill_minor), kes(config.opening_utility_minor)]


async def test_an_unreadable_token_answer_is_not_sent(daraja, sandbox_rails):
    await sandbox_rails.daraja_step("oauth", fault="html")
    with pytest.raises(NotSent) as caught:
        await push(daraja, sandbox_rails)
    assert caught.value.code in {"token_unavailable", UNREADABLE}


async def listed_in_pages(account, rows, *, clamped=False):
    """What is pulled of these rows in pages of two, and the offsets that were asked for."""
    asked = []

    async def page(request: web.Request) -> web.Response:
        offset = int((await request.json())["OffSetValue"])
        asked.append(offset)
        offset = min(offset, len(rows) - 2) if clamped else offset
        return web.json_response({"ResponseCode": "1000", "Response": rows[offset : offset + 2]})

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "expires_in": "3599"})

    app = web.Application()
    app.router.add_get("/oauth/v1/generate", token)
    app.router.add_post("/pulltransactions/v1/query", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gateway = HttpDaraja(replace(account, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}"), SystemClock())
    now = datetime.now(UTC)
    listed = await gateway.pull(since=now - timedelta(minutes=5), until=now)
    await gateway.close()
    await runner.cleanup()
    return listed, asked


async def test_unreadable_rows_are_passed_by_page_for_page(daraja_account):
    rows = [[{**ROW, "transactionId": f"NLJ7RT61S{n}"} if n % 2 else {"odd": n}] for n in range(6)]
    listed, asked = await listed_in_pages(daraja_account, rows)
    assert (len(listed.rows), listed.complete, asked) == (3, False, [0, 2, 4, 6])
    assert listed.unreadable == ("{'odd': 0}", "{'odd': 2}", "{'odd': 4}")


async def test_equal_rows_are_counted_as_they_come_and_hide_none_behind_them(daraja_account):
    first, last = ({**ROW, "transactionId": f"NLJ7RT61S{n}"} for n in (1, 9))
    rows = [[{"odd": 0}]] * 3 + [[first]] * 3 + [[last]]
    listed, asked = await listed_in_pages(daraja_account, rows)
    assert [row.receipt for row in listed.rows] == ["NLJ7RT61S1", "NLJ7RT61S9"]
    assert (listed.complete, listed.unreadable, asked) == (False, ("{'odd': 0}",), [0, 2, 4, 6, 7])


async def test_a_list_whose_last_page_is_told_for_ever_comes_to_an_end(daraja_account):
    rows = [[{**ROW, "transactionId": f"NLJ7RT61S{n}"}] for n in range(3)]
    listed, asked = await listed_in_pages(daraja_account, rows, clamped=True)
    assert (len(listed.rows), listed.complete, asked) == (3, True, [0, 2, 4])
