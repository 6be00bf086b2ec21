"""F99: more arrives than is worked off."""

import asyncio
from typing import Any

import pytest

from actors.base import AsyncioActor, EntityActor, MailboxFull


class _Slow:
    MAILBOX_MAX = 8

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def on_receive(self, message: Any) -> Any:
        if message == "wait":
            await self.gate.wait()
        return message


class Resident(_Slow, AsyncioActor):
    """A singleton."""


class Entity(_Slow, EntityActor):
    """One of many."""


@pytest.mark.parametrize("kind", [Resident, Entity])
async def test_over_the_bound_the_sender_is_refused_at_once(kind: type[Any]) -> None:
    ref = kind.start()
    ref.tell("wait")
    while len(ref.actor_inbox):
        await asyncio.sleep(0)
    for number in range(8):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        ref.tell("one too many")
    with pytest.raises(MailboxFull):
        await ref.aask("one too many")
    ref.kill()
    await ref.shutdown(1)
