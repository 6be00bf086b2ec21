"""What all actors of one event loop share: who measures, where unhandled messages go, and what keeps tasks alive."""

import asyncio
import itertools

from actors.runtime.deadletters import DeadLetters
from actors.runtime.observer import NobodyObserves, RuntimeObserver


class ActorSystem:
    """Shared surroundings of actors. `measuring` is False without an observer, so that the hot path skips the call."""

    def __init__(self, observer: RuntimeObserver | None = None) -> None:
        self.observer: RuntimeObserver = observer or NobodyObserves()
        self.measuring = observer is not None
        self.dead_letters = DeadLetters(self.observer)
        self.tasks: set[asyncio.Task[None]] = set()
        """The loop itself holds tasks weakly: an actor whose task is nowhere else would be collected while it waits."""


BARE = ActorSystem()
"""Of actors started with `Cls.start()`, outside of any tree."""

_home_loop: asyncio.AbstractEventLoop | None = None
_urns = itertools.count(1)


def use_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Where actors run that are started from a thread without a running loop."""
    global _home_loop  # noqa: PLW0603 - one process has one loop; this is its name
    _home_loop = loop


def home_loop() -> asyncio.AbstractEventLoop:
    """The running loop, or the one named by `use_loop`. Raises RuntimeError when there is neither."""
    running = asyncio._get_running_loop()  # noqa: SLF001 - unlike the public form it does not raise
    if running is not None:
        return running
    if _home_loop is None:
        raise RuntimeError("an actor needs a running event loop, or use_loop(loop) before it is started from a thread")
    return _home_loop


def new_urn() -> str:
    """A URN in the shape that Pykka gives (uuid4), unique in this process.

    Counted, not random: a simulation's trace must not depend on it, and drawing 16 random bytes per actor costs more
    than starting one. Written out here, since Pykka names each actor twice in its log while it starts.
    """
    return f"urn:uuid:00000000-0000-4000-8000-{next(_urns):012x}"
