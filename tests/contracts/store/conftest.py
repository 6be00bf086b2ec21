"""Every test of this folder runs twice: on the simulation's store and on MariaDB."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contracts.store.stage import MariaDbStage, MemoryStage, Stage
from tests.harness.databases import MigratedDatabase, migrated


@pytest.fixture(scope="session")
def contract_database(mariadb) -> Iterator[MigratedDatabase]:
    """One for the whole folder, emptied after each test: that takes a tenth of the time of a new one."""
    fresh = migrated(mariadb, prefix="contracts_")
    yield fresh
    fresh.drop()


@pytest.fixture(params=["memory", pytest.param("mariadb", marks=pytest.mark.mysql)])
def installation(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The database's fixture is no coroutine and must be made outside of the loop."""
    if request.param == "memory":
        yield MemoryStage()
        return
    stage = MariaDbStage(request.getfixturevalue("contract_database"))
    yield stage
    stage.wipe()


@pytest.fixture
async def stage(installation: Stage) -> AsyncIterator[Stage]:
    yield installation
    installation.close()
