import re

import pytest

AGENT_TOKEN = "agent-CR9000001-sandbox"


async def test_authorize_tells_the_identity_and_hides_the_token_in_the_echo(rails):
    deriv = await rails.deriv()
    reply = await deriv.ask({"authorize": AGENT_TOKEN, "req_id": 7, "passthrough": {"a": 1}})
    assert reply["msg_type"] == "authorize"
    assert reply["req_id"] == 7
    assert reply["echo_req"] == {"authorize": "<not shown>", "req_id": 7, "passthrough": {"a": 1}}
    told = reply["authorize"]
    assert (told["loginid"], told["currency"], told["is_virtual"]) == ("CR9000001", "USD", 0)
    assert "payments" in told["scopes"]
    assert isinstance(told["balance"], int | float)


@pytest.mark.parametrize(
    ("request_", "msg_type", "field"),
    [
        ({"ping": 1, "surprise": 1}, "ping", "surprise"),
        ({"ping": 2}, "ping", "ping"),
        ({"ping": True}, "ping", "ping"),
        ({"time": 1, "req_id": "7"}, "time", "req_id"),
        ({"authorize": "has space"}, "authorize", "authorize"),
        ({"authorize": "ok", "tokens": ["x"] * 26}, "authorize", "tokens"),
        ({"transaction": 1}, "transaction", "subscribe"),
        ({"statement": 1, "limit": 1000}, "statement", "limit"),
        ({"forget": "short"}, "forget", "forget"),
        (
            {"paymentagent_transfer": 1, "amount": "9.66", "currency": "USD", "transfer_to": "CR1"},
            "paymentagent_transfer",
            "amount",
        ),
        (
            {"paymentagent_transfer": 1, "amount": 9, "currency": "USD", "transfer_to": "CR1", "description": "PP_1"},
            "paymentagent_transfer",
            "description",
        ),
        ({"paymentagent_transfer": 1, "amount": 9, "currency": "USD"}, "paymentagent_transfer", "transfer_to"),
    ],
)
async def test_a_request_outside_its_schema_fails_validation_by_name(rails, request_, msg_type, field):
    deriv = await rails.deriv()
    reply = await deriv.ask(request_)
    assert reply["msg_type"] == msg_type
    assert reply["error"]["code"] == "InputValidationFailed"
    assert reply["error"]["message"] == f"Input validation failed: {field}"
    assert field in reply["error"]["details"]
    assert "echo_req" in reply
    assert msg_type not in reply


async def test_what_is_no_call_at_all_is_unrecognised(rails):
    deriv = await rails.deriv()
    assert await deriv.refused({"nonsense": 1, "req_id": 1}) == "UnrecognisedRequest"
    await deriv.socket.send_str("not json")
    assert (await deriv.next())["error"]["code"] == "BadRequest"


async def test_ping_time_and_website_status_need_no_login(rails):
    deriv = await rails.deriv()
    assert (await deriv.ask({"ping": 1}))["ping"] == "pong"
    assert isinstance((await deriv.ask({"time": 1}))["time"], int)
    status = (await deriv.ask({"website_status": 1}))["website_status"]
    assert status["site_status"] == "up"
    assert status["currencies_config"]["USD"]["fractional_digits"] == 2
    assert "max_requestes_general" in status["api_call_limits"]


async def test_an_unknown_application_and_token_are_refused(rails):
    stranger = await rails.deriv(app_id="5")
    assert await stranger.refused({"ping": 1}) == "InvalidAppID"
    deriv = await rails.deriv()
    assert await deriv.refused({"authorize": "nobody"}) == "InvalidToken"
    assert await deriv.refused({"balance": 1}) == "AuthorizationRequired"


async def test_a_session_token_works_only_with_its_application(rails):
    customer = await rails.customer()
    token = (await rails.control("/deriv/tokens", {"loginid": customer["loginid"], "app_id": "36544"}))["token"]
    other = await rails.deriv(app_id="1089")
    reply = await other.ask({"authorize": token})
    assert reply["error"]["message"] == "Token is not valid for current app ID."
    own = await rails.deriv()
    assert (await own.ask({"authorize": token}))["authorize"]["loginid"] == "CR123456"


async def test_a_missing_scope_is_permission_denied(rails):
    customer = await rails.customer(scopes=["read"])
    deriv = await rails.deriv()
    await deriv.ask({"authorize": customer["token"]})
    assert "balance" in await deriv.ask({"balance": 1})
    transfer = {"paymentagent_transfer": 1, "amount": 1, "currency": "USD", "transfer_to": "CR1"}
    assert await deriv.refused(transfer) == "PermissionDenied"


async def test_several_tokens_need_a_loginid_on_every_call(rails):
    first = await rails.customer()
    second = await rails.customer(loginid="CR222222", balance="5.00")
    deriv = await rails.deriv()
    await deriv.ask({"authorize": "MULTI", "tokens": [first["token"], second["token"]]})
    assert await deriv.refused({"balance": 1}) == "InputValidationFailed"
    assert (await deriv.ask({"balance": 1, "loginid": "CR222222"}))["balance"]["balance"] == 5


async def test_a_revoked_token_ends_the_calls_of_its_session(rails):
    agent = await rails.agent()
    await rails.control("/deriv/tokens/revoke", {"token": AGENT_TOKEN})
    assert await agent.refused({"balance": 1}) == "InvalidToken"
    await rails.control("/deriv/tokens/restore", {"token": AGENT_TOKEN, "loginid": "CR9000001"})
    assert "balance" in await agent.ask({"balance": 1})


