"""The flow of a deposit: what its effects say to the rails, and the functions that make it one."""

from actors.deposit_evidence import event_of, event_of_probe
from actors.flow import Flow
from penpay.domain.decision import Effect
from penpay.domain.deposit import OPERATIONS, Deposit
from penpay.domain.deposit_row import STATUS, to_row
from penpay.domain.deposit_rules import decide
from penpay.domain.fx import Direction
from penpay.domain.ids import account_reference
from penpay.domain.unit import OperationKind
from penpay.messages import TransactionSettled, user_of
from penpay.messages_rails import (
    DARAJA_GATE,
    DERIV_RESOLVER,
    DERIV_TRANSFERS,
    CheckRecipient,
    ProbePull,
    ProbeReversal,
    ProbeStk,
    ResolveTransfer,
    Submit,
)

_KINDS = {"stk": OperationKind.STK, "transfer": OperationKind.DERIV_TRANSFER, "refund": OperationKind.REVERSAL}


def message(d: Deposit, effect: Effect) -> tuple[str, object]:
    """Whom to tell what. Every effect is safe to repeat."""
    shard, tx, op = d.shard, d.id, effect.operation_id
    match effect.name:
        case "check_recipient":
            check = CheckRecipient(shard=shard, transaction_id=tx, loginid=d.deriv_loginid, amount=d.receive)
            return DERIV_TRANSFERS, check
        case "submit":
            return _submit(d, op)
        case "probe_stk":
            checkout = d.known_checkout_id
            probe = ProbeStk(operation_id=op, shard=shard, transaction_id=tx, checkout_request_id=checkout)
            return DARAJA_GATE, probe
        case "probe_pull":
            reference = account_reference(op)
            return DARAJA_GATE, ProbePull(
                operation_id=op,
                shard=shard,
                transaction_id=tx,
                reference=reference,
                payer=d.phone_mask,
                amount=d.send,
                since=d.created_at,
            )
        case "probe_reversal":
            # By both of its ids in turns: which of them the status knows it by is written nowhere.
            second = d.refund_originator_conversation_id if d.polls % 2 == 0 else ""
            return DARAJA_GATE, ProbeReversal(
                operation_id=op, shard=shard, transaction_id=tx, originator_conversation_id=second
            )
        case "resolve":
            resolve = ResolveTransfer(
                operation_id=op,
                shard=shard,
                transaction_id=tx,
                reference=account_reference(op),
                loginid=d.deriv_loginid,
                amount=d.receive,
            )
            return DERIV_RESOLVER, resolve
        case "settled":
            return user_of(shard, d.user_id), TransactionSettled(tx)
    raise ValueError(effect.name)


def _submit(d: Deposit, operation_id: str) -> tuple[str, Submit]:
    for slot, kind in _KINDS.items():
        held = getattr(d, slot)
        if held is not None and held.id == operation_id:
            rail = DERIV_TRANSFERS if kind is OperationKind.DERIV_TRANSFER else DARAJA_GATE
            submit = Submit(
                operation_id=operation_id,
                shard=d.shard,
                transaction_id=d.id,
                kind=kind,
                loginid=d.deriv_loginid,
                amount=d.receive,
            )
            return rail, submit
    raise ValueError(operation_id)


DEPOSIT = Flow(
    type=Direction.DEPOSIT.value,
    operations=OPERATIONS,
    begin="check_recipient",
    decide=decide,
    to_row=to_row,
    status=STATUS,
    event_of=event_of,
    event_of_probe=event_of_probe,
    message=message,
)
