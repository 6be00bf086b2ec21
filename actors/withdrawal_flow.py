"""The flow of a withdrawal: what its effects say to the rails, and the functions that make it one."""

from actors.flow import Flow
from actors.withdrawal_evidence import event_of, event_of_probe
from penpay.domain.decision import Effect
from penpay.domain.fx import Direction
from penpay.domain.ids import account_reference
from penpay.domain.unit import OperationKind
from penpay.domain.withdrawal import OPERATIONS, Withdrawal
from penpay.domain.withdrawal_row import STATUS, to_row
from penpay.domain.withdrawal_rules import decide
from penpay.messages import TransactionSettled, user_of
from penpay.messages_rails import (
    DARAJA_GATE,
    DERIV_CREDITS,
    DERIV_RESOLVER,
    DERIV_TRANSFERS,
    DERIV_WITHDRAWALS,
    ProbePayout,
    ProbeWitness,
    ResolveDebit,
    ResolveTransfer,
    StopPayouts,
    Submit,
)

_RAILS = {
    "debit": (OperationKind.DERIV_WITHDRAW, DERIV_WITHDRAWALS),
    "payout": (OperationKind.B2C, DARAJA_GATE),
    "back": (OperationKind.DERIV_RETURN, DERIV_TRANSFERS),
}


def message(w: Withdrawal, effect: Effect) -> tuple[str, object]:
    """Whom to tell what. Every effect is safe to repeat."""
    shard, tx, op = w.shard, w.id, effect.operation_id
    match effect.name:
        case "submit":
            return _submit(w, op)
        case "probe_witness":
            return DERIV_CREDITS, ProbeWitness(
                operation_id=op,
                shard=shard,
                transaction_id=tx,
                loginid=w.deriv_loginid,
                amount=w.send,
                since=w.created_at,
            )
        case "resolve_debit":
            return DERIV_RESOLVER, ResolveDebit(
                operation_id=op,
                shard=shard,
                transaction_id=tx,
                user_id=w.user_id,
                loginid=w.deriv_loginid,
                amount=w.send,
            )
        case "probe_payout":
            # By our id and by theirs in turns: which of them the status knows a payout by is written nowhere.
            theirs = w.conversation_id if w.polls % 2 else ""
            return DARAJA_GATE, ProbePayout(operation_id=op, shard=shard, transaction_id=tx, conversation_id=theirs)
        case "stop_payouts":
            return DARAJA_GATE, StopPayouts(code=w.failed_code)
        case "resolve":
            return DERIV_RESOLVER, ResolveTransfer(
                operation_id=op,
                shard=shard,
                transaction_id=tx,
                reference=account_reference(op),
                loginid=w.deriv_loginid,
                amount=w.send,
            )
        case "settled":
            return user_of(shard, w.user_id), TransactionSettled(tx)
    raise ValueError(effect.name)


def _submit(w: Withdrawal, operation_id: str) -> tuple[str, Submit]:
    for slot, (kind, rail) in _RAILS.items():
        held = getattr(w, slot)
        if held is not None and held.id == operation_id:
            submit = Submit(
                operation_id=operation_id,
                shard=w.shard,
                transaction_id=w.id,
                kind=kind,
                loginid=w.deriv_loginid,
                amount=w.send,
            )
            return rail, submit
    raise ValueError(operation_id)


WITHDRAWAL = Flow(
    type=Direction.WITHDRAWAL.value,
    operations=OPERATIONS,
    begin="submit",
    decide=decide,
    to_row=to_row,
    status=STATUS,
    event_of=event_of,
    event_of_probe=event_of_probe,
    message=message,
)
