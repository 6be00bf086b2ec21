import base64

import aiohttp
import pytest


async def test_the_token_is_text_with_its_life_in_text(rails):
    basic = base64.b64encode(b"sandbox-consumer-key:sandbox-consumer-secret").decode()
    url = f"{rails.url}/oauth/v1/generate?grant_type=client_credentials"
    async with rails.http.get(url, headers={"Authorization": f"Basic {basic}"}) as answer:
        body = await answer.json()
    assert body["expires_in"] == "3599"
    assert isinstance(body["access_token"], str)


async def test_bad_credentials_get_a_400_without_a_body(rails):
    url = f"{rails.url}/oauth/v1/generate?grant_type=client_credentials"
    async with rails.http.get(url, headers={"Authorization": "Basic bm86bm8="}) as answer:
        assert (answer.status, await answer.read()) == (400, b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/mpesa/stkpush/v1/processrequest", 404, "404.001.03"),
        ("/mpesa/reversal/v1/request", 404, "404.001.03"),
        ("/mpesa/b2c/v3/paymentrequest", 401, "401.002.01"),
        ("/mpesa/accountbalance/v1/query", 401, "401.002.01"),
        ("/pulltransactions/v1/query", 400, "400.003.01"),
    ],
)
async def test_an_invalid_token_has_a_code_of_each_api(rails, path, status, code):
    await rails.login()
    await rails.control("/daraja/script", {"expire_tokens": True})
    answered, body = await rails.post(path, {})
    assert (answered, body["errorCode"]) == (status, code)
    assert set(body) == {"requestId", "errorCode", "errorMessage"}


async def test_a_token_expires_by_itself(rails):
    await rails.control("/daraja/script", {"knobs": {"token_ttl_s": 0.0}})
    _, body = await rails.push()
    assert body["errorCode"] == "404.001.03"


async def test_wrong_path_method_header_and_media_type_have_their_codes(rails):
    await rails.login()
    bearer = {"Authorization": f"Bearer {rails.token}"}
    push = f"{rails.url}/mpesa/stkpush/v1/processrequest"
    seen = []
    for method, url, headers in [
        ("POST", f"{rails.url}/mpesa/stkpush/v2/processrequest", bearer),
        ("GET", push, bearer),
        ("POST", push, {}),
        ("POST", push, {**bearer, "Content-Type": "text/plain"}),
    ]:
        async with rails.http.request(method, url, headers=headers, data=b"{}") as answer:
            seen.append((answer.status, (await answer.json())["errorCode"]))
    assert seen == [(404, "404.001.01"), (405, "405.001"), (404, "404.001.04"), (400, "400.002.02")]


async def test_spike_arrest_refuses_what_exceeds_the_rate(rails):
    await rails.login()
    await rails.control("/daraja/script", {"knobs": {"spike_per_s": 2.0}})
    codes = [(await rails.post("/mpesa/stkpush/v1/processrequest", {}))[1]["errorCode"] for _ in range(5)]
    assert codes[:2] == ["400.002.02"] * 2
    assert "500.003.02" in codes[2:]


async def test_a_product_that_is_switched_off_answers_401(rails):
    await rails.control("/daraja/script", {"knobs": {"products_off": ["stk"]}})
    status, body = await rails.push()
    assert status == 401
    assert "apiproduct" in body["errorMessage"]


async def test_a_scripted_error_executes_nothing(rails):
    await rails.control(
        "/daraja/script",
        {"steps": [{"op": "stk", "fault": "error", "error_code": "500.003.02", "error_message": "System is busy"}]},
    )
    status, body = await rails.push()
    assert (status, body["errorCode"]) == (500, "500.003.02")
    assert (await rails.control("/truth"))["pushes"] == []


@pytest.mark.parametrize(("fault", "recorded"), [("reset", 0), ("reset_after", 1)])
async def test_a_reset_leaves_no_reply_and_the_truth_says_whether_it_was_executed(rails, fault, recorded):
    await rails.login()
    await rails.control(f"/phones/{254708374149}/script", {"steps": [{"fault": fault, "outcome": "wait"}]})
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await rails.push()
    assert len((await rails.control("/truth"))["pushes"]) == recorded


@pytest.mark.parametrize("fault", ["html_after", "truncated"])
async def test_an_unreadable_reply_comes_after_execution(rails, fault):
    await rails.login()
    await rails.control(f"/phones/{254708374149}/script", {"steps": [{"fault": fault, "outcome": "wait"}]})
    with pytest.raises((aiohttp.ContentTypeError, ValueError)):
        await rails.push()
    assert len((await rails.control("/truth"))["pushes"]) == 1


async def test_a_refusal_may_come_as_http_200(rails):
    await rails.control("/daraja/script", {"steps": [{"op": "stk", "fault": "refused_200"}]})
    status, body = await rails.push()
    assert (status, body["ResponseCode"]) == (200, "1")
    assert (await rails.control("/truth"))["pushes"] == []
