"""What one provider call came to, whichever rail made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from penpay.domain.errors import GatewayError, NotSent, Refused
from penpay.domain.rail_end import Outcome
from penpay.domain.unit import OperationKind
from penpay.messages_rails import Submit
from penpay.ports import OperationRow, Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What one provider call came to. See `RailEnd` for the meaning of the fields."""

    outcome: Outcome
    code: str = ""
    provider_ref: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    body: bytes = field(default=b"", repr=False)


def result_of(error: GatewayError, *, hold: bool = False) -> CallResult:
    """A call that did not simply succeed. What was not sent may always be tried again."""
    outcome = (
        Outcome.NOT_SENT
        if isinstance(error, NotSent)
        else Outcome.REFUSED
        if isinstance(error, Refused)
        else Outcome.UNKNOWN
    )
    hold = hold or outcome is Outcome.NOT_SENT
    return CallResult(outcome=outcome, code=error.code, hold=hold, body=error.detail.encode())


def unsealed(sealer: Sealer, operation: OperationRow) -> bytes:
    """What only the rail may read of an operation's intent: the payee, a code. Raises `ValueError` when it cannot."""
    return sealer.open(
        operation.sealed_request,
        aad=f"provider_operations|sealed_request|{operation.id}",
        user_id=operation.user_id,
        data_key=operation.data_key,
    )


class CallObserver(Protocol):
    """Told of every call to a provider: which one, what it came to, how long it took."""

    def __call__(self, *, provider: str, operation: str, outcome: str, seconds: float) -> None: ...


def nobody_observes(*, provider: str, operation: str, outcome: str, seconds: float) -> None:
    """No metrics."""
    del provider, operation, outcome, seconds


def submit_of(row: OperationRow) -> Submit:
    """The submission that a stored operation stands for."""
    return Submit(
        operation_id=row.id,
        kind=OperationKind(row.kind),
        shard=row.shard,
        transaction_id=row.transaction_id,
        loginid=row.recipient,
        amount=row.amount,
    )
