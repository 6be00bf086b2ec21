"""Answers on their way: `LoopReply` inside the loop, `AsyncioFuture` with Pykka's whole contract for everybody else."""

import asyncio
import functools
import queue
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, TypeVar, cast

import pykka
from pykka._future import _Unset
from pykka._types import OptExcInfo

from actors.runtime.errors import WouldBlockLoop, presentable

T = TypeVar("T")
M = TypeVar("M")
R = TypeVar("R")
AwaitHook = Callable[[], Awaitable[Any]]


class LoopReply(asyncio.Future[Any]):
    """The answer to `aask`: asker and actor share the loop, so nothing needs a lock."""

    def answer(self, value: Any) -> None:
        """Give the answer, unless the asker has one or is gone."""
        if not self.done():
            self.set_result(value)

    def refuse(self, error: BaseException) -> None:
        """Answer with an exception, unless the asker has an answer or is gone."""
        if not self.done():
            self.set_exception(presentable(error))


class AsyncioFuture(pykka.Future[Any]):
    """Pykka's future between an actor on the loop and any thread.

    `get()` blocks a real thread, but raises `WouldBlockLoop` where it would stop a running loop; there, `await` it.
    Set once, from any thread; a second `set` raises `queue.Full` as Pykka's does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self._done = False
        self._blocked: threading.Event | None = None
        self._awaited: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._await_hook: AwaitHook | None = None

    # --- setting: from the actor ---

    def done(self) -> bool:
        """True once there is an answer."""
        return self._done

    def answer(self, value: Any) -> None:
        """Set, unless it is set."""
        if not self._done:
            self._settle(value, None)

    def refuse(self, error: BaseException) -> None:
        """Set an exception, unless it is set."""
        if not self._done:
            self._settle(None, presentable(error))

    def set(self, value: Any | None = None) -> None:
        """See pykka.Future."""
        self._settle(value, None)

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """See pykka.Future."""
        kind, error, trace = exc_info if exc_info is not None else sys.exc_info()
        assert kind is not None, "set_exception() outside of an except block needs exc_info"
        error = error if error is not None else kind()
        self._settle(None, error.with_traceback(trace) if trace is not None else error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self._done or self._get_hook is not None:
                raise queue.Full
            self._value, self._error, self._done = value, error, True
            awaited, self._awaited = self._awaited, []
            blocked = self._blocked
        if blocked is not None:
            blocked.set()
        for loop, waiter in awaited:
            try:
                loop.call_soon_threadsafe(_release, waiter)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue

    # --- getting: from the asker ---

    def get(self, *, timeout: float | None = None) -> Any:
        """See pykka.Future. Raises `WouldBlockLoop` on a thread whose loop runs, unless the answer is there."""
        if self._get_hook is not None:
            with self._lock:  # the hook runs once even when two threads ask
                return super().get(timeout=timeout)
        if not self._done:
            if asyncio._get_running_loop() is not None:  # noqa: SLF001 - does not raise, unlike the public form
                raise WouldBlockLoop("get() on the event loop; await the future instead")
            with self._lock:
                if self._blocked is None:
                    self._blocked = threading.Event()
                    if self._done:
                        self._blocked.set()
            if not self._blocked.wait(timeout):
                raise pykka.Timeout(f"{timeout} seconds")
        return self._outcome()

    def _outcome(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, None, Any]:
        if self._get_hook is not None:
            if not isinstance(self._get_hook_result, _Unset):
                return self._get_hook_result
            # A foreign hook may block: it belongs on a thread. Ours have an awaitable twin.
            hooked = self._await_hook() if self._await_hook is not None else asyncio.to_thread(self.get)
            value = yield from hooked.__await__()
            self._get_hook_result = value
            return value
        waiter: asyncio.Future[None] | None = None
        with self._lock:
            if not self._done:
                loop = asyncio.get_running_loop()
                waiter = loop.create_future()
                self._awaited.append((loop, waiter))
        if waiter is not None:
            yield from waiter
        return self._outcome()

    __iter__ = __await__

    def set_get_hook(self, func: Callable[[float | None], Any]) -> None:
        """See pykka.Future."""
        with self._lock:
            if self._done:
                raise queue.Full
            super().set_get_hook(func)

    def hooked(self, get: Callable[[float | None], Any], wait: AwaitHook) -> "AsyncioFuture":
        """A future computed from this one: by `get` where a thread blocks, by `wait` where the loop must not."""
        future = self.__class__()
        future.set_get_hook(get)
        future._await_hook = wait  # noqa: SLF001 - its own class
        return future

    # --- combining: Pykka's definitions, each with its awaitable twin ---

    def map(self, func: Callable[[Any], M]) -> "pykka.Future[M]":
        """See pykka.Future."""
        return self._with(super().map(func), lambda: _after(self, func))

    def filter(self, func: Callable[[Any], bool]) -> "pykka.Future[Iterable[Any]]":
        """See pykka.Future."""
        return self._with(super().filter(func), lambda: _after(self, lambda values: list(filter(func, values))))

    def reduce(self, func: Callable[[Any, Any], R], *args: R) -> "pykka.Future[R]":
        """See pykka.Future."""

        async def folded() -> Any:
            return functools.reduce(func, await self, *args)

        return self._with(super().reduce(func, *args), folded)

    def join(self, *futures: "pykka.Future[Any]") -> "pykka.Future[Iterable[Any]]":
        """See pykka.Future."""

        async def joined() -> Any:
            return [await future for future in (self, *futures)]

        return self._with(super().join(*futures), joined)

    def _with(self, future: "pykka.Future[M]", wait: AwaitHook) -> "pykka.Future[M]":
        cast("AsyncioFuture", future)._await_hook = wait  # noqa: SLF001 - its own class
        return future


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _after(future: AsyncioFuture, func: Callable[[Any], M]) -> M:
    return func(await future)
