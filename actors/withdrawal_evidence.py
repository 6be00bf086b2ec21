"""From stored evidence and rails' answers to the events of a withdrawal. Reads, judges trust, changes nothing."""

from actors.flow import Unusable, is_settled
from penpay.domain import withdrawal_events as ev
from penpay.domain.errors import BadInput
from penpay.domain.ids import uuid_text
from penpay.domain.mpesa_callbacks import COMPLETED, NOT_COMPLETED, ResultCallback, parse_result
from penpay.domain.rail_end import ANOTHER_RECIPIENT, Outcome, RailEnd, decode_rail_end
from penpay.domain.result_owner import Owner, Request
from penpay.domain.unit import OVER, OperationKind
from penpay.domain.withdrawal import TRANSITIONS, Withdrawal
from penpay.messages import InboxRow, ProbeAnswered


def event_of(withdrawal: Withdrawal, row: InboxRow) -> ev.Event | Unusable | None:
    """What a stored row says. None: nothing that changes anything."""
    try:
        match row.kind:
            case "rail":
                return _rail(withdrawal, decode_rail_end(row.body))
            case "b2c":
                return _result(withdrawal, parse_result(row.body), row)
            case "txstatus":
                return _status(withdrawal, parse_result(row.body), row)
            case "timeout":
                return ev.PayoutTimedOut()
            case _:
                return Unusable(f"a withdrawal takes no {row.kind}")
    except BadInput as error:
        return Unusable(str(error.detail))


def _rail(withdrawal: Withdrawal, end: RailEnd) -> ev.Event | Unusable | None:
    if is_settled(end, withdrawal.debit, withdrawal.payout, withdrawal.back):
        return None
    match end.kind:
        case OperationKind.DERIV_WITHDRAW:
            return _debit_end(withdrawal, end)
        case OperationKind.B2C:
            return _payout_end(end)
        case OperationKind.DERIV_RETURN:
            return _return_end(end)
    return Unusable(f"a withdrawal has no {end.kind}")


def _debit_end(withdrawal: Withdrawal, end: RailEnd) -> ev.Event:
    match end.outcome:
        case Outcome.CONFIRMED:
            return ev.DebitConfirmed(transaction_id=end.provider_ref, amount=withdrawal.send, proof="reply")
        case Outcome.REFUSED if not end.hold:
            return ev.DebitRefused(code=end.code, attempt=end.attempt)
        case Outcome.UNKNOWN:
            return ev.DebitOutcomeUnknown(code=end.code, attempt=end.attempt)
    return ev.DebitNotSent(code=end.code, attempt=end.attempt)


def _payout_end(end: RailEnd) -> ev.Event:
    match end.outcome:
        case Outcome.CONFIRMED:
            return ev.PayoutAccepted(conversation_id=end.facts.get("conversation_id", ""))
        case Outcome.UNKNOWN:
            return ev.PayoutOutcomeUnknown(code=end.code, attempt=end.attempt)
    return ev.PayoutHeld(code=end.code, attempt=end.attempt)


def _return_end(end: RailEnd) -> ev.Event:
    if end.code == ANOTHER_RECIPIENT:
        loginid = end.facts.get("client_to_loginid", "")
        return ev.ReturnPaidAnother(transaction_id=end.provider_ref, loginid=loginid, attempt=end.attempt)
    match end.outcome:
        case Outcome.CONFIRMED:
            return ev.ReturnConfirmed(transaction_id=end.provider_ref, proof="reply")
        case Outcome.REFUSED:
            return ev.ReturnRefused(code=end.code, attempt=end.attempt, hold=end.hold)
        case Outcome.UNKNOWN:
            return ev.ReturnOutcomeUnknown(code=end.code, attempt=end.attempt)
    return ev.ReturnNotSent(code=end.code, attempt=end.attempt)


