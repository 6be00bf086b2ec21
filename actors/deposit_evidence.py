"""From stored evidence and rails' answers to the events that `decide` knows. Reads, judges trust, changes nothing."""

from datetime import datetime

from actors.flow import Unusable, is_settled
from penpay.domain import deposit_events as ev
from penpay.domain.deposit import Deposit, State
from penpay.domain.errors import BadInput
from penpay.domain.money import Money
from penpay.domain.mpesa_callbacks import (
    COMPLETED,
    NOT_COMPLETED,
    ResultCallback,
    StkCallback,
    is_undecided,
    may_be_of,
    parse_result,
    parse_stk_callback,
)
from penpay.domain.payments import decode_payment
from penpay.domain.rail_end import ANOTHER_RECIPIENT, EXPIRED, Outcome, RailEnd, decode_rail_end
from penpay.domain.result_owner import Owner, Request
from penpay.domain.unit import OperationKind
from penpay.messages import InboxRow, ProbeAnswered
from penpay.messages_rails import NEVER_ACKNOWLEDGED

REVERSED_ALREADY = "R000001"


def event_of(deposit: Deposit, row: InboxRow) -> ev.Event | Unusable | None:
    """What a stored row says. None: nothing that changes anything."""
    try:
        match row.kind:
            case "rail":
                return _rail(deposit, decode_rail_end(row.body))
            case "stk":
                return _stk(deposit, parse_stk_callback(row.body), row)
            case "pull":
                one = decode_payment(row.body)
                return _listed(
                    deposit, amount=one.amount, receipt=one.receipt, paid_at=one.paid_at, phone_tail=one.phone_tail
                )
            case "reversal":
                return _reversal(deposit, parse_result(row.body), row)
            case "txstatus":
                return _transaction_status(deposit, parse_result(row.body), row)
            case "timeout":
                return None
            case _:
                return Unusable(f"a deposit takes no {row.kind}")
    except BadInput as error:
        return Unusable(str(error.detail))


def _rail(deposit: Deposit, end: RailEnd) -> ev.Event | Unusable | None:
    if is_settled(end, deposit.stk, deposit.transfer, deposit.refund):
        return None
    match end.kind:
        case OperationKind.STK:
            return _stk_end(end)
        case OperationKind.DERIV_TRANSFER:
            return _transfer_end(deposit, end)
        case OperationKind.REVERSAL:
            return _refund_end(end)
    return Unusable(f"a deposit has no {end.kind}")


def _stk_end(end: RailEnd) -> ev.Event:
    match end.outcome:
        case Outcome.CONFIRMED:
            return ev.StkAccepted(checkout_request_id=end.facts.get("checkout_request_id", ""), pushed_at=end.at)
        case Outcome.REFUSED if not end.hold:
            return ev.StkRefused(code=end.code)
        case Outcome.UNKNOWN:
            return ev.StkOutcomeUnknown(code=end.code, attempted_at=end.at)
    return ev.StkNotSent(code=end.code, attempt=end.attempt, expired=end.code == EXPIRED)


def _transfer_end(deposit: Deposit, end: RailEnd) -> ev.Event:
    if end.code == ANOTHER_RECIPIENT:
        loginid = end.facts.get("client_to_loginid", "")
        return ev.DerivPaidAnother(transaction_id=end.provider_ref, loginid=loginid, attempt=end.attempt)
    match end.outcome:
        case Outcome.CONFIRMED:
            return ev.DerivConfirmed(transaction_id=end.provider_ref, amount=deposit.receive, proof="reply")
        case Outcome.REFUSED:
            return ev.DerivRefused(code=end.code, attempt=end.attempt, hold=end.hold)
        case Outcome.UNKNOWN:
            return ev.DerivOutcomeUnknown(code=end.code, attempt=end.attempt)
    return ev.DerivNotSent(code=end.code, attempt=end.attempt)


def _refund_end(end: RailEnd) -> ev.Event:
    match end.outcome:
        case Outcome.CONFIRMED:
            return ev.RefundAccepted(
                conversation_id=end.facts.get("conversation_id", ""),
                originator_conversation_id=end.facts.get("originator_conversation_id", ""),
            )
        case Outcome.REFUSED if not end.hold:
            return ev.RefundRefused(code=end.code)
        case Outcome.UNKNOWN:
            return ev.RefundOutcomeUnknown(code=end.code)
    return ev.RefundNotSent(code=end.code, attempt=end.attempt)


def _stk(deposit: Deposit, callback: StkCallback, row: InboxRow) -> ev.Event | Unusable | None:
    known = deposit.checkout_request_id
    if known and callback.checkout_request_id != known:
        return Unusable("the callback speaks of another CheckoutRequestID")
    if callback.result_code != "0" and not callback.receipt:
        final = not is_undecided(callback.result_code, callback.result_desc)
        return ev.MpesaRefused(source="callback", code=callback.result_code, final=final and row.trusted_source)
    # A stranger could name a push that was paid for something else.
    named = callback.checkout_request_id if row.trusted_source else ""
    if callback.amount is None or not callback.receipt:
        # Success without a receipt or an amount is a claim: an authenticated query decides.
        return ev.MpesaPaid(source="callback", amount=deposit.send, trusted=False, checkout_request_id=named)
    return ev.MpesaPaid(
        source="callback",
        amount=callback.amount,
        receipt=callback.receipt,
        paid_at=callback.paid_at,
        trusted=row.trusted_source and bool(known),
        known_sender=row.trusted_source,
        checkout_request_id=named,
        payer_matches=may_be_of(callback.phone_tail, deposit.phone_mask),
    )


