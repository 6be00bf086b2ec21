"""Mail: what waits for an actor that breaks is found by its next incarnation. Only what it had in hand may be lost.

The ledger is the exception by rule: whoever waits for it is told at once that the rows say what became of the unit.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from actors.base import ActorCrashed, State
from actors.runtime.envelope import Broken

if TYPE_CHECKING:
    from penpay.simulation.node import SimNode
    from penpay.simulation.world import World

OFTEN = 0.03
BREAKS_MAX = 3
"""In one world: more would only show that supervisors give up."""


class ForcedCrash(Exception):
    """Not a bug: the seed wanted it."""


class Mail:
    """Breaks actors at the moment at which something is sent to them, and knows what was dropped."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._breaks = 0
        self.dropped: list[str] = []
        """Asks that nobody will handle, although who was asked came back."""

    def is_sent(self, node: "SimNode", address: str) -> None:
        """Somebody is about to send something there: it may find a broken actor, and has to wait for the next one."""
        cell = node.tree.registry.cell(address)
        if cell is None or cell.state is not State.RUNNING or self._breaks >= BREAKS_MAX:
            return
        if self._world.odds.hits("actor.breaks_with_mail", often=OFTEN):
            self._breaks += 1
            self._world.tell(f"{node.name} {address} breaks before it is sent something")
            cell.control(Broken(ForcedCrash(address)))

    def ask_failed(self, address: str, message: object, error: ActorCrashed) -> None:
        """An ask ended without an answer. A crash with a cause had the message in its hands, or was killed."""
        if type(error) is ActorCrashed and error.cause is None:
            self.dropped.append(f"{type(message).__name__} waited for {address} and was dropped")

    def lost(self) -> Iterator[str]:
        """What waited and was not handled, asks and tells."""
        yield from self.dropped
        for node in self._world.nodes.values():
            if node is not None:
                for letter in node.tree.system.dead_letters.ring:
                    if letter.reason == "abandoned" and letter.kind != "ledger":
                        yield f"{type(letter.message).__name__} waited for {letter.address} and was dropped"
