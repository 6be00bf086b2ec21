"""The exceptions of PenPay. A refusal that the business expects is a value, never one of these.

PenPayError
├─ GatewayError            an outside system, with its code and our reference
│  ├─ NotSent              surely not executed: the same operation may be sent again
│  ├─ Refused              a final answer of this attempt: nothing was executed by it
│  └─ OutcomeUnknown       sent, and no proof of what happened: ask, never resend
├─ StoreError              the database
│  ├─ Conflict             lost a race: reload and decide again
│  └─ Unavailable          a dependency is away: a state, not a crash; retry later
└─ BadInput                raised only by parsers at the edges: HTTP 400
"""


class PenPayError(Exception):
    """Root of all exceptions that this project raises on purpose."""


class GatewayError(PenPayError):
    """An outside system did not simply succeed. `code` is the provider's, as text."""

    def __init__(self, code: str, detail: str = "", *, reference: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.reference = reference


class NotSent(GatewayError):
    """No byte of the request can have been executed. Only this may be retried blindly."""


class Refused(GatewayError):
    """The provider refused before executing. On a retry it proves nothing about an earlier attempt."""


class OutcomeUnknown(GatewayError):
    """The request may have been executed. It is resolved by evidence, never by sending again."""


class StoreError(PenPayError):
    """The database did not do what was asked."""


class Conflict(StoreError):
    """The row moved on: reload it and decide again."""


class Unavailable(StoreError):
    """A dependency cannot be used now. The actor that raises it lives on and keeps its mailbox."""

    def __init__(self, dependency: str, retry_after_s: float = 1.0) -> None:
        super().__init__(dependency)
        self.dependency = dependency
        self.retry_after_s = retry_after_s


class BadInput(PenPayError, ValueError):
    """A value from outside has the wrong shape. `field` names it for the caller."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(field, detail)
        self.field = field
        self.detail = detail
