"""F79: a deadlock at the commit of a unit."""

from penpay.messages import Committed
from penpay.ports import Deadlock
from tests.harness.databases import MigratedDatabase
from tests.ledger.house import admitted, assert_sound, opened
from tests.ledger.test_faults import Meddling, first_times


async def test_the_whole_unit_is_done_again_and_is_there_once(database: MigratedDatabase) -> None:
    around = first_times([Deadlock("1213")] * 5)
    async with opened(database.url, prefix=database.prefix, wrap=lambda store: Meddling(store, around)) as ledger:
        unit = admitted()
        assert await ledger.commit(unit) == Committed(unit.unit_id, outbox_seq=1)
        assert ledger.ref.incarnation == 1
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(1,)]
    assert database.rows("SELECT COUNT(*) FROM {ledger}.transactions") == [(1,)]
    await assert_sound(database.url, prefix=database.prefix)
