"""F81: the connection is lost during COMMIT."""

import asyncio

import pytest

from penpay.messages import Committed
from penpay.ports import ConnectionLost
from tests.faults.stage import Stage
from tests.harness.databases import MigratedDatabase
from tests.harness.wire import AtCommit, Wire
from tests.ledger.house import admitted, assert_sound, opened, paid
from tests.ledger.test_faults import Meddling, first_times


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
async def test_whether_it_was_done_is_read_and_the_unit_is_there_once(database: MigratedDatabase, done: bool) -> None:
    around = first_times([ConnectionLost(commit_sent=True)] * 3, after_commit=done)
    async with opened(database.url, prefix=database.prefix, wrap=lambda store: Meddling(store, around)) as ledger:
        first = admitted()
        answers = await asyncio.gather(ledger.commit(first), ledger.commit(first))
        assert all(isinstance(answer, Committed) for answer in answers)
        assert isinstance(await ledger.commit(paid(first)), Committed)
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(2,)]
    await assert_sound(database.url, prefix=database.prefix)


@pytest.mark.parametrize("when", ["lost", "done"])
async def test_on_a_whole_node_every_deposit_ends_once_although_its_commits_are_cut(
    wired: tuple[Stage, Wire], when: AtCommit
) -> None:
    stage, wire = wired
    crowd = [stage.customer() for _ in range(8)]
    before, wire.at_commit, wire.cuts_left = wire.cuts, when, 12
    deposits = await asyncio.gather(*(stage.deposit(who) for who in crowd))
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED", within_s=60)
        assert (await stage.told(who)).counts == (1, 1, 1)
    assert wire.cuts - before > 4
