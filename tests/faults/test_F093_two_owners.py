"""F93: a paused node wakes up and still believes that it owns its shard."""

import asyncio

import pytest

from actors.base import ActorGone
from penpay.domain.errors import OutcomeUnknown
from penpay.messages import Committed
from tests.harness.databases import MigratedDatabase
from tests.ledger.house import assert_sound, opened, plain


async def test_every_write_of_the_former_owner_is_refused(database: MigratedDatabase) -> None:
    async with opened(database.url, prefix=database.prefix, node="old") as old:
        assert isinstance(await old.commit(plain()), Committed)
        database.rows("UPDATE {ledger}.leases SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
        async with opened(database.url, prefix=database.prefix, node="new") as new:
            tries = await asyncio.gather(*(old.commit(plain()) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(error, OutcomeUnknown) for error in tries), tries
            assert isinstance(await new.commit(plain()), Committed)
            with pytest.raises((ActorGone, OutcomeUnknown)):
                await old.commit(plain())
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT epoch) FROM {ledger}.units") == [(2, 2)]
    await assert_sound(database.url, prefix=database.prefix)
