"""One incarnation at work: start, take messages one by one, end. Written as functions over the cell, which outlives it.

Where an exception may end up is decided here and nowhere else:

    Unavailable                     the asker gets it, a tell is recorded; the actor lives on
    any other Exception             the asker gets it, the incarnation ends (`crash`)
    BaseException, leaked cancel    the asker gets ActorCrashed, the incarnation ends (`crash`); no other actor notices
    cancelled from outside          the asker gets ActorKilled, the incarnation ends (`killed`)
"""

import asyncio
import logging
from collections.abc import Awaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import structlog
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from actors.runtime.childtasks import end_all
from actors.runtime.context import enter
from actors.runtime.envelope import Broken, Letter, Shutdown
from actors.runtime.errors import ActorCrashed, ActorGone, ActorKilled, AskTimeout
from actors.runtime.exits import CRASH, KILLED, NORMAL, START_FAILED, Exit
from actors.runtime.replies import DEFER
from actors.runtime.states import STARTING, current_cell
from actors.runtime.undelivered import record_dead
from penpay.domain.errors import Unavailable

if TYPE_CHECKING:
    from actors.base import RuntimeActor
    from actors.runtime.cell import Cell

YIELD_EVERY = 64
"""Messages handled before other tasks of the loop get a turn."""
FAILURE_HOOK_MAX_S = 5.0
"""`on_failure` must not keep a broken actor from being restarted."""

log = structlog.get_logger("penpay.runtime")
# Lines that Pykka itself would write keep its logger and its words: its test suite reads them.
pykka_log = logging.getLogger("pykka")

_OF_PYKKA = frozenset({ProxyCall, ProxyGetAttr, ProxySetAttr})
_ENDING = frozenset({_ActorStop, Shutdown})


async def live(cell: "Cell") -> None:
    """The task of an actor. A resident one stays until its end; an entity's returns whenever the mailbox is empty."""
    current_cell.set(cell)
    try:
        ending: Exit | None = None
        if cell.state is STARTING:
            ending = await _start(cell)
        if ending is None:
            ending = await _serve(cell)
    except asyncio.CancelledError:
        # Between messages: nobody's question is lost.
        ending = Exit(cell.kill_reason or KILLED)
        _uncancel()
    if ending is not None and cell.task is asyncio.current_task():
        await end(cell, ending)


async def _start(cell: "Cell") -> Exit | None:
    assert cell.actor is not None
    began = cell.loop.time()
    try:
        await maybe(cell.actor.on_start())
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - boundary: nothing that on_start raises may reach the loop
        if _cancelled_from_outside(error):
            _uncancel()
            return Exit(cell.kill_reason or KILLED, None)
        if not isinstance(error, Unavailable):
            _log_unhandled(cell, error)
        return Exit(START_FAILED, error)
    if cell.system.measuring and not cell.actor_class.RESIDENT:
        cell.system.observer.activated(cell.actor_class.KIND, cell.loop.time() - began)
    if cell.task is not asyncio.current_task():
        return None  # abandoned: it is no longer ours to say that the cell is ready
    cell.became_ready()
    return Exit(cell.exit_wanted) if cell.exit_wanted is not None else None


async def _serve(cell: "Cell") -> Exit | None:
    mailbox = cell.mailbox
    resident = cell.actor_class.RESIDENT
    turns = YIELD_EVERY
    me = asyncio.current_task()
    while cell.task is me:
        letter = mailbox.take()
        if letter is None:
            if not resident:
                # No await between the empty look and this: whoever queues next sees no task and starts one.
                cell.task = cell.bound = None
                mailbox.trim()
                cell.last_active_s = cell.loop.time()
                return None
            cell.waiter = waiter = cell.loop.create_future()
            try:
                await waiter
            finally:
                cell.waiter = None
            continue
        ending = await handle(cell, letter)
        if ending is not None:
            return ending
        turns -= 1
        if not turns:
            turns = YIELD_EVERY
            await asyncio.sleep(0)
    return None  # abandoned: the cell is another incarnation's


async def handle(cell: "Cell", letter: Letter) -> Exit | None:
    """Handle one letter. Answers an `Exit` when the incarnation ends with it."""
    message = letter.message
    kind = type(message)
    now = cell.loop.time()
    if type(letter) is not Letter or kind in _ENDING:
        if kind is _ActorStop:
            cell.stop_reply = letter.reply_to
            return Exit(NORMAL)
        if not _still_wanted(cell, letter, now):
            return None
        if kind is Shutdown:
            return Exit(message.reason)
        if kind is Broken:
            _log_unhandled(cell, message.error)
            return Exit(CRASH, message.error)
    if letter.context is not cell.bound:
        cell.bound = letter.context
        enter(letter.context)
    actor = cell.actor
    assert actor is not None
    cell.current = letter
    cell.busy_since_s = now
    try:
        result = actor._handle_receive(message) if kind in _OF_PYKKA else actor.on_receive(message)  # noqa: SLF001 - Pykka's proxies
        if type(result) is CoroutineType:  # not "awaitable": a handler may answer with a future of its own
            result = await result
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - boundary: this is where failures become exits
        return _failed(cell, actor, letter, error)
    finally:
        if cell.current is letter:  # else abandoned: the next incarnation is at one of its own
            cell.current = cell.busy_since_s = None
        cell.handled += 1
        if cell.system.measuring:
            cell.system.observer.handled(cell.actor_class.KIND, kind.__name__, cell.loop.time() - now)
    if result is DEFER:
        assert letter.reply_to is None or cell.open_replies is not None, "DEFER without self.defer()"
    elif letter.reply_to is not None:
        letter.reply_to.answer(result)
    if letter.timer is not None:
        actor.timers.handled(letter.timer)
    return Exit(cell.exit_wanted) if cell.exit_wanted is not None else None


