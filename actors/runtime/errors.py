"""What the runtime raises. Refusals that mean "not now" are `Unavailable`: they never end the actor that meets them.

Unavailable            (penpay.domain.errors) a state, not a crash
├─ MailboxFull         the receiver has no room: shed, never wait
├─ ActorGone           also pykka.ActorDeadError: this reference is dead for good
│  └─ NoSuchActor      nobody lives at this address
├─ EntityParked        crashed too often, waits for a person
└─ EntityHeld          a person stopped it, and starts it again
ActorCrashed           the receiver broke on our message, or before it got to it
└─ ActorKilled         it was cancelled from outside
AskTimeout             also pykka.Timeout: no answer in time; the message may still be executed unless it had not begun
AskCycle               the ask would wait for itself, or climbs the levels: a bug of the asker
WouldBlockLoop         a blocking call on the event loop's own thread: a bug of the caller
StartFailed            `on_start` did not succeed
"""

import pykka

from penpay.domain.errors import Unavailable


class MailboxFull(Unavailable):
    """The receiver's mailbox is at its bound. Raised at once in the sender; nothing was queued."""

    def __init__(self, receiver: str, mailbox_max: int) -> None:
        super().__init__(receiver, retry_after_s=0.5)
        self.mailbox_max = mailbox_max


class ActorGone(pykka.ActorDeadError, Unavailable):
    """The actor behind this reference has ended and will not come back under it."""

    def __init__(self, text: str) -> None:
        Unavailable.__init__(self, text)


class NoSuchActor(ActorGone):
    """No actor lives at this address now."""

    def __init__(self, address: str) -> None:
        super().__init__(f"no actor at {address}")
        self.address = address


class EntityParked(Unavailable):
    """This entity crashed too often and is not restarted until a person says so."""

    def __init__(self, address: str) -> None:
        super().__init__(address, retry_after_s=30.0)
        self.address = address


class EntityHeld(Unavailable):
    """A person stopped this entity, and nothing but a person starts it again."""

    def __init__(self, address: str) -> None:
        super().__init__(address, retry_after_s=30.0)
        self.address = address


class ActorCrashed(Exception):
    """The receiver's incarnation ended before it answered. `crash_id` names the incarnation in the log."""

    def __init__(self, crash_id: str, cause: BaseException | None = None) -> None:
        super().__init__(f"{crash_id}: {cause!r}" if cause is not None else crash_id)
        self.crash_id = crash_id
        self.cause = cause


class ActorKilled(ActorCrashed):
    """The receiver was cancelled while, or before, it handled the message."""


class AskTimeout(pykka.Timeout):
    """No answer within the ask's deadline. What the receiver did, if anything, is unknown."""


class AskCycle(RuntimeError):
    """Answering would need the asker's own answer, or the ask goes up instead of down."""


class WouldBlockLoop(RuntimeError):
    """The caller would have blocked the event loop that has to produce the answer."""


class StartFailed(Exception):
    """The actor at `address` did not come up. The cause is the exception of its `on_start`."""

    def __init__(self, address: str, cause: BaseException | None) -> None:
        super().__init__(f"{address} did not start: {cause!r}")
        self.address = address
        self.cause = cause


def presentable(error: BaseException) -> Exception:
    """What an asker may see: an ordinary exception as it is, anything stronger wrapped.

    Re-raising somebody else's CancelledError or KeyboardInterrupt would end the asker, and a StopIteration cannot
    travel through a future at all.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return ActorCrashed("an actor", error)
