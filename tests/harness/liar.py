"""A line to a server that says something else than the server once it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def liar(target: str, listen: Path, lie: bytes) -> AsyncIterator[asyncio.Event]:
    """Each answer is `lie` from the moment on that the event is set. One session may be opened over it."""
    lying, over = asyncio.Event(), asyncio.Event()
    ends: list[asyncio.StreamWriter] = []

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lies: bool) -> None:
        while data := await reader.read(65536):
            writer.write(lie if lies and lying.is_set() else data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        answers, truth = await asyncio.open_unix_connection(target)
        answering = asyncio.create_task(passed_on(answers, writer, lies=True))
        await passed_on(reader, truth, lies=False)
        truth.close()
        await answering
        writer.close()
        over.set()

    async with await asyncio.start_unix_server(serve, str(listen)):
        try:
            yield lying
        finally:
            for end in ends:
                end.transport.abort()
            await over.wait()
