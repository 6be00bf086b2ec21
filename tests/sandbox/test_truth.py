import asyncio
import json
import os
import signal
import sys

import aiohttp
import pytest
from aiohttp import web

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.control import Control
from penpay.sandbox.facts import Sms
from penpay.sandbox.ids import Ids
from penpay.sandbox.server import running
from penpay.sandbox.truth import Truth
from tests.sandbox.conftest import PHONE, Rails


async def test_a_restart_brings_the_truth_back_and_goes_on_with_open_prompts(config, merchant):
    async with running(config) as house, aiohttp.ClientSession() as http:
        rails = Rails(house, http, merchant)
        house.daraja.knobs.answer_delay_s = 0.0
        await rails.control(f"/phones/{PHONE}/script", {"steps": [{"outcome": "wait"}]})
        _, ack = await rails.push()
        await rails.push(PhoneNumber="254711000001", PartyA="254711000001", Amount=50)
        await merchant.next_stk()
        await rails.customer(balance="10.00")
        agent = await rails.agent()
        done = await agent.ask(
            {"paymentagent_transfer": 1, "amount": 2.5, "currency": "USD", "transfer_to": "CR123456"}
        )
        before = await rails.control("/truth")
    async with running(config) as house, aiohttp.ClientSession() as http:
        rails = Rails(house, http, merchant)
        assert await rails.control("/truth") == before
        await rails.control(f"/pushes/{ack['CheckoutRequestID']}/answer", {"result_code": "0"})
        assert (await merchant.next_stk())["CheckoutRequestID"] == ack["CheckoutRequestID"]
        agent = await rails.agent()
        more = await agent.ask({"paymentagent_transfer": 1, "amount": 1, "currency": "USD", "transfer_to": "CR123456"})
        assert more["transaction_id"] > done["transaction_id"]
        summary = await rails.control("/truth/summary")
        assert summary["payments"] == {"count": 2, "amount_minor": 135_000}
        assert summary["customers"]["current_minor"] == 1350


async def test_an_access_token_does_not_survive_a_restart(config, merchant):
    async with running(config) as house, aiohttp.ClientSession() as http:
        rails = Rails(house, http, merchant)
        await rails.login()
        token = rails.token
    async with running(config) as house, aiohttp.ClientSession() as http:
        rails = Rails(house, http, merchant, token)
        assert (await rails.push())[1]["errorCode"] == "404.001.03"


def test_a_half_written_last_line_is_cut_off(tmp_path):
    path = tmp_path / "truth.jsonl"
    truth = Truth(path, forced=True)
    truth.record(Sms("m1", "+254700000000", "", "one", 1.0))
    truth.close()
    with path.open("ab") as file:
        file.write(b'["Sms",{"message_id":"m2"')
    again = Truth(path, forced=True)
    again.record(Sms("m3", "+254700000000", "", "three", 3.0))
    again.close()
    assert [json.loads(line)[1]["message_id"] for line in path.read_bytes().splitlines()] == ["m1", "m3"]


async def test_facts_of_one_moment_share_a_forced_write_and_all_wait_for_it(tmp_path):
    path = tmp_path / "truth.jsonl"
    truth = Truth(path, forced=True)
    seen: list[int] = []

    async def one(number: int) -> None:
        truth.record(Sms(f"m{number}", "", "", "", 0.0))
        await truth.durable()
        seen.append(len(path.read_bytes().splitlines()))

    await asyncio.gather(*(one(number) for number in range(50)))
    truth.close()
    assert seen == [50] * 50


def test_ids_differ_between_starts_with_the_same_seed():
    first, second = Ids(seed=1, boot=1), Ids(seed=1, boot=2)
    drawn = [ids.receipt() for ids in (first, second) for _ in range(5000)]
    assert len(set(drawn)) == 10_000
    assert all(len(receipt) == 10 and receipt.isalnum() and receipt.isupper() for receipt in drawn[:100])
    assert first.transaction_id() < second.transaction_id()


async def test_the_totals_agree_with_the_movements(rails):
    paid = await rails.paid()
    await rails.paid(Amount=700)
    await rails.reverse(paid["MpesaReceiptNumber"], 1300)
    await rails.inbox.next_result()
    await rails.payout("id-1")
    await rails.inbox.next_result()
    await rails.control("/funds", {"account": "utility", "delta_minor": 1234})
    told = await rails.control("/truth/summary")
    assert told["paybill"]["current_minor"] == (
        told["paybill"]["opening_minor"] + told["payments"]["amount_minor"] - told["reversals"]["amount_minor"]
    )
    assert told["utility"]["current_minor"] == (
        told["utility"]["opening_minor"] + told["funds"]["utility"] - told["payouts"]["amount_minor"]
    )


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (f"/phones/{PHONE}/script", {"steps": [{"outcom": "0"}]}, "outcom"),
        (f"/phones/{PHONE}/script", {"steps": [{"copies": "2"}]}, "copies"),
        (f"/phones/{PHONE}/script", {"steps": [{"callback": "maybe"}]}, "callback"),
        (f"/phones/{PHONE}/script", {"steps": [{"extra": ["0@1"]}]}, "extra"),
        ("/phones/0708374149/script", {"steps": []}, "phone"),
        ("/daraja/script", {"steps": [{"op": "stq"}]}, "op"),
        ("/daraja/script", {"knobs": {"latency": 1}}, "latency"),
        ("/deriv/script", {"steps": [{"op": "ping", "fault": "explode"}]}, "fault"),
        ("/deriv/customers", {"email": "a@b.c"}, "fullname"),
        ("/pushes/ws_CO_none/answer", {}, "push"),
    ],
)
async def test_a_control_request_that_is_not_understood_changes_nothing_and_says_why(rails, path, body, named):
    before = await rails.control("/script")
    told = await rails.control(path, body, expect=400)
    assert named in told["error"]
    assert await rails.control("/script") == before


async def test_the_index_lists_every_route(rails):
    told = await rails.control("")
    listed = {tuple(line.split()[:2]) for line in told["endpoints"]}
    router = web.UrlDispatcher()
    Control(rails.house).add_routes(router)
    served = {(route.method, route.resource.canonical) for route in router.routes() if route.resource}
    assert {(method, path.partition("?")[0]) for method, path in listed} == served


async def test_the_process_says_when_it_is_ready_and_ends_on_a_signal(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "penpay.sandbox",
        "--data",
        str(tmp_path / "truth"),
        "--fast",
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", "")},
    )
    assert process.stdout is not None
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    async with aiohttp.ClientSession() as http, http.get(f"{told['url']}/control/identity") as answer:
        assert await answer.json() == told
    assert told["environment"]["PENPAY_DERIV__WS_URL"].startswith("ws://127.0.0.1:")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_fast_mode_answers_at_once_without_spacing(tmp_path, merchant):
    config = SandboxConfig(data_dir=tmp_path, fast=True)
    async with running(config) as house, aiohttp.ClientSession() as http:
        rails = Rails(house, http, merchant)
        for _ in range(3):
            await rails.paid()
        assert (await rails.control("/truth/summary"))["payments"]["count"] == 3