def _result(withdrawal: Withdrawal, result: ResultCallback, row: InboxRow) -> ev.Event | Unusable | None:
    if result.result_type == "1" or not row.trusted_source:
        return None  # not final, or from a stranger: the status is asked for
    match _asked(withdrawal).owner(
        conversation_id=result.conversation_id, originator_conversation_id=result.originator_conversation_id
    ):
        case Owner.ANOTHER:
            return Unusable("the result speaks of another payout")
        case Owner.UNTOLD:
            return _claim(withdrawal, result)
    if result.result_code != "0":
        return ev.PayoutFailed(code=result.result_code, at=row.received_at)
    if result.amount is not None and result.amount != withdrawal.receive:
        return Unusable(f"the result speaks of {result.amount.text()} KES")
    if not result.receipt:
        return None
    return ev.PayoutPaid(receipt=result.receipt, source="result")


def _asked(withdrawal: Withdrawal) -> Request:
    """The payout as Safaricom may know it. What it called a duplicate has no id of its own that we were told."""
    payout = withdrawal.payout
    ours = uuid_text(payout.id) if payout is not None else ""
    known_as = withdrawal.conversation_id
    return Request(
        conversation_id=known_as if known_as != ours else "",
        originator_conversation_id=ours,
        unanswered=payout is not None and payout.unknowns > 0,
    )


def _claim(withdrawal: Withdrawal, result: ResultCallback) -> ev.Event | Unusable | None:
    """A result that does not show whose it is: where the payout is still open its status decides, else a person."""
    open_ = withdrawal.payout is not None and withdrawal.payout.state not in OVER
    if open_ and ev.PayoutClaimed in TRANSITIONS[withdrawal.state]:
        return ev.PayoutClaimed()
    if result.receipt and result.receipt == withdrawal.receipt:
        return None
    return Unusable("the result does not show which payout it speaks of")


def _status(withdrawal: Withdrawal, result: ResultCallback, row: InboxRow) -> ev.Event | Unusable | None:
    """The query's own success is code 0; the verdict is the status of the payout that it asked about."""
    if result.result_code != "0" or not row.trusted_source:
        return None
    # Beside the query's own ids, which nobody keeps, the parameters tell those of the payout.
    told = (result.value("ConversationID"), result.value("OriginatorConversationID"))
    owner = _asked(withdrawal).owner(conversation_id=told[0], originator_conversation_id=told[1])
    if owner is Owner.ANOTHER:
        return Unusable("the status is one of another payout")
    if any(told) and owner is Owner.UNTOLD:
        return None
    if result.amount is not None and result.amount != withdrawal.receive:
        return Unusable(f"the status speaks of {result.amount.text()} KES")
    if result.transaction_status == COMPLETED and result.receipt:
        return ev.PayoutPaid(receipt=result.receipt, source="status")
    if result.transaction_status in NOT_COMPLETED:
        return ev.PayoutNotCompleted(status=result.transaction_status, at=row.received_at)
    return None


def event_of_probe(withdrawal: Withdrawal, answer: ProbeAnswered) -> ev.Event | None:
    """What a rail's answer to a read says; None when it says nothing."""
    match answer.probe, answer.outcome:
        case "witness", "CONFIRMED" if answer.amount is not None:
            return ev.WitnessSeen(transaction_id=answer.reference, amount=answer.amount)
        case "debit", "CONFIRMED":
            amount = answer.amount or withdrawal.send
            return ev.DebitConfirmed(transaction_id=answer.reference, amount=amount, proof="statement")
        case "debit", "ABSENT":
            return ev.DebitAbsent(proof=answer.proof)
        case "debit", "AMBIGUOUS":
            return ev.DebitAmbiguous(proof=answer.proof)
        case "transfer", "CONFIRMED" if answer.amount == withdrawal.send:
            return ev.ReturnConfirmed(transaction_id=answer.reference, proof="statement")
        case "transfer", "CONFIRMED":
            return ev.ReturnAmbiguous(proof=f"{answer.reference} is of another amount")
        case "transfer", "ABSENT":
            return ev.ReturnAbsent(proof=answer.proof, attempt=answer.attempt)
        case "transfer", "AMBIGUOUS":
            return ev.ReturnAmbiguous(proof=answer.proof)
    return None