def _still_wanted(cell: "Cell", letter: Letter, now_s: float) -> bool:
    """False for a message of an earlier incarnation, a cancelled timer, or an ask whose time is over."""
    if letter.incarnation:
        if letter.incarnation != cell.incarnation:
            return False
        return letter.timer is None or (cell.actor is not None and cell.actor.timers.claim(letter.timer))
    if letter.deadline_s is not None and now_s >= letter.deadline_s:
        assert letter.reply_to is not None
        name = type(letter.message).__name__
        letter.reply_to.refuse(AskTimeout(f"{name} waited too long in the mailbox of {cell}; not executed"))
        return False
    return True


def _failed(cell: "Cell", actor: "RuntimeActor", letter: Letter, error: BaseException) -> Exit | None:
    reply = letter.reply_to
    if _cancelled_from_outside(error):
        _uncancel()
        ending = Exit(cell.kill_reason or KILLED)
        if reply is not None:
            reply.refuse(ActorKilled(cell.crash_id))
        else:
            record_dead(cell, letter.message, ending.reason)
        return ending
    if cell.system.measuring:
        cell.system.observer.failed(cell.actor_class.KIND, type(letter.message).__name__)
    if isinstance(error, Unavailable):
        if reply is not None:
            reply.refuse(error)
        else:
            record_dead(cell, letter.message, "unavailable")
        if letter.timer is not None:
            actor.timers.handled(letter.timer)
        return Exit(cell.exit_wanted) if cell.exit_wanted is not None else None
    if cell.owner is None:
        cell.mark_stopped()
    if reply is None:
        _log_unhandled(cell, error)
        record_dead(cell, letter.message, CRASH)
    else:
        pykka_log.info("Exception returned from %s to caller:", cell, exc_info=error)
        reply.refuse(error if isinstance(error, Exception) else ActorCrashed(cell.crash_id, error))
    return Exit(CRASH, error)


async def end(cell: "Cell", ending: Exit) -> None:
    """Run the last hook, take back what the incarnation lent out, and report the exit."""
    if cell.owner is None:
        cell.mark_stopped()
    try:
        await _last_hook(cell, ending)
        await end_all(cell)
    except asyncio.CancelledError:
        _uncancel()
        ending = ending if ending.abnormal else Exit(cell.kill_reason or KILLED)
    if cell.task is not asyncio.current_task():
        return  # abandoned meanwhile
    clean_up(cell, ending)
    cell.task = None
    stop_reply, cell.stop_reply = cell.stop_reply, None
    cell.over(ending)
    if stop_reply is not None:
        stop_reply.answer(None)


async def _last_hook(cell: "Cell", ending: Exit) -> None:
    actor = cell.actor
    assert actor is not None
    try:
        if ending.reason == CRASH:
            error = ending.error
            assert error is not None
            async with asyncio.timeout(FAILURE_HOOK_MAX_S):
                await maybe(actor.on_failure(type(error), error, error.__traceback__))
        elif not ending.abnormal:
            await maybe(actor.on_stop())
    except GeneratorExit:
        raise
    except BaseException as error:
        if _cancelled_from_outside(error):
            raise
        _log_unhandled(cell, error)


def clean_up(cell: "Cell", ending: Exit) -> None:
    """Timers, child tasks and open replies die with their incarnation."""
    actor = cell.actor
    for task in cell.tasks or ():
        if not task.cancelling():  # else it was told, and has been waited for
            task.cancel()
    cell.tasks = None
    if actor is not None:
        actor.end_timers()
        try:
            actor.on_incarnation_over()
            if cell.open_replies:
                actor.on_open_replies(tuple(cell.open_replies), _left_behind(cell, ending))
        except Exception as error:  # noqa: BLE001 - boundary: a hook's bug must not leave askers hanging
            _log_unhandled(cell, error)
    for open_reply in tuple(cell.open_replies or ()):
        open_reply.fail(_left_behind(cell, ending))
    cell.open_replies = None


def _left_behind(cell: "Cell", ending: Exit) -> BaseException:
    """What askers get whose reply was still open."""
    if ending.reason == CRASH:
        return ActorCrashed(cell.crash_id, ending.error)
    if ending.clean:
        return ActorGone(f"{cell} stopped before answering")
    return ActorKilled(cell.crash_id)


async def maybe(result: Awaitable[Any] | Any) -> Any:
    """The hooks may be plain functions (Pykka's) or coroutines (ours)."""
    return await result if type(result) is CoroutineType else result


def _cancelled_from_outside(error: BaseException) -> bool:
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _uncancel() -> None:
    """The cancellation is dealt with: what still has to be awaited for a tidy end must not see it."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _log_unhandled(cell: "Cell", error: BaseException) -> None:
    pykka_log.error("Unhandled exception in %s:", cell, exc_info=error)
