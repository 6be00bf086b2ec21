"""Messages that their actor will not handle: askers are answered, tells are recorded."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop

from actors.runtime.deadletters import DeadLetter
from actors.runtime.envelope import Letter, Shutdown

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


def settle(cell: "Cell", letters: Sequence[Letter], error: Callable[[Any], BaseException], *, reason: str) -> None:
    """Answer each question with what `error` says of its message; who asked for a stop has got it."""
    for letter in letters:
        message = letter.message
        if letter.reply_to is None:
            if not isinstance(message, _ActorStop | Shutdown) and not letter.incarnation:
                record_dead(cell, message, reason)
        elif isinstance(message, _ActorStop):
            letter.reply_to.answer(None)
        else:
            letter.reply_to.refuse(error(message))


def record_dead(cell: "Cell", message: Any, reason: str) -> None:
    """A message that nobody will handle."""
    letter = DeadLetter(cell.address, cell.actor_class.KIND, reason, message)
    cell.system.dead_letters.record(letter, now_s=cell.loop.time())
