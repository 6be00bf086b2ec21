"""Who and what a message is about. It travels in the envelope, over hops that a task's context does not survive."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from structlog.contextvars import bind_contextvars, unbind_contextvars


@dataclass(frozen=True, slots=True)
class Context:
    """Names that log lines and spans of one piece of work share. Empty text: not known here."""

    transaction_id: str = ""
    user_id: str = ""
    request_id: str = ""
    traceparent: str = ""

    def fields(self) -> dict[str, str]:
        """The known names, as fields of a log line."""
        pairs = (
            ("transaction_id", self.transaction_id),
            ("user_id", self.user_id),
            ("request_id", self.request_id),
            ("traceparent", self.traceparent),
        )
        return {name: value for name, value in pairs if value}


NAMES = ("transaction_id", "user_id", "request_id", "traceparent")

_current: ContextVar[Context | None] = ContextVar("penpay_context", default=None)
current_context = _current.get
"""The context of the message being handled (or of the HTTP request); None outside of any."""


@contextmanager
def with_context(context: Context) -> Iterator[Context]:
    """Everything told or asked inside carries `context`, and log lines show it."""
    before = _current.get()
    enter(context)
    try:
        yield context
    finally:
        enter(before)


def enter(context: Context | None) -> None:
    """Make `context` the current one of this task. The runtime calls it when it changes from message to message."""
    _current.set(context)
    unbind_contextvars(*NAMES)
    if context is not None:
        bind_contextvars(**context.fields())
