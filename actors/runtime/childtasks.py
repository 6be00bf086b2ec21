"""Child tasks of an incarnation: they only wait and read, and end with it."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from actors.runtime.envelope import Broken
from actors.runtime.errors import ActorCrashed
from actors.runtime.states import current_cell

if TYPE_CHECKING:
    from actors.base import RuntimeActor
    from actors.runtime.cell import Cell

CHILD_TASKS_MAX_S = 5.0
"""How long cancelled child tasks may take to let go."""

log = structlog.get_logger("penpay.runtime")

Work = Coroutine[Any, Any, Any]


def begin(actor: "RuntimeActor", work: Work, *, name: str) -> "asyncio.Task[Any]":
    """Give the incarnation a child task; one that is over gets a task that is cancelled before its first step."""
    cell = actor._cell  # noqa: SLF001 - the runtime's own inside
    context = copy_context()
    context.run(current_cell.set, None)  # its asks are not part of the current message's chain
    task = cell.loop.create_task(
        _contained(work, cell.crash_id), name=f"{cell.address or type(actor).__name__}:{name}", context=context
    )
    if cell.actor is not actor:
        task.cancel()
    elif cell.tasks is None:
        cell.tasks = {task: None}
    else:
        cell.tasks[task] = None
    task.add_done_callback(partial(_done, actor, work))
    return task


async def _contained(work: Work, crash_id: str) -> Any:
    """What only the loop would see ends the incarnation like any other failure.

    A SystemExit would end the process, and a cancellation that leaked from something awaited would end the task in
    silence, with nobody left to do its work.
    """
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ActorCrashed(crash_id, error) from error
    except (KeyboardInterrupt, SystemExit) as error:
        raise ActorCrashed(crash_id, error) from error


def _done(actor: "RuntimeActor", work: Work, task: "asyncio.Task[Any]") -> None:
    work.close()  # a task that was cancelled before its first step has not begun it
    error = None if task.cancelled() else task.exception()
    cell = actor._cell  # noqa: SLF001 - the runtime's own inside
    if cell.actor is not actor:
        return
    if cell.tasks is not None:
        cell.tasks.pop(task, None)
    if error is not None:
        cell.control(Broken(error))


async def end_all(cell: "Cell") -> None:
    """Cancel them and wait until they have let go, but not for ever."""
    tasks = cell.tasks
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=CHILD_TASKS_MAX_S)
    if stuck:
        log.error("child tasks do not let go; abandoned", actor=str(cell), tasks=[task.get_name() for task in stuck])
