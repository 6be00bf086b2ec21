"""An outside thing with sockets (an HTTP site, a pool) as a child in the tree: opened and closed with its actor."""

from collections.abc import Mapping
from typing import Any

from actors.base import AsyncioActor
from penpay.ports import Listener


class ListenerActor(AsyncioActor):
    """Opens its thing in `on_start`, so that a start-up failure is a failed start, and closes it on stop."""

    KIND = "listener"
    LEVEL = 6

    def __init__(self, name: str, listener: Listener) -> None:
        super().__init__()
        self._name = name
        self._listener = listener

    def observable_state(self) -> Mapping[str, object]:
        """What is open here."""
        return {"listener": self._name}

    async def on_start(self) -> None:
        """Open; an address in use or a refused login ends the start with its reason."""
        await self._listener.open()

    async def on_stop(self) -> None:
        """Close; requests in progress are finished by the listener within its own bound."""
        await self._listener.close()

    async def on_receive(self, message: Any) -> None:
        """Nobody talks to it."""
        raise TypeError(f"a listener takes no {type(message).__name__}")
