"""The desk for withdrawals: the code that binds amount and payee, and the unit of work that begins one."""

import json
from dataclasses import replace

from actors.answers import problem_answer, stored_answer
from actors.base import ActorCrashed, AskTimeout, MailboxFull, NoSuchActor
from actors.desk import Admitted, Desk, UserParts, base_row
from actors.recording import unit_of
from actors.withdrawal_flow import WITHDRAWAL
from penpay.domain import admission as adm
from penpay.domain import withdrawal_events as ev
from penpay.domain.decision import Decision, Occasion, Operation
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.ids import account_reference
from penpay.domain.json_text import json_bytes
from penpay.domain.presentation import CONTENT_TYPE, evidence_of, render_transaction
from penpay.domain.unit import NewOperation, OperationKind, OperationState, UnitOfWork
from penpay.domain.withdrawal import State, Withdrawal
from penpay.domain.withdrawal_row import payee_aad
from penpay.messages import AcceptWithdrawal, HttpAnswer, Quote, Refusal, RequestWithdrawalCode
from penpay.messages_rails import DERIV_WITHDRAWALS, SendWithdrawalCode
from penpay.ports import CodeRequest

MAIL_S = 7.0


async def send_code(parts: UserParts, asked: RequestWithdrawalCode, quote: Quote) -> HttpAnswer:
    """Have Deriv mail the code, then remember what it was asked for. A mail that nobody remembers pays nobody."""
    customer = asked.customer
    order = SendWithdrawalCode(
        loginid=customer.deriv_loginid, token=asked.deriv_token, email=asked.email, amount=quote.send
    )
    try:
        answer = await parts.addresses.ask(DERIV_WITHDRAWALS, order, timeout_s=MAIL_S)
    except (NoSuchActor, MailboxFull):
        return problem_answer(asked, "rail_down", "Deriv is not connected", 5, untouched=True)
    except (AskTimeout, ActorCrashed):
        return problem_answer(asked, "outcome_unknown", "the code may be on its way", 5)
    if isinstance(answer, Refusal):
        return problem_answer(asked, answer.code, answer.detail, answer.retry_after_s, untouched=answer.untouched)
    code = CodeRequest(quote.send, parts.sealer.blind_index(customer.phone), parts.clock.now())
    await parts.store.remember_code(parts.ids.ulid(), customer.user_id, code)
    body = {"amount": quote.send.wire(), "receive": quote.receive.wire(), "phone": customer.phone_mask}
    return HttpAnswer(status=202, body=json_bytes(body), content_type=CONTENT_TYPE)


async def code_problem(parts: UserParts, asked: AcceptWithdrawal, quote: Quote) -> adm.No | None:
    """The code approves one amount to one payee (dynamic linking); anything else needs a code of its own."""
    code = await parts.store.newest_code(asked.customer.user_id)
    payee = parts.sealer.blind_index(asked.customer.phone)
    if code is None or code.amount != quote.send or code.payee != payee:
        return adm.No("code_amount_mismatch", "Ask for a code for this amount first.")
    return None


def _unit(parts: UserParts, admitted: Admitted) -> tuple[UnitOfWork, bytes]:
    """The transaction in DERIV_SENDING, the intent to debit with the sealed code, the frozen payee, the answer."""
    fresh = parts.ids.ulid
    transaction_id, operation_id = fresh(), fresh()
    saga = _withdrawal(parts, admitted, transaction_id, operation_id)
    occasion = Occasion(admitted.at, (fresh(), fresh(), fresh()))
    decision = WITHDRAWAL.decide(saga, ev.DebitStarted(), occasion, parts.rules)
    assert isinstance(decision, Decision)
    limits = parts.limits.of_tier(admitted.asked.customer.kyc_tier)
    base = base_row(admitted, transaction_id, limit_usd_minor=limits.withdrawal_daily_usd_minor)
    unit = unit_of(WITHDRAWAL, decision, base, actor=f"user:{saga.user_id}")
    assert unit.transaction is not None
    row = unit.transaction.row
    body = json_bytes(render_transaction(row, evidence_of(row)))
    answer = stored_answer(
        parts, admitted.asked, status=202, body=body, content_type=CONTENT_TYPE, transaction_id=row.id
    )
    return replace(unit, new_operations=(_debit(parts, admitted, operation_id),), answer=answer), body


def _debit(parts: UserParts, admitted: Admitted, operation_id: str) -> NewOperation:
    asked: AcceptWithdrawal = admitted.asked
    customer = asked.customer
    secret = json.dumps({"code": asked.verification_code, "token": asked.deriv_token}).encode()
    return NewOperation(
        id=operation_id,
        kind=OperationKind.DERIV_WITHDRAW,
        amount=admitted.quote.send,
        recipient=customer.deriv_loginid,
        reference=account_reference(operation_id),
        request={"loginid": customer.deriv_loginid, "paymentagent_loginid": parts.agent_loginid},
        sealed_request=parts.sealer.seal(
            secret,
            aad=f"provider_operations|sealed_request|{operation_id}",
            user_id=customer.user_id,
            data_key=customer.data_key,
        ),
    )


def _withdrawal(parts: UserParts, admitted: Admitted, transaction_id: str, operation_id: str) -> Withdrawal:
    customer, quote = admitted.asked.customer, admitted.quote
    payee = parts.sealer.seal(
        customer.phone.encode(),
        aad=payee_aad(transaction_id),
        user_id=customer.user_id,
        data_key=customer.data_key,
    )
    return Withdrawal(
        id=transaction_id,
        shard=customer.shard,
        user_id=customer.user_id,
        state=State.CREATED,
        version=0,
        send=quote.send,
        receive=quote.receive,
        rate=LockedRate(Direction.WITHDRAWAL, quote.mid_rate_e6, quote.spread_e6),
        quote_id=quote.id,
        phone_mask=customer.phone_mask,
        deriv_loginid=customer.deriv_loginid,
        created_at=admitted.at,
        updated_at=admitted.at,
        state_since=admitted.at,
        debit=Operation(id=operation_id, state=OperationState.INTENT),
        sealed_payee=payee.hex(),
    )


WITHDRAWALS = Desk(Direction.WITHDRAWAL, adm.withdrawal_refusal, _unit)
