"""Sagas that are parked at the worst moment: what they decided is durable, and its rail was never told.

By itself a saga breaks five times in a minute in no world; and what a payout is sent again for lasts longer than each.
"""

from typing import TYPE_CHECKING

from penpay.messages_rails import Submit
from penpay.simulation.mail import ForcedCrash

if TYPE_CHECKING:
    from penpay.simulation.node import SimNode
    from penpay.simulation.world import World

OFTEN = 0.03
"""Where an operation goes out for the first time. One that is sent again is met each time the dice say so."""


class Parking:
    """Breaks sagas that are about to tell a rail of an intent, and lets their host give them up."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def is_told(self, node: "SimNode", message: object) -> None:
        """A saga is about to tell somebody something. Raises `ForcedCrash` where it never does."""
        if not isinstance(message, Submit):
            return
        stored = self._world.server.schema.provider_operations.get(message.operation_id)
        again = stored is not None and stored.attempts_closed > 0
        if self._world.odds.hits("actor.breaks_too_often", often=1.0 if again else OFTEN):
            self._world.tell(
                f"{node.name} parks {message.transaction_id[-6:]} before it submits {message.operation_id}"
            )
            node.park(message.shard, message.transaction_id)
            raise ForcedCrash(message.transaction_id)
