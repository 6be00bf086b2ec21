"""Every test of this folder runs twice: on the simulation's store and on MariaDB."""

from collections.abc import AsyncIterator

import pytest

from tests.contracts.store.stage import MariaDbStage, MemoryStage, Stage


@pytest.fixture(params=["memory", pytest.param("mariadb", marks=pytest.mark.mysql)])
def installation(request: pytest.FixtureRequest) -> Stage:
    """The database's fixture is no coroutine and must be made outside of the loop."""
    return MemoryStage() if request.param == "memory" else MariaDbStage(request.getfixturevalue("database"))


@pytest.fixture
async def stage(installation: Stage) -> AsyncIterator[Stage]:
    yield installation
    installation.close()
