"""What every test gets. The fixtures are described in tests/harness."""

import ipaddress
import os
import sys

import hypothesis
import pytest

from penpay.stack import clean_environment

pytest_plugins = ["tests.harness.servers", "tests.harness.databases", "tests.harness.processes"]

hypothesis.settings.register_profile("house", deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")

# A developer's own configuration must not decide what a test sees.
for _name in os.environ.keys() - clean_environment(os.environ).keys():
    if not _name.startswith("PYTHON"):
        del os.environ[_name]


def _refuse_the_outside(event: str, arguments: tuple[object, ...]) -> None:
    """Tests speak to loopback and Unix sockets only; a test that reaches further has lost its sandbox."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if not isinstance(address, tuple) or not isinstance(address[0], str):
        return
    try:
        outside = not ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        outside = address[0] != "localhost"
    if outside:
        raise ConnectionRefusedError(f"a test tried to reach {address[0]}")


sys.addaudithook(_refuse_the_outside)

_MARKS_BY_FIXTURE = {
    "mariadb": "mysql",
    "private_mariadb": "mysql",
    "redis": "redis",
    "installation": "e2e",
    "make_installation": "e2e",
    "sandbox": "e2e",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers that its fixtures start, so that `-m "not mysql"` works without discipline."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if mark := _MARKS_BY_FIXTURE.get(fixture):
                item.add_marker(getattr(pytest.mark, mark))
