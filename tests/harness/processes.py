"""Fixtures that run whole processes: the sandbox rails, and an installation with a node."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penpay.stack import ChildProcess, NodeProcess, PrivateInstallation, clean_environment


@pytest.fixture
def sandbox(run_folder: Path) -> Iterator[ChildProcess]:
    argv = [sys.executable, "-m", "penpay.sandbox", "--data", str(run_folder / "truth"), "--seed", "1"]
    process = ChildProcess("sandbox", argv, folder=run_folder, env=clean_environment(os.environ))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def make_installation() -> Iterator[type[PrivateInstallation]]:
    """Build installations with settings of the test's own; all are stopped afterwards."""
    made: list[PrivateInstallation] = []

    class Stopped(PrivateInstallation):
        def __init__(self, **options: object) -> None:
            super().__init__(**options)  # type: ignore[arg-type]  # passed through
            made.append(self)

    yield Stopped
    for installation in reversed(made):
        installation.stop()


@pytest.fixture(scope="module")
def installation() -> Iterator[PrivateInstallation]:
    """One running installation for a module, with the times of sagas divided by 30."""
    with PrivateInstallation(settings={"PENPAY_TIMING__SPEED": "30"}) as running:
        running.start()
        yield running


@pytest.fixture
def node(installation: PrivateInstallation) -> NodeProcess:
    return installation.node
