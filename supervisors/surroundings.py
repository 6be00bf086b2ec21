"""What every supervisor of one tree needs besides its own specification."""

import random
from dataclasses import dataclass

from actors.base import ActorSystem
from supervisors.registry import Registry


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Shared by a whole tree. `randomness` jitters back-off and comes from the composition root."""

    system: ActorSystem
    registry: Registry
    randomness: random.Random
    stall_check_s: float = 5.0
    """How often supervisors look for children that have been at one message for too long."""
