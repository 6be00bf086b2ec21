"""F85: the database is put back from a backup that is an hour old, and money has moved since."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from penpay.stack import PrivateInstallation
from tests.faults.operating import findings, run
from tests.faults.restoring import copied, put_back, staged, until_opened
from tests.faults.stage import SETTINGS, WAITS, Stage

HOUR_S = 3600 / int(SETTINGS["PENPAY_TIMING__SPEED"])


async def test_what_was_paid_and_sent_since_is_neither_lost_nor_sent_again(
    make_installation: type[PrivateInstallation],
) -> None:
    installation = make_installation(settings=SETTINGS)
    installation.start()
    async with staged(installation, customers=6) as stage:
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
        known, unknown = stage.customer(), stage.customer()
        # In the backup the first of them has a prompt on the phone; of the second there is nothing at all.
        begun = await stage.deposit(known, phone=WAITS)
        await stage.reaches(begun, "AWAITING_PAYER")
        old = await copied(installation)
        copied_s = time.monotonic()
        await stage.answers(known)
        await stage.reaches(begun, "COMPLETED")
        await stage.reaches(await stage.deposit(unknown), "COMPLETED")
        # Nothing to wait for but the time itself.
        await asyncio.sleep(max(0.0, copied_s + HOUR_S - time.monotonic()))
        await put_back(installation, old)
        assert stage.transactions_of(unknown) == 0
        sent = [str(one["transaction_id"]) for who in (known, unknown) for one in (await stage.told(who)).transfers]
        items = await asked_about(stage, begun)
        assert (await stage.told(known)).counts == (1, 1, 1), "sent again before anything was compared"
        # What the backup knows to be paid cannot be sent: a person finds it in Deriv's list.
        await decide(stage, items[begun], "executed", sent[0])
        receipt = (await stage.told(unknown)).payments[0]["receipt"]
        await decide(stage, items[receipt], "own", receipt)
        await decide(stage, items[sent[1]], "own", sent[1])
        await until_opened(installation)
        assert await findings(stage) == {}
        await stage.reaches(begun, "COMPLETED")
        assert (await stage.told(known)).counts == (1, 1, 1)
        assert (await stage.told(unknown)).counts == (1, 1, 1)
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
    installation.run("check")
    assert "whole" in installation.run("audit", "verify")


async def asked_about(stage: Stage, transaction_id: str) -> Mapping[str, Any]:
    """Open questions by transaction, or by the provider's id of what belongs to none, once there are three."""
    items: dict[str, Any] = {}
    async with asyncio.timeout(150):
        while len(items) < 3 or transaction_id not in items:
            await findings(stage)
            _, listed = await run(stage.installation, "review", "list")
            items = {str(one["transaction"] or one["evidence"].get("ref")): one for one in listed}
    return items


async def decide(stage: Stage, item: Mapping[str, Any], action: str, evidence: str) -> None:
    decision = ("--action", action, "--by", "Achieng", "--second", "Brian", "--evidence", evidence, "--yes")
    await asyncio.to_thread(stage.installation.run, "review", "resolve", str(item["id"]), *decision)
