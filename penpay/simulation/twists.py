"""How a part of the simulated composition is taken out or replaced. Production code has no switches for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from penpay.app.house import Stores
from supervisors.specs import SupervisorSpec


def _same_tree(spec: SupervisorSpec) -> SupervisorSpec:
    return spec


def _same_stores(stores: Stores) -> Stores:
    return stores


def _ignored(_world: object) -> None:
    pass


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Twists:
    """What is done to every node of a world: to its tree, to its stores, and to parts for as long as the world runs."""

    tree: Callable[[SupervisorSpec], SupervisorSpec] = _same_tree
    stores: Callable[[Stores], Stores] = _same_stores
    parts: Callable[[], AbstractContextManager[None]] = _nothing
    began: Callable[[object], None] = _ignored
    """Told of the world before anything happens in it."""


NONE = Twists()
