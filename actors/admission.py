"""Opens the door for new business when everything behind it is ready, and closes it first."""

from collections.abc import Mapping
from typing import Any

import structlog

from actors.base import AsyncioActor
from penpay.ports import Gate

log = structlog.get_logger()


class AdmissionActor(AsyncioActor):
    """Last up, first down. Callbacks do not pass here: they are taken before and after."""

    KIND = "admission"
    LEVEL = 6

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def observable_state(self) -> Mapping[str, object]:
        """Whether new business is taken."""
        return {"open": self._gate.open}

    async def on_start(self) -> None:
        """Everything before us in the tree is ready."""
        self._gate.open = True
        log.info("admission_open")

    async def on_stop(self) -> None:
        """New requests are answered 503 from now on."""
        self._gate.open = False
        log.info("admission_closed")

    async def on_failure(self, *_crash: Any) -> None:
        """A crash closes the door as well; the next incarnation opens it again."""
        self._gate.open = False

    async def on_receive(self, message: Any) -> None:
        """Nobody talks to it."""
        raise TypeError(f"admission takes no {type(message).__name__}")