def _listed(deposit: Deposit, *, amount: Money, receipt: str, paid_at: datetime | None, phone_tail: str) -> ev.Event:
    """Safaricom's list was asked by us: it needs no other word."""
    payer_matches = may_be_of(phone_tail, deposit.phone_mask)
    return ev.MpesaPaid(source="pull", amount=amount, receipt=receipt, paid_at=paid_at, payer_matches=payer_matches)


def _reversal(deposit: Deposit, result: ResultCallback, row: InboxRow) -> ev.Event | Unusable | None:
    if result.result_type == "1" or not row.trusted_source:
        return None  # not final, or from a stranger: the wake-up asks Safaricom for the status
    original = result.value("OriginalTransactionID")
    if original and original != deposit.receipt:
        return Unusable("the result speaks of the Reversal of another payment")
    if result.amount is not None and result.amount != deposit.paid:
        return Unusable(f"the Reversal was one of {result.amount.text()} KES")
    # A payment is given back once: the receipt of ours names the Reversal as well as its conversation does.
    owner = Owner.OURS if original else _owner(deposit, result.conversation_id)
    if owner is Owner.ANOTHER:
        return Unusable("the result speaks of another Reversal")
    if owner is Owner.UNTOLD:
        claims_success = result.result_code == "0" and deposit.state is State.REFUND_SENDING
        return None if claims_success else Unusable("the result does not show which Reversal it speaks of")
    if result.result_code == "0":
        return ev.RefundConfirmed(receipt=result.transaction_id or f"reversal-{row.operation_id}")
    if result.result_code == REVERSED_ALREADY:
        return ev.RefundConfirmed(receipt=f"reversed-{row.operation_id}")
    return ev.RefundRefused(code=result.result_code)


def _owner(deposit: Deposit, conversation_id: str) -> Owner:
    """A Reversal is sent until one attempt may have been taken, and never again: it has one conversation."""
    request = Request(conversation_id=deposit.refund_conversation_id)
    return request.owner(conversation_id=conversation_id, originator_conversation_id="")


def _transaction_status(deposit: Deposit, result: ResultCallback, row: InboxRow) -> ev.Event | Unusable | None:
    """The query's own success is code 0; the verdict is the status of the Reversal it asked about.

    The payment's own receipt says nothing: a payment stays `Completed` whether or not it was given back.
    """
    if result.result_code != "0" or not row.trusted_source:
        return None
    if result.receipt and result.receipt in {deposit.receipt, deposit.held_receipt}:
        return None
    told = result.value("ConversationID")
    owner = _owner(deposit, told)
    if owner is Owner.ANOTHER:
        return Unusable("the status is one of another Reversal")
    if told and owner is Owner.UNTOLD:
        return None
    if result.amount is not None and result.amount != deposit.paid:
        return Unusable(f"the status is one of {result.amount.text()} KES")
    if result.transaction_status == COMPLETED and result.receipt:
        return ev.RefundConfirmed(receipt=result.receipt)
    if result.transaction_status in NOT_COMPLETED:
        return ev.RefundNotCompleted(status=result.transaction_status, at=row.received_at)
    return None


def event_of_probe(deposit: Deposit, answer: ProbeAnswered) -> ev.Event | None:
    """What a rail's answer to a read says; None when it says nothing."""
    if answer.probe == "stk" and answer.reference not in {"", deposit.known_checkout_id}:
        return None  # about a push that a claim had named, and that is not ours
    match answer.probe, answer.outcome:
        case "recipient", "OK" | "REFUSED" as verdict:
            return ev.RecipientChecked(ok=verdict == "OK", code=answer.code)
        case "stk", "PAID":
            return ev.MpesaPaid(source="query", amount=deposit.send)
        case "stk", "FAILED":
            return ev.MpesaRefused(source="query", code=answer.code)
        case "stk", "PENDING":
            return ev.QueryPending(code=answer.code)
        case "pull", "PAID" if answer.amount is not None:
            return _listed(
                deposit,
                amount=answer.amount,
                receipt=answer.reference,
                paid_at=answer.paid_at,
                phone_tail=answer.phone_tail,
            )
        case "pull", "CLEAN" if answer.until is not None:
            return ev.PullClean(until=answer.until)
        case "reversal", "UNANSWERED" if answer.code == NEVER_ACKNOWLEDGED:
            return ev.RefundUntold()
        case "transfer", "CONFIRMED" if answer.amount is not None:
            return ev.DerivConfirmed(transaction_id=answer.reference, amount=answer.amount, proof="statement")
        case "transfer", "ABSENT":
            return ev.DerivAbsent(proof=answer.proof, attempt=answer.attempt)
        case "transfer", "AMBIGUOUS":
            return ev.DerivAmbiguous(proof=answer.proof)
    return None
