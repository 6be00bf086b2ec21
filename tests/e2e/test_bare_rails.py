"""A deposit needs OAuth, a push, `authorize` and a transfer; every other call of the rails only brings evidence."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from penpay.bench.seed import seed
from penpay.stack import PrivateInstallation
from tests.harness.bare_rails import BareRails

SETTINGS = {
    "PENPAY_NODE__SHARDS": "1",
    "PENPAY_TIMING__SPEED": "30",
    "PENPAY_TIMING__OPENING_WAIT_S": "2",
    "PENPAY_TIMING__DERIV_CALL_S": "1",
    "PENPAY_TIMING__DARAJA_CALL_S": "2",
}


@dataclass(frozen=True)
class Bare:
    installation: PrivateInstallation
    rails: BareRails


@pytest.fixture(params=[False, True], ids=["refused", "silent"])
async def bare(request, tmp_path: Path) -> AsyncIterator[Bare]:
    rails = BareRails(silent=request.param)
    await rails.open()
    with PrivateInstallation(settings=SETTINGS) as installation:
        # The simulated rails lend their certificate, and nothing else.
        await asyncio.to_thread(installation.start_servers)
        certificate = installation.environment["PENPAY_DARAJA__CERTIFICATE"]
        kept = tmp_path / "certificate.pem"
        await asyncio.to_thread(shutil.copyfile, certificate, kept)
        installation.settings.update(rails.environment(str(kept)))
        installation.sandbox.stop()
        await asyncio.to_thread(installation.run, "migrate")
        await installation.add_node("node-1").start_async()
        yield Bare(installation, rails)
    await rails.close()


async def test_a_deposit_is_credited_by_rails_that_answer_nothing_but_the_needful(bare: Bare) -> None:
    node = bare.installation.node
    (customer,) = await seed(node.env or {}, 1)
    headers = {"Authorization": f"Bearer {customer.token}", "Idempotency-Key": "bare-1"}
    async with aiohttp.ClientSession(node.public_url, headers=headers) as session, asyncio.timeout(60):
        body = {"amount": {"amount": "1300.00", "currency": "KES"}}
        while True:  # what Deriv does not answer is found out by waiting for it
            async with session.post("/api/v1/deposits", json=body) as answer:
                told, status = await answer.json(), answer.status
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(0.2)
        assert status == HTTPStatus.ACCEPTED, told
        while told["status"] != "COMPLETED":
            assert told["status"] not in {"FAILED", "IN_REVIEW", "REVERSED"}, told
            await asyncio.sleep(0.1)
            async with session.get(f"/api/v1/transactions/{told['id']}") as answer:
                told = await answer.json()
        async with session.get(f"{node.internal_url}/readyz") as answer:
            rails = {name: one["detail"] for name, one in (await answer.json())["dependencies"].items()}
    doctor = json.loads(await asyncio.to_thread(bare.installation.run, "doctor", "--json"))
    assert [one["level"] for one in doctor if one["check"] == "node: deriv"] == ["note"]
    assert told["evidence"]["mpesa_receipt"] == "SJK0000001"
    (push,), (transfer,) = bare.rails.pushes, bare.rails.transfers
    assert (push["Amount"], transfer["transfer_to"], transfer["amount"]) == (1300, customer.loginid, 9.66)
    assert rails["deriv"].startswith("without ")
    assert bare.rails.refused >= {"statement", "transaction", "balance", "time", "website_status"}