async def test_the_same_stream_cannot_be_opened_twice_and_forget_ends_it(rails):
    agent = await rails.agent()
    reply = await agent.ask({"balance": 1, "subscribe": 1})
    stream = reply["subscription"]["id"]
    assert re.fullmatch(r"[\w-]{32,128}", stream)
    assert reply["balance"]["id"] == stream
    assert await agent.refused({"balance": 1, "subscribe": 1}) == "AlreadySubscribed"
    assert (await agent.ask({"forget": stream}))["forget"] == 1
    assert (await agent.ask({"forget": stream}))["forget"] == 0
    again = (await agent.ask({"balance": 1, "subscribe": 1}))["subscription"]["id"]
    assert (await agent.ask({"forget_all": ["balance", "transaction"]}))["forget_all"] == [again]


async def test_all_balances_need_a_session_token(rails):
    customer = await rails.customer(balance="10.00")
    await rails.customer(loginid="CR222222", balance="5.50")
    deriv = await rails.deriv()
    await deriv.ask({"authorize": customer["token"]})
    assert await deriv.refused({"balance": 1, "account": "all"}) == "PermissionDenied"
    token = (await rails.control("/deriv/tokens", {"loginid": "CR123456", "app_id": "36544"}))["token"]
    await deriv.ask({"authorize": token})
    told = (await deriv.ask({"balance": 1, "account": "all"}))["balance"]
    assert told["total"]["deriv"]["amount"] == 15.5
    assert set(told["accounts"]) == {"CR123456", "CR222222"}


async def test_a_silent_client_is_closed_after_the_idle_time(rails):
    await rails.control("/deriv/script", {"knobs": {"idle_close_s": 0.1}})
    deriv = await rails.deriv()
    assert await deriv.dropped()


async def test_updating_is_announced_before_all_sockets_are_dropped(rails):
    deriv = await rails.deriv()
    subscribed = await deriv.ask({"website_status": 1, "subscribe": 1, "req_id": 3})
    await rails.control("/deriv/site", {"status": "updating", "message": "Release", "drop_after_s": 0.05})
    told = await deriv.next()
    assert told["website_status"]["site_status"] == "updating"
    assert (told["req_id"], told["subscription"]) == (3, subscribed["subscription"])
    assert await deriv.dropped()


async def test_a_site_that_is_down_takes_no_socket(rails):
    await rails.control("/deriv/site", {"status": "down"})
    async with rails.http.get(f"{rails.url}/websockets/v3?app_id=36544") as answer:
        assert answer.status == 503


async def test_a_zombie_keeps_the_socket_and_says_nothing(rails):
    agent = await rails.agent()
    await rails.control("/deriv/script", {"knobs": {"zombie": True}})
    await agent.send({"ping": 1})
    assert await agent.silent()
    await rails.control("/deriv/script", {"knobs": {"zombie": False}})
    assert (await rails.control("/deriv/sessions"))["sessions"][0]["loginids"] == ["CR9000001"]


async def test_too_many_calls_are_rate_limited_before_execution(rails):
    agent = await rails.agent()
    await rails.control("/deriv/script", {"knobs": {"calls_per_min": 3}})
    replies = [await agent.ask({"ping": 1}) for _ in range(5)]
    assert [reply.get("error", {}).get("code") for reply in replies] == [None] * 3 + ["RateLimit"] * 2


async def test_drop_cuts_the_sockets_of_one_login(rails):
    agent = await rails.agent()
    other = await rails.deriv()
    assert await rails.control("/deriv/drop", {"loginid": "CR9000001"}) == {"dropped": 1}
    assert await agent.dropped()
    assert (await other.ask({"ping": 1}))["ping"] == "pong"


async def test_the_oauth_page_sends_back_a_triple_per_account(rails):
    await rails.customer(email="jane@example.com")
    await rails.customer(loginid="VRTC55", email="jane@example.com", is_virtual=True)
    url = f"{rails.url}/oauth2/authorize?app_id=36544&state=abc&login=CR123456"
    async with rails.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 302
        query = dict(pair.split("=") for pair in answer.headers["Location"].partition("?")[2].split("&"))
    assert (query["acct1"], query["cur1"], query["state"], query["acct2"]) == ("CR123456", "USD", "abc", "VRTC55")
    deriv = await rails.deriv()
    told = (await deriv.ask({"authorize": query["token1"]}))["authorize"]
    assert (told["loginid"], told["fullname"]) == ("CR123456", "Jane Wanjiku")
    assert [one["loginid"] for one in told["account_list"]] == ["CR123456", "VRTC55"]
    virtual = await rails.deriv()
    assert (await virtual.ask({"authorize": query["token2"]}))["authorize"]["fullname"] == ""


async def test_the_oauth_page_refuses_a_foreign_application(rails):
    async with rails.http.get(f"{rails.url}/oauth2/authorize?app_id=1", allow_redirects=False) as answer:
        assert answer.status == 400


async def test_a_login_with_the_automatic_prefix_exists(rails):
    deriv = await rails.deriv()
    assert (await deriv.ask({"authorize": "a1-CRB17"}))["authorize"]["loginid"] == "CRB17"
