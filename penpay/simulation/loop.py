"""Event loops whose time is a number and whose order comes from dice. No selector, no threads, no wall clock.

Every process of the simulated world (a node, or the world itself) has a `NodeLoop`; all of them share one `Universe`,
which holds the time, what is ready and what is armed. A process dies with its loop: nothing of it ever runs again.

What of asyncio's promises is kept: a callback runs once, never before its time, never while another one runs, and in
its own context; cancelled ones do not run; a task's steps are in order; what one loop is handed while it is paused
keeps its order. What is not kept on purpose: that ready callbacks run in the order in which they became ready. The
real loop keeps that order too, but what makes callbacks ready there (sockets, timers, other processes) has none.
"""

import asyncio
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from typing import Any
from zlib import crc32

STEP_S = 1e-5
"""Virtual time that one callback takes: no two moments are the same."""
_MASK = (1 << 64) - 1
_PRIME = 1_099_511_628_211


class StepLimit(Exception):
    """More callbacks ran than a seed may take: something runs in circles."""


class Step(asyncio.TimerHandle):
    """A callback that is ready, or armed for a time."""

    __slots__ = ("loop",)

    def __init__(
        self,
        loop: "NodeLoop",
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: Context | None,
        when: float,
    ) -> None:
        # Not the parent's constructor: it asks the loop for its debug mode and hashes the time.
        self.loop = loop
        self._callback = callback
        self._args = args
        self._context = context if context is not None else copy_context()
        self._when = when
        self._cancelled = False

    def cancel(self) -> None:
        """It does not run any more, and holds nothing."""
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def run(self) -> None:
        """Call it; what it raises is its loop's to report."""
        try:
            self._context.run(self._callback, *self._args)
        except (SystemExit, KeyboardInterrupt, StepLimit):
            raise
        except BaseException as error:  # noqa: BLE001 - boundary: as in every event loop
            self.loop.call_exception_handler({"message": f"in {self.name}", "exception": error})

    @property
    def name(self) -> str:
        """What runs: the task, or the function."""
        return _name(self._callback)


