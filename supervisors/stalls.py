"""Actors that are stuck in one message."""

import asyncio
from typing import Any

import structlog

from actors.base import Cell, exits

log = structlog.get_logger("penpay.supervision")


def kill_if_stalled(cell: Cell) -> None:
    """A handler that has been at one message for longer than its class allows is cancelled; its stack is logged."""
    busy_since_s = cell.busy_since_s
    if busy_since_s is None or cell.task is None:
        return
    busy_s = cell.loop.time() - busy_since_s
    if busy_s <= cell.actor_class.STALL_AFTER_S:
        return
    message = type(cell.current.message).__name__ if cell.current is not None else ""
    frames = awaiting_frames(cell.task)
    log.error(
        "actor is stuck; killing it", actor=cell.address, message=message, busy_s=round(busy_s, 1), awaiting=frames
    )
    cell.kill(exits.STALLED)


def awaiting_frames(task: "asyncio.Task[Any]") -> list[str]:
    """Where a suspended task waits, outermost first. The task itself knows only its outermost coroutine."""
    frames = []
    waiting: Any = task.get_coro()
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        frames.append(f"{frame.f_code.co_qualname} {frame.f_code.co_filename}:{frame.f_lineno}")
        waiting = waiting.cr_await
    return frames
