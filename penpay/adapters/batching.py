"""Concurrent calls share one write: what gathers while a batch is under way is the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from penpay.domain.errors import StoreError, Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """One batch in flight, at most `size` items each, at most `waiting_max` behind it (then `Unavailable`).

    `flush` answers one value or exception per item. A caller that is cancelled does not take its item back: the write
    happens, only nobody waits for it. `gather_s`: how long a batch that is not full waits for company; for what nobody
    sits and waits for, a write shared by a few costs everybody a fraction of one each.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | StoreError]]],
        *,
        size: int,
        waiting_max: int,
        gather_s: float = 0.0,
    ) -> None:
        self._flush = flush
        self._size = size
        self._waiting_max = waiting_max
        self._gather_s = gather_s
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._drain: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> Answer:
        """Hand over one item and wait for its own answer."""
        if len(self._waiting) >= self._waiting_max:
            raise Unavailable("database")
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._drain is None:
            self._drain = asyncio.create_task(self._run(), name="batch")
        return await done

    async def _run(self) -> None:
        try:
            while self._waiting:
                if self._gather_s and len(self._waiting) < self._size:
                    await asyncio.sleep(self._gather_s)
                batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
                await self._one(batch)
        finally:
            self._drain = None

    async def _one(self, batch: list[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers: Sequence[Answer | BaseException] = await self._flush([item for item, _ in batch])
        except BaseException as error:  # noqa: BLE001 - whatever happened to the batch happened to each of its callers
            failure = error if isinstance(error, Exception) else Unavailable("database")
            answers = [failure] * len(batch)
        for (_, done), answer in zip(batch, answers, strict=True):
            if done.done():
                continue
            if isinstance(answer, BaseException):
                done.set_exception(answer)
            else:
                done.set_result(answer)
