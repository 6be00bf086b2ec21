"""A ledger that writes what is asked about."""

import pytest

from tests.ledger.house import opened


@pytest.fixture
async def ledger(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        yield ledger
