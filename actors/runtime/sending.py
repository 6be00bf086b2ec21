"""How a message gets to a cell. Written as functions over it: who is reached by an address needs no reference."""

import asyncio
from typing import TYPE_CHECKING, Any

from actors.runtime.chain import chain_to
from actors.runtime.context import current_context
from actors.runtime.deadlines import deadlines_on
from actors.runtime.envelope import Letter, Question, Reply
from actors.runtime.errors import ActorGone, AskTimeout
from actors.runtime.future import AsyncioFuture, LoopReply

if TYPE_CHECKING:
    from actors.runtime.cell import Cell

DEFAULT_ASK_S = 5.0


def tell(cell: "Cell", message: Any) -> None:
    """Queue and forget. Raises `MailboxFull` or `ActorGone` at once; never blocks. Any thread."""
    if cell.stopped:
        raise ActorGone(f"{cell} not found")
    cell.post(Letter(message, current_context(), cell.loop.time()))


async def ask(cell: "Cell", message: Any, timeout_s: float = DEFAULT_ASK_S) -> Any:
    """Ask and wait for the answer without blocking the loop.

    Raises what the receiver raised, `AskTimeout` (the message is not executed if it had not begun), `MailboxFull`,
    `ActorGone`, `ActorCrashed`, `AskCycle`.
    """
    loop = cell.loop
    if asyncio._get_running_loop() is not loop:  # noqa: SLF001 - does not raise, unlike the public form
        return await _ask_from_another_loop(cell, message, timeout_s)
    chain = chain_to(cell)
    if cell.stopped:
        raise ActorGone(f"{cell} not found")
    now = loop.time()
    reply = LoopReply(loop=loop)
    cell.post(Question(message, current_context(), now, reply, now + timeout_s, chain))
    due = deadlines_on(loop).of(now + timeout_s, loop)
    due[reply] = (cell, message, timeout_s)
    try:
        return await reply
    finally:
        due.pop(reply, None)


async def _ask_from_another_loop(cell: "Cell", message: Any, timeout_s: float) -> Any:
    future = question(cell, message, timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            return await future
    except TimeoutError as error:
        if future.done():
            raise
        raise AskTimeout(f"{type(message).__name__} to {cell}: no answer in {timeout_s} s") from error


def question(cell: "Cell", message: Any, timeout_s: float | None) -> AsyncioFuture:
    """Ask, and have the answer in a future that any thread or loop may wait for. Raises `MailboxFull`."""
    future = AsyncioFuture()
    if cell.stopped:
        future.refuse(ActorGone(f"{cell} not found"))
        return future
    now = cell.loop.time()
    deadline_s = None if timeout_s is None else now + timeout_s
    try:
        cell.post(Question(message, current_context(), now, future, deadline_s))
    except ActorGone as error:
        future.refuse(error)
    return future


def deliver(cell: "Cell", message: Any, reply: Reply | None) -> None:
    """Queue a message that has no context. Any thread."""
    now = cell.loop.time()
    cell.post(Letter(message, None, now) if reply is None else Question(message, None, now, reply, None))
