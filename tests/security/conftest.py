"""The listener over real stores, and the whole stage for what needs a running node."""

from tests.faults.conftest import stage, theatre
from tests.http.conftest import clock, customer, edge_settings, sealer, stores, world
from tests.security.books import books

__all__ = ["books", "clock", "customer", "edge_settings", "sealer", "stage", "stores", "theatre", "world"]
