"""The desk for deposits: admission's rules, and the unit of work that begins one."""

from dataclasses import replace

from actors.answers import stored_answer
from actors.deposit_flow import DEPOSIT
from actors.desk import Admitted, Desk, UserParts, base_row, terms_of
from actors.recording import unit_of
from penpay.domain import admission as adm
from penpay.domain import deposit_events as ev
from penpay.domain.decision import Decision, Occasion, Operation
from penpay.domain.deposit import Deposit, State
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.ids import account_reference
from penpay.domain.json_text import json_bytes
from penpay.domain.presentation import CONTENT_TYPE, evidence_of, render_transaction
from penpay.domain.unit import NewOperation, OperationKind, OperationState, UnitOfWork


def _unit(parts: UserParts, admitted: Admitted) -> tuple[UnitOfWork, bytes]:
    """The transaction in STK_SENDING, the intent to push, the stored answer, the used quote."""
    fresh = parts.ids.ulid
    transaction_id, operation_id = fresh(), fresh()
    saga = _deposit(parts, admitted, transaction_id, operation_id)
    occasion = Occasion(admitted.at, (fresh(), fresh(), fresh()))
    decision = DEPOSIT.decide(saga, ev.StkStarted(), occasion, parts.rules)
    assert isinstance(decision, Decision)
    limits = parts.limits.of_tier(admitted.asked.customer.kyc_tier)
    base = base_row(admitted, transaction_id, limit_usd_minor=limits.daily_usd_minor)
    unit = unit_of(DEPOSIT, decision, base, actor=f"user:{saga.user_id}")
    assert unit.transaction is not None
    row = unit.transaction.row
    body = json_bytes(render_transaction(row, evidence_of(row)))
    customer = admitted.asked.customer
    push = NewOperation(
        id=operation_id,
        kind=OperationKind.STK,
        amount=admitted.quote.send,
        recipient=customer.phone_mask,
        reference=account_reference(operation_id),
        sealed_request=parts.sealer.seal(
            customer.phone.encode(),
            aad=f"provider_operations|sealed_request|{operation_id}",
            user_id=customer.user_id,
            data_key=customer.data_key,
        ),
    )
    answer = stored_answer(
        parts, admitted.asked, status=202, body=body, content_type=CONTENT_TYPE, transaction_id=row.id
    )
    return replace(unit, new_operations=(push,), answer=answer), body


def _deposit(parts: UserParts, admitted: Admitted, transaction_id: str, operation_id: str) -> Deposit:
    customer, quote = admitted.asked.customer, admitted.quote
    return Deposit(
        id=transaction_id,
        shard=customer.shard,
        user_id=customer.user_id,
        state=State.CREATED,
        version=0,
        send=quote.send,
        receive=quote.receive,
        rate=LockedRate(Direction.DEPOSIT, quote.mid_rate_e6, quote.spread_e6),
        quote_id=quote.id,
        phone_mask=customer.phone_mask,
        deriv_loginid=customer.deriv_loginid,
        verify_first=adm.verify_first(terms_of(quote), admitted.standing, parts.limits),
        created_at=admitted.at,
        updated_at=admitted.at,
        state_since=admitted.at,
        stk=Operation(id=operation_id, state=OperationState.INTENT),
    )


DEPOSITS = Desk(Direction.DEPOSIT, adm.refusal, _unit)
