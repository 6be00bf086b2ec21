"""F96: a BaseException in one actor."""

import asyncio
from typing import Any

import pytest

from actors.base import ActorCrashed, AsyncioActor, EntityActor


class _Raises:
    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


class Resident(_Raises, AsyncioActor):
    """A task of its own."""


class Entity(_Raises, EntityActor):
    """A task while it works."""


@pytest.mark.parametrize("kind", [Resident, Entity])
@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
async def test_only_that_actor_ends(kind: type[Any], error: BaseException) -> None:
    bystanders = [Resident.start(), Entity.start()]
    broken = kind.start()
    with pytest.raises(ActorCrashed) as caught:
        await broken.aask(error)
    assert caught.value.cause is error
    assert not broken.is_alive()
    for bystander in bystanders:
        assert await bystander.aask("still here") == "still here"
        await bystander.shutdown(1)
