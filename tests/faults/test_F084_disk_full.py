"""F84: the database takes no writes: its disk is full, or it was made read-only."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from penpay.bench.seed import Customer
from penpay.chaos.books import settled
from penpay.stack import PrivateInstallation, RunFolder
from penpay.stack.folder import memory_folder
from tests.faults.conftest import judged
from tests.faults.restoring import staged
from tests.faults.stage import SETTINGS, WAITS, Reply, Stage
from tests.harness.small_disk import small_disk
from tests.harness.wire import Wire

KEY = "F084-asks-twice"
CROWD = 120


@contextlib.contextmanager
def read_only(stage: Stage) -> Iterator[None]:
    """The server refuses every write of an ordinary login."""
    stage.rows("SET GLOBAL read_only = ON")
    try:
        yield
    finally:
        stage.rows("SET GLOBAL read_only = OFF")


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    with RunFolder(memory_folder()) as folder:
        yield folder.path


async def test_money_is_refused_and_everything_goes_on_alone_afterwards(wired: tuple[Stage, Wire]) -> None:
    stage, _ = wired
    who, asking = stage.customer(), stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    push = await stage.push_of(who)
    with read_only(stage):
        refused = await stage.ask(asking, key=KEY)
        assert refused.status == 503
        # A callback that cannot be stored is not acknowledged.
        told = {"checkout_id": push["checkout_id"], "msisdn": who.msisdn, "amount_kes": stage.amount_of(who)}
        assert await stage.forge(push["callback_url"], **told) >= 500
        await stage.answers(who)
        await asyncio.sleep(1.0)
        assert stage.state(deposit) in {"STK_SENDING", "AWAITING_PAYER"}
        assert (await stage.told(who)).transfers == []
    # The callback is lost, as Safaricom sends it once: the query or the list of payments tells.
    await stage.reaches(deposit, "COMPLETED", within_s=60)
    assert (await stage.told(who)).counts == (1, 1, 1)
    # What was refused may still be written when the server takes writes again: the same key is safe, and asks once.
    again = await stage.ask(asking, key=KEY)
    assert again.status == 202, again.body
    await stage.reaches(str(again.body["id"]), "COMPLETED", within_s=60)
    assert (await stage.told(asking)).counts == (1, 1, 1)


async def test_a_full_disk_takes_whole_units_or_none_and_nobody_restarts_anything(
    make_installation: type[PrivateInstallation],
) -> None:
    installation = make_installation(settings=SETTINGS)
    with data_folder() as folder, small_disk(folder / "disk", installation.folder) as (server, disk):
        installation.mariadb = server
        installation.start()
        async with staged(installation, customers=CROWD + 1) as stage:
            early = stage.customer()
            before = await stage.deposit(early, phone=WAITS)
            born = {path: member["restarts"] for path, member in (await stage.operator.members()).items()}
            await stage.push_of(early)
            disk.fill()
            await stage.answers(early)
            # What fits into pages that are there already is still taken, wholly.
            crowd: dict[Customer, Reply] = {}
            async with asyncio.timeout(60):
                while not crowd or [*crowd.values()][-1].status == 202:
                    who = stage.customer()
                    crowd[who] = await stage.ask(who, key=f"F084-{who.number}")
            refused = {who: reply for who, reply in crowd.items() if reply.status != 202}
            assert {(reply.status, reply.headers.get("Retry-After", "") != "") for reply in refused.values()} == {
                (503, True)
            }
            await asyncio.to_thread(installation.run, "check")
            disk.free()
            await stage.operator.until_ready(within_s=30)
            for who in refused:
                crowd[who] = await stage.ask(who, key=f"F084-{who.number}")
                assert crowd[who].status == 202, crowd[who].body
            await settled(installation, within_s=60)
            for who, deposit in [(early, before), *((who, str(reply.body["id"])) for who, reply in crowd.items())]:
                assert stage.state(deposit) == "COMPLETED"
                assert (await stage.told(who)).counts == (1, 1, 1)
                assert stage.transactions_of(who) == 1
            members = await stage.operator.members()
            assert {path: member["restarts"] for path, member in members.items()} == born
        await asyncio.to_thread(judged, installation)
        installation.stop()
