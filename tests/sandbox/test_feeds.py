import math

import pytest


async def rate(rails, source):
    async with rails.http.get(f"{rails.url}/fx/{source}") as answer:
        return answer.status, await answer.json()


async def test_both_sources_agree_until_they_are_told_otherwise(rails):
    status, body = await rate(rails, "primary")
    assert status == 200
    assert (body["base"], body["rates"]) == ("USD", {"KES": 129.5})
    assert isinstance(body["timestamp"], int)
    await rails.control("/fx", {"second": {"mid": "135.00"}})
    assert (await rate(rails, "second"))[1]["rates"]["KES"] == 135
    assert (await rate(rails, "primary"))[1]["rates"]["KES"] == 129.5


async def test_a_source_can_be_stale_absurd_or_down(rails):
    _, fresh = await rate(rails, "primary")
    await rails.control("/fx", {"primary": {"age_s": 3600.0, "base": "EUR", "mid": "0"}})
    _, stale = await rate(rails, "primary")
    assert fresh["timestamp"] - stale["timestamp"] > 3500
    assert (stale["base"], stale["rates"]["KES"]) == ("EUR", 0)
    await rails.control("/fx", {"primary": {"mid": "NaN", "status": 500}})
    status, broken = await rate(rails, "primary")
    assert status == 500
    assert math.isnan(broken["rates"]["KES"])


@pytest.mark.parametrize("body", [{"third": {}}, {"primary": {"mid": "abc"}}, {"primary": {"age": 1}}])
async def test_the_control_api_refuses_what_it_does_not_know(rails, body):
    assert "error" in await rails.control("/fx", body, expect=400)


async def send(rails, **changes):
    form = {"username": "sandbox", "to": "+254708374149", "message": "Your code is 123456", "from": "PENPAY"}
    headers = {"apiKey": changes.pop("key", "atsk-sandbox"), "Accept": "application/json"}
    async with rails.http.post(f"{rails.url}/version1/messaging", data={**form, **changes}, headers=headers) as answer:
        return answer.status, await answer.json() if answer.status == 201 else await answer.text()


async def test_a_text_message_is_kept_with_its_words(rails):
    status, body = await send(rails)
    recipient = body["SMSMessageData"]["Recipients"][0]
    assert (status, recipient["statusCode"], recipient["status"]) == (201, 101, "Success")
    kept = (await rails.control("/sms?to=%2B254708374149"))["messages"]
    assert [(one["text"], one["sender"]) for one in kept] == [("Your code is 123456", "PENPAY")]
    assert (await rails.control("/sms?to=254711000001"))["messages"] == []


async def test_a_wrong_key_a_bad_number_and_an_outage_send_nothing(rails):
    assert await send(rails, key="wrong") == (401, "The supplied authentication is invalid")
    _, body = await send(rails, to="0708374149")
    assert body["SMSMessageData"]["Recipients"][0]["statusCode"] == 403
    await rails.control("/sms", {"fail": 1, "status": 503})
    assert (await send(rails))[0] == 503
    assert (await send(rails))[0] == 201
    assert len((await rails.control("/sms"))["messages"]) == 1
