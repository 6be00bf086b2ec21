"""Who waits for whom: an ask that would wait for itself, or climbs the levels, is refused at once."""

from typing import TYPE_CHECKING

from actors.runtime.errors import AskCycle
from actors.runtime.states import current_cell

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


def chain_to(asked: "Cell") -> "tuple[Cell, ...]":
    """The actors that will wait for `asked` if it is asked now. Raises `AskCycle` if one of them is `asked` itself."""
    asker = current_cell.get()
    if asker is None:
        return ()
    chain = (*asker.current.chain, asker) if asker.current is not None else (asker,)
    if asked in chain:
        raise AskCycle(" → ".join(str(cell) for cell in (*chain, asked)))
    level, below = asked.actor_class.LEVEL, asker.actor_class.LEVEL
    if level and below and level >= below:
        raise AskCycle(f"{asker} (level {below}) asks up to {asked} (level {level}): tell instead")
    return chain