class Universe:
    """Time, dice, and all that is ready or armed. `hash` stands for everything that happened so far, in its order."""

    def __init__(self, dice: random.Random, *, steps_max: int = 1_000_000) -> None:
        self._random = dice.random
        self._ready: list[Step] = []
        self._armed: list[tuple[float, int, Step]] = []
        self._number = 0
        self._steps_max = steps_max
        self._codes: dict[str, int] = {}
        self._steps_of: dict[tuple[str, str], int] = {}
        self._buried: list[object] = []
        self.now_s = 0.0
        self.steps = 0
        self.hash = 0xCBF29CE484222325
        self.complaints: list[tuple[str, BaseException | None]] = []
        """What nobody caught."""

    def note(self, text: str) -> None:
        """Let the hash stand for this as well."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = crc32(text.encode())
        self.hash = ((self.hash ^ code) * _PRIME ^ int(self.now_s * 1e6)) & _MASK

    def add(self, step: Step) -> None:
        """Ready now."""
        self._ready.append(step)

    def arm(self, step: Step) -> None:
        """Ready at its time."""
        self._number += 1
        heapq.heappush(self._armed, (step._when, self._number, step))  # noqa: SLF001 - asyncio's own name for it

    def run(self, *, until: Callable[[], bool]) -> bool:
        """Run until it is so; False when nothing is ready or armed any more before that.

        Asked whenever nothing is ready at a moment: between those, time hardly passes.
        """
        ready, armed, dice = self._ready, self._armed, self._random
        running: NodeLoop | None = None
        try:
            while True:
                if armed and armed[0][0] <= self.now_s:
                    self._wake()
                if not ready:
                    if until():
                        return True
                    if not self._jump():
                        return False
                    continue
                count = len(ready)
                place = int(dice() * count) if count > 1 else 0
                step = ready[place]
                last = ready.pop()
                if place < count - 1:
                    ready[place] = last
                loop = step.loop
                if step._cancelled or not loop.alive:  # noqa: SLF001
                    continue
                if loop.paused:
                    loop.held.append(step)
                    continue
                if loop is not running:
                    events._set_running_loop(loop)  # noqa: SLF001 - what every loop does
                    running = loop
                self._count(loop.name, step._callback)  # noqa: SLF001
                step.run()
        finally:
            events._set_running_loop(None)  # noqa: SLF001

    def _count(self, where: str, callback: Callable[..., Any]) -> None:
        self.steps += 1
        if self.steps > self._steps_max:
            raise StepLimit(f"{self.steps} steps, at {self.now_s:.1f} s")
        self.now_s = now_s = self.now_s + STEP_S
        # As `note` of both names, which would put them together first.
        names = where, _name(callback)
        code = self._steps_of.get(names)
        if code is None:
            code = self._steps_of[names] = crc32("".join(names).encode())
        self.hash = ((self.hash ^ code) * _PRIME ^ int(now_s * 1e6)) & _MASK

    def _wake(self) -> None:
        while self._armed and self._armed[0][0] <= self.now_s:
            step = heapq.heappop(self._armed)[2]
            if not step._cancelled:  # noqa: SLF001
                self._ready.append(step)

    def _jump(self) -> bool:
        """To the next time at which anything happens."""
        while self._armed and (self._armed[0][2]._cancelled or not self._armed[0][2].loop.alive):  # noqa: SLF001
            heapq.heappop(self._armed)
        if not self._armed:
            return False
        self.now_s = max(self.now_s, self._armed[0][0])
        return True

    def bury(self, tasks: Iterable[asyncio.Task[Any]], held: Iterable[Step]) -> None:
        """Keep what a dead process was doing until the world ends, and say nothing when it is collected then."""
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - they were killed
            self._buried.append(task)
        self._buried += held

    def armed(self) -> list[Step]:
        """What waits for its time, of the living."""
        return [step for _, _, step in self._armed if not step._cancelled and step.loop.alive]  # noqa: SLF001

    @property
    def idle(self) -> bool:
        """Nothing is ready, and only what looks every now and then is armed."""
        return not self._ready and all(_repeats(step) for step in self.armed())


class NodeLoop(asyncio.BaseEventLoop):
    """The loop of one process. Of its base it keeps nothing but the name: there is no selector to begin with."""

    def __init__(self, universe: Universe, name: str) -> None:
        self.universe = universe
        self.name = name
        self.alive = True
        self.paused = False
        self.held: deque[Step] = deque()

    def __del__(self) -> None:
        """There is nothing to close."""

    # --- life of the process ---

    def kill(self) -> None:
        """As `kill -9`: not one more line of it runs, no `finally` either, for nothing of it is collected yet."""
        self.alive = False
        self.universe.bury(asyncio.all_tasks(self), self.held)

    def pause(self) -> None:
        """The machine stands still; the world does not."""
        self.paused = True

    def resume(self) -> None:
        """It goes on and does not know."""
        self.paused = False
        while self.held:
            self.universe.add(self.held.popleft())

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        """The universe's."""
        return self.universe.now_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """When the dice say so."""
        step = Step(self, callback, args, context, self.universe.now_s)
        if self.alive:
            self.universe._ready.append(step)  # noqa: SLF001 - its own other half
        return step

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """After `delay` seconds."""
        return self.call_at(self.universe.now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """At a time."""
        step = Step(self, callback, args, context, when)
        if self.alive:
            self.universe.arm(step)
        return step

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """See asyncio. Named after its function: numbers that asyncio draws would differ from process to process."""
        return asyncio.Task(coro, loop=self, name=str(name or getattr(coro, "__qualname__", "")), context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remembered for the verdict."""
        self.universe.complaints.append((f"{self.name}: {context['message']}", context.get("exception")))

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """While the process lives."""
        return self.alive

    def is_closed(self) -> bool:
        """After it died."""
        return not self.alive


def _name(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return getattr(callback, "__qualname__", None) or type(callback).__name__


def _repeats(step: Step) -> bool:
    timer = step._args[-1] if step._args else None  # noqa: SLF001
    return getattr(timer, "period_s", None) is not None or getattr(timer, "key", None) == "replan"
