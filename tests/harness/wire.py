"""A line between two processes that can be slowed down, silenced, and cut, also at the very packet of a COMMIT.

It listens on a Unix socket and forwards bytes to another one, on a loop of its own in a thread of its own, so that a
blocked test blocks nobody. Set `delay_s`, `silent` and `at_commit` at any time.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, Self

AtCommit = Literal["", "lost", "done"]
"""Cut before the COMMIT goes on (`lost`), or when its answer comes back (`done`)."""
_COMMIT = b"COMMIT"
"""Alone in its packet, or at the end of many statements; a new session's READ COMMITTED is none."""
_CHUNK = 1 << 16


class Wire:
    """Start it with `with Wire(listen, target) as wire`. `cuts`: how often a COMMIT was cut."""

    def __init__(self, listen: Path, target: Path) -> None:
        self.delay_s = 0.0
        self.silent = False
        self.at_commit: AtCommit = ""
        self.cuts_left = 0
        self.cuts = 0
        self._listen, self._target = listen, target
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ended = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()
        self._hushed: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        self._loop.close()

    def lead(self, target: Path) -> None:
        """Somewhere else from now on; whoever is connected has to connect again."""

        def cut() -> None:
            self._target = target
            for end in self._ends:
                end.transport.abort()

        self._loop.call_soon_threadsafe(cut)

    def hush(self) -> None:
        """Whoever is connected gets no more answers; whoever connects from now on does."""
        self._hushed = set(self._ends)

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._connected, self._listen)
        self._ready.set()
        await self._ended.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_unix_connection(self._target)
        except OSError:
            to_client.transport.abort()
            return
        committing = asyncio.Event()
        self._ends.add(to_client)
        ways = (self._asks(client, to_server, committing), self._answers(server, to_client, committing))
        try:
            async with asyncio.TaskGroup() as both:
                for way in ways:
                    both.create_task(way)
        except* (OSError, EOFError):
            pass
        finally:
            self._ends.discard(to_client)
            to_client.transport.abort()
            to_server.transport.abort()

    async def _asks(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter, committing: asyncio.Event
    ) -> None:
        async def judged(chunk: bytes) -> None:
            if self.cuts_left and self.at_commit and chunk.endswith(_COMMIT):
                # Counted before the answer comes, or several that are under way at once would cut more than there are.
                self.cuts_left -= 1
                if self.at_commit == "lost":
                    self._cut()
                committing.set()

        await self._forward(client, server, judged)

    async def _answers(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, committing: asyncio.Event
    ) -> None:
        async def judged(_chunk: bytes) -> None:
            if committing.is_set():
                self._cut()

        await self._forward(server, client, judged)

    def _cut(self) -> None:
        self.cuts += 1
        raise ConnectionResetError("cut")

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, judged: Callable[[bytes], Awaitable[None]]
    ) -> None:
        while chunk := await source.read(_CHUNK):
            await judged(chunk)
            while self.silent or sink in self._hushed:
                await asyncio.sleep(0.02)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            sink.write(chunk)
            await sink.drain()
        raise EOFError
