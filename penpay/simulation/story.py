"""The shortest story of a failing seed: what its broken transactions lived through, and what befell the world."""

from collections.abc import Iterator, Sequence

from penpay.domain.ids import uuid_text
from penpay.simulation.world import World

Line = tuple[float, str]
LINES_MAX = 400
_WORLD = ("a ", "b ", "the ", "customer", "staff")
"""How lines begin that are about everybody."""


def shortened(world: World, wrong: Sequence[str]) -> list[Line]:
    """The lines that matter for what is wrong; all of them when nothing names a transaction."""
    names = set(_names(world, " ".join(wrong)))
    if not names:
        return world.story[-LINES_MAX:]
    kept = [line for line in world.story if line[1].startswith(_WORLD) or any(name in line[1] for name in names)]
    return kept[-LINES_MAX:]


def _names(world: World, wrong: str) -> Iterator[str]:
    """Everything under which a broken transaction appears in the story."""
    truth = world.truth
    for operation in world.server.schema.provider_operations:
        if operation.transaction_id not in wrong and operation.id not in wrong:
            continue
        yield from (operation.transaction_id[-6:], operation.id, operation.reference, uuid_text(operation.id))
        pushes = [one for one in truth.pushes.values() if one.reference == operation.reference]
        for push in pushes:
            yield push.checkout_id
            if push.receipt:
                yield push.receipt
