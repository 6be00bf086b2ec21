"""F98: actors that would wait for each other."""

import asyncio
import inspect
from typing import Any

import pytest

import actors.saga
from actors.base import AskCycle, AskTimeout, AsyncioActor


class Asks(AsyncioActor):
    """Asks whom it is told to."""

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, tuple):
            ref, inner, timeout_s = message
            return await ref.aask(inner, timeout_s)
        if message == "wait":
            await asyncio.Event().wait()
        return message


async def test_a_circle_is_refused_at_once() -> None:
    one, two = Asks.start(), Asks.start()
    # Whoever waited for the asks' own time would wait an hour.
    async with asyncio.timeout(20):
        with pytest.raises(AskCycle):
            await one.aask((two, (one, "hello", 3600.0), 3600.0), 3600.0)
    for ref in (one, two):
        ref.kill()
        await ref.shutdown(1)


async def test_every_ask_ends_with_its_time() -> None:
    ref = Asks.start()
    with pytest.raises(AskTimeout):
        await ref.aask("wait", 0.05)
    assert inspect.signature(ref.aask).parameters["timeout_s"].default is not None
    ref.kill()
    await ref.shutdown(1)


def test_sagas_ask_nobody_but_the_ledger() -> None:
    assert ".ask(" not in inspect.getsource(actors.saga)
