"""A deposit as a customer's app sees it, and the commands of its operators, on real parts."""

import asyncio
import io
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rich.console import Console

from penpay.bench.seed import Customer, seed
from penpay.chaos.books import rows, settled
from penpay.chaos.judge import Verdict
from penpay.client import ApiProblem, Client
from penpay.demo import up
from penpay.demo.play import Stage, sign_up
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.e2e.crowd import Operator

WALKER = 700_000_101
ASKERS = 40


@dataclass(frozen=True, slots=True)
class Desk:
    """What these tests work with."""

    installation: PrivateInstallation
    session: aiohttp.ClientSession
    control: SandboxControl

    async def post(self, who: Customer, path: str, body: object, *, key: str = "") -> aiohttp.ClientResponse:
        """One POST of a seeded customer, its body read. `body` as text is sent as it stands."""
        headers = {"Authorization": f"Bearer {who.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = body if isinstance(body, str) else json.dumps(body)
        url = f"{self.installation.node.public_url}/api/v1{path}"
        answer = await self.session.post(url, data=data, headers=headers)
        await answer.read()
        return answer

    async def get(self, who: Customer, path: str) -> Any:
        """One GET of a seeded customer."""
        headers = {"Authorization": f"Bearer {who.token}"}
        async with self.session.get(f"{self.installation.node.public_url}/api/v1{path}", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def transactions_of(self, who: Customer) -> list[tuple[Any, ...]]:
        """Their rows."""
        return rows(self.installation, "SELECT id, state FROM {ledger}.transactions WHERE user_id = %s", who.user_id)

    async def pushes_to(self, who: Customer) -> int:
        """Prompts that this phone was shown."""
        return sum(push["msisdn"] == who.msisdn for push in (await self.control.get("/truth"))["pushes"])

    async def ended(self, who: Customer, transaction_id: str) -> Any:
        """Look until it has ended."""
        async with asyncio.timeout(60):
            while (now := await self.get(who, f"/transactions/{transaction_id}"))["completed_at"] is None:
                await asyncio.sleep(0.2)
        return now


def kes(amount: str) -> dict[str, Any]:
    return {"amount": {"amount": amount, "currency": "KES"}}


@pytest.fixture(scope="module")
def askers(installation: PrivateInstallation) -> list[Customer]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return list(runner.run(seed(installation.node.env or {}, ASKERS, first=500)))


@pytest.fixture
async def desk(installation: PrivateInstallation) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Desk(installation, session, SandboxControl(installation.control_url, session))


async def test_a_customer_walks_from_registration_to_dollars(desk: Desk) -> None:
    public = desk.installation.node.public_url
    client = Client(public, desk.session)
    who = await sign_up(Stage(public, desk.session, desk.control, 20.0), client, f"254{WALKER}", WALKER)
    quote = await client.call("POST", "/quotes", {"type": "DEPOSIT", "amount": {"amount": "9.66", "currency": "USD"}})
    heard: list[dict[str, Any]] = []

    async def listen() -> None:
        async for event in client.events():
            if event.type == "transaction.updated":
                heard.append(dict(event.data))
                if event.data["status"] == "COMPLETED":
                    return

    listening = asyncio.create_task(listen())
    asked = await client.call("POST", "/deposits", {"quote_id": quote["id"]}, key="walk-1")
    assert (asked["status"], asked["send"], asked["receive"]) == ("PROCESSING", quote["send"], quote["receive"])
    async with asyncio.timeout(60):
        await listening
    assert [event["stage"] for event in heard][-3:] == ["AWAITING_PAYER", "DERIV_SENDING", "COMPLETED"]
    shown = await client.transaction(asked["id"])
    assert shown == heard[-1]
    assert shown["evidence"].keys() >= {"mpesa_receipt", "deriv_transaction_id"}
    assert (shown["deriv_loginid"], shown["failure"]) == (who.loginid, None)
    timeline = await client.call("GET", f"/transactions/{asked['id']}/timeline")
    assert [step["stage"] for step in timeline["steps"]][-1] == "COMPLETED"
    history = await client.call("GET", "/transactions")
    assert [item["id"] for item in history["items"]] == [asked["id"]]
    with pytest.raises(ApiProblem) as used:
        await client.call("POST", "/deposits", {"quote_id": quote["id"]}, key="walk-2")
    assert (used.value.status, used.value.code) == (409, "quote_used")


async def test_an_open_stream_is_counted(desk: Desk, askers: list[Customer]) -> None:
    node = desk.installation.node
    signed = {"Authorization": f"Bearer {askers[0].token}"}
    async with desk.session.get(f"{node.public_url}/api/v1/events", headers=signed) as stream:
        assert stream.status == 200
        async with desk.session.get(f"{node.internal_url}/metrics") as answer:
            told = (await answer.text()).splitlines()
    # Those of tests before this one may not be over yet.
    assert next(float(line.split()[1]) for line in told if line.startswith("penpay_event_streams ")) >= 1


async def test_a_repeated_request_gets_the_first_answer_byte_for_byte(desk: Desk, askers: list[Customer]) -> None:
    who = askers[0]
    first = await desk.post(who, "/deposits", kes("1100.00"), key="one")
    again = await desk.post(who, "/deposits", '{ "amount" : {"currency":"KES" , "amount":"1100.00"} }', key="one")
    assert (first.status, again.status) == (202, 202)
    assert await again.read() == await first.read()
    assert again.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    other = await desk.post(who, "/deposits", kes("1101.00"), key="one")
    assert (other.status, (await other.json())["code"]) == (422, "idempotency_key_reused")
    assert len(desk.transactions_of(who)) == 1


async def test_fifty_parallel_posts_with_one_key_make_one_deposit(desk: Desk, askers: list[Customer]) -> None:
    who = askers[1]
    answers = await asyncio.gather(*(desk.post(who, "/deposits", kes("1200.00"), key="same") for _ in range(50)))
    assert {answer.status for answer in answers} <= {202, 409}
    taken = {await answer.read() for answer in answers if answer.status == 202}
    assert len(taken) == 1
    assert {(await answer.json())["code"] for answer in answers if answer.status == 409} <= {"request_in_progress"}
    ((transaction_id, _),) = desk.transactions_of(who)
    await desk.ended(who, transaction_id)
    assert await desk.pushes_to(who) == 1


async def test_one_key_of_two_customers_is_two_requests(desk: Desk, askers: list[Customer]) -> None:
    one, two = askers[2:4]
    first = await (await desk.post(one, "/deposits", kes("1300.00"), key="shared")).json()
    second = await (await desk.post(two, "/deposits", kes("1400.00"), key="shared")).json()
    assert first["id"] != second["id"]
    assert second["send"] == {"amount": "1400.00", "currency": "KES"}
    foreign = await desk.session.get(
        f"{desk.installation.node.public_url}/api/v1/transactions/{first['id']}",
        headers={"Authorization": f"Bearer {two.token}"},
    )
    assert foreign.status == 404


async def test_cancelling_works_until_the_prompt_was_asked_for(desk: Desk, askers: list[Customer]) -> None:
    early, late = askers[4:6]
    # While Deriv thinks about whether this account could receive, nobody has been asked to pay.
    thinking = {"op": "paymentagent_transfer", "match": {"transfer_to": early.loginid, "dry_run": 1}}
    await desk.control.post("/deriv/script", {"steps": [{**thinking, "fault": "slow", "fault_delay_s": 6.0}]})
    asked = await (await desk.post(early, "/deposits", kes("1500.00"), key="c")).json()
    cancelled = await desk.post(early, f"/transactions/{asked['id']}/cancel", {}, key="c-cancel")
    assert cancelled.status == 200, await cancelled.text()
    body = await cancelled.json()
    assert (body["status"], body["failure"]["code"]) == ("FAILED", "cancelled")

    await desk.control.script_phone(late.msisdn, {"outcome": "wait"})
    asked = await (await desk.post(late, "/deposits", kes("1510.00"), key="c")).json()
    async with asyncio.timeout(60):
        while (await desk.get(late, f"/transactions/{asked['id']}"))["stage"] != "AWAITING_PAYER":
            await asyncio.sleep(0.05)
    refused = await desk.post(late, f"/transactions/{asked['id']}/cancel", {}, key="c-cancel")
    assert (refused.status, (await refused.json())["code"]) == (409, "not_cancellable")
    (push,) = [one for one in (await desk.control.get("/truth"))["pushes"] if one["msisdn"] == late.msisdn]
    await desk.control.post(f"/pushes/{push['checkout_id']}/answer", {})
    assert (await desk.ended(late, asked["id"]))["status"] == "COMPLETED"
    assert await desk.pushes_to(early) == 0


async def test_a_second_deposit_of_the_day_waits_for_the_phone_only(desk: Desk, askers: list[Customer]) -> None:
    who = askers[6]
    asked = await (await desk.post(who, "/deposits", kes("1600.00"), key="d1")).json()
    await desk.ended(who, asked["id"])
    soon = await desk.post(who, "/deposits", kes("1610.00"), key="d2")
    assert (soon.status, (await soon.json())["code"]) == (409, "stk_open")


async def test_the_lines_of_up_work_as_they_are_printed(desk: Desk, run_folder: Path) -> None:
    ready = await up.prepare(desk.installation)
    environment = dict(os.environ)
    if shutil.which("curl") is None:
        curl = run_folder / "curl"
        curl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent / "curl.py"}" "$@"\n')
        curl.chmod(curl.stat().st_mode | stat.S_IXUSR)
        environment["PATH"] = f"{run_folder}:{environment['PATH']}"
    done = await asyncio.to_thread(
        subprocess.run,
        ["sh"],
        input="\n".join(ready.lines()),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"stage":"STK_SENDING"' in done.stdout
    assert '"status":"COMPLETED"' in done.stdout.splitlines()[-1]


async def test_up_prints_where_the_console_is(desk: Desk) -> None:
    ready = up.Ready(
        "http://127.0.0.1:1", desk.installation.node.internal_url, "", desk.installation.ops_token, "", "", ""
    )
    printed = io.StringIO()
    up.show(Console(file=printed, soft_wrap=True), ready)
    (line,) = [line for line in printed.getvalue().splitlines() if line.split()[:1] == ["console"]]
    url = line.split()[1]
    assert ready.ops_token in line
    async with desk.session.get(url) as answer:
        assert answer.status == 200
        assert "console.js" in await answer.text()
    async with desk.session.get(url.replace("/console", "/admin/v1/overview")) as answer:
        assert answer.status == 401
    token = {"Authorization": f"Bearer {ready.ops_token}"}
    async with desk.session.get(url.replace("/console", "/admin/v1/overview"), headers=token) as answer:
        seen = await answer.json()
    assert seen["ready"] is True
    assert all(rail["up"] for rail in seen["rails"].values())
    assert seen["floats"].keys() == {"deriv_agent", "mpesa_paybill", "mpesa_utility"}


async def test_operators_see_and_restart_by_path(desk: Desk) -> None:
    installation = desk.installation
    operator = Operator(installation.node, installation.ops_token, desk.session)
    shown = json.loads(await asyncio.to_thread(installation.run, "tree", "--json"))
    assert [child["path"] for child in shown["children"]] == [
        *("ops", "infra", "door", "rails", "shards", "jobs", "edge"),
    ]
    before = await operator.members()
    await asyncio.to_thread(installation.run, "restart", "shards/2/ledger")
    after = await operator.members()
    moved = {path for path in after if after[path]["restarts"] != before[path]["restarts"]}
    # The ledger and, by rest for one, what stands behind it in its shard.
    names = ("ledger", "users", "sagas", "wake-ups", "inbox", "outbox")
    assert moved == {f"shards/2/{name}" for name in names}
    assert await operator.restart("shards/2/nobody") == 404


async def test_money_and_books_agree_at_the_end(desk: Desk) -> None:
    await settled(desk.installation, within_s=30)
    truth = await desk.control.get("/truth")
    assert (await asyncio.to_thread(Verdict.of, desk.installation, truth)).wrong == []


async def test_a_drained_node_gives_its_leases_back_and_ends_with_zero(desk: Desk) -> None:
    installation = desk.installation
    await asyncio.to_thread(installation.run, "drain")
    async with asyncio.timeout(30):
        while installation.node.is_running():
            await asyncio.sleep(0.05)
    assert installation.node.exit_code == 0
    assert rows(installation, "SELECT DISTINCT state FROM {ledger}.leases WHERE epoch > 0") == [("FREE",)]
