"""What is said to the actor that owns the agent's socket, and what it answers."""

from dataclasses import dataclass, field

from penpay.domain.deriv_protocol import Frame, Request, refusal
from penpay.domain.rail_end import NOT_CONNECTED, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Make one call on the agent's socket. Reply: `CallEnd`, always, also when the socket breaks.

    `money`: a break leaves it unknown, and it is never queued. Others are reads, asked again at will: they wait
    for the socket until `timeout_s`. A reply that comes after the time-out is told to `late_to` as `LateReply`.
    """

    request: Request = field(repr=False)
    timeout_s: float
    money: bool = False
    late_to: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnd:
    """CONFIRMED: `frame` is the reply. REFUSED: by an error that proves it. UNKNOWN, NOT_SENT: see `code`."""

    outcome: Outcome
    code: str = ""
    hold: bool = False
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class SessionReady:
    """Money calls are taken again. Tell."""


@dataclass(frozen=True, slots=True)
class LateReply:
    """The reply to a call that had already ended as unknown. Tell."""

    reference: str
    end: CallEnd


def call_end(frame: Frame) -> CallEnd:
    """What a reply is to its caller."""
    if not frame.error_code:
        return CallEnd(outcome=Outcome.CONFIRMED, frame=frame)
    told = refusal(frame)
    if told is None:
        return CallEnd(outcome=Outcome.UNKNOWN, code=frame.error_code, frame=frame)
    return CallEnd(outcome=Outcome.REFUSED, code=told.code, hold=told.hold, frame=frame)


NO_SOCKET = CallEnd(outcome=Outcome.NOT_SENT, code=NOT_CONNECTED, hold=True)
