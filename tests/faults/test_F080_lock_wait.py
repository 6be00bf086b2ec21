"""F80: a lock time-out, which takes back its statement only."""

import pytest

from penpay.messages import Committed
from penpay.ports import LockTimeout
from tests.harness.databases import MigratedDatabase
from tests.ledger.house import assert_sound, opened, plain
from tests.ledger.test_faults import Meddling, first_times


@pytest.mark.parametrize("after_commit", [False, True], ids=["before anything", "behind the statements"])
async def test_no_half_of_a_unit_is_kept(database: MigratedDatabase, after_commit: bool) -> None:
    around = first_times([LockTimeout("1205")] * 2, after_commit=after_commit)
    async with opened(database.url, prefix=database.prefix, wrap=lambda store: Meddling(store, around)) as ledger:
        units = [plain() for _ in range(3)]
        for unit in units:
            assert isinstance(await ledger.commit(unit), Committed)
    assert database.rows("SELECT COUNT(*) FROM {ledger}.postings") == [(3,)]
    assert database.rows("SELECT COUNT(*) FROM {ledger}.ledger_entries") == [(6,)]
    await assert_sound(database.url, prefix=database.prefix)
