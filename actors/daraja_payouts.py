"""Payouts to phones: one call under an id that Safaricom takes once, and the question what became of it.

Source: the Daraja reference, parts 4.1 to 4.6. A time-out, a server's fault or a cut line is unknown, and the same id
may be sent again; a new id is the saga's decision alone.
"""

from dataclasses import dataclass
from datetime import timedelta

from actors.rail_call import CallResult, result_of, unsealed
from penpay.domain.errors import GatewayError, OutcomeUnknown, Refused, StoreError
from penpay.domain.payout_codes import INITIATOR_FAULTS, Verdict, verdict
from penpay.domain.rail_end import DUPLICATE, EXPIRED, WRONG_CREDENTIALS, Outcome
from penpay.messages import ProbeAnswered
from penpay.messages_rails import ProbePayout
from penpay.ports import Attempt, CallbackTokens, Clock, Sealer
from penpay.ports_rails import DarajaGateway, Payout, RailReads

PAYEE_UNREADABLE = "payee_unreadable"
"""Refused by ourselves: the sealed phone cannot be opened (the customer's key is gone). Nothing was sent."""
STOPPED = "payouts_stopped"
"""A question that was not asked: it needs the credential that is at fault."""
_ID = "originator_conversation_id"


def stops_payouts(code: str) -> bool:
    """Whether this code, of an answer or of a result, says that our initiator or its rights are at fault."""
    return code == WRONG_CREDENTIALS or verdict(code) is Verdict.STOP


def spoils_credential(code: str) -> bool:
    """Whether any further call with the initiator's credential would bring its lock nearer."""
    return code == WRONG_CREDENTIALS or code in INITIATOR_FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Payouts:
    """The two calls. `same_id_s`: how long after its intent a payout may be sent again under its id."""

    daraja: DarajaGateway
    reads: RailReads
    tokens: CallbackTokens
    sealer: Sealer
    clock: Clock
    same_id_s: float = 86_400.0

    async def pay(self, attempt: Attempt) -> CallResult:
        """Send one payout. That its id is known already means that an earlier try of it was taken."""
        operation = attempt.operation
        age = self.clock.now() - operation.created_at
        if attempt.number > 1 and age > timedelta(seconds=self.same_id_s):
            # For how long Safaricom remembers an id is not documented.
            return CallResult(outcome=Outcome.NOT_SENT, code=EXPIRED)
        try:
            phone = unsealed(self.sealer, operation).decode()
        except ValueError:
            return CallResult(outcome=Outcome.REFUSED, code=PAYEE_UNREADABLE)
        payout = Payout(
            originator_conversation_id=operation.request[_ID],
            amount=operation.amount,
            phone=phone,
            result_url=self.tokens.url("b2c", operation.shard, operation.id),
            timeout_url=self.tokens.url("timeout", operation.shard, operation.id),
        )
        try:
            conversation_id = await self.daraja.pay_out(payout)
        except OutcomeUnknown as unknown:
            if unknown.code == DUPLICATE:
                return CallResult(outcome=Outcome.CONFIRMED, code=DUPLICATE, body=unknown.detail.encode())
            return result_of(unknown)
        except GatewayError as error:
            # Whatever is refused before it is recorded is refused for a cause of ours: the payout waits, with its id.
            return result_of(error, hold=isinstance(error, Refused))
        return CallResult(
            outcome=Outcome.CONFIRMED, provider_ref=conversation_id, facts={"conversation_id": conversation_id}
        )

    async def status(self, asked: ProbePayout) -> ProbeAnswered:
        """Ask for the status; it comes by callback, as an inbox row of the same operation."""
        try:
            operation = (await self.reads.operations([asked.operation_id])).get(asked.operation_id)
        except StoreError as error:
            return payout_unanswered(asked, type(error).__name__)
        if operation is None or not operation.request.get(_ID):
            return payout_unanswered(asked, "no_such_payout")
        await self.daraja.transaction_status(
            receipt="",
            conversation_id=asked.conversation_id or operation.request[_ID],
            payouts=True,
            result_url=self.tokens.url("txstatus", asked.shard, asked.operation_id),
            timeout_url=self.tokens.url("timeout", asked.shard, asked.operation_id),
        )
        return ProbeAnswered(probe="payout", operation_id=asked.operation_id, outcome="PENDING")


def payout_unanswered(asked: ProbePayout, code: str) -> ProbeAnswered:
    """The answer when Safaricom could not be asked."""
    return ProbeAnswered(probe="payout", operation_id=asked.operation_id, outcome="UNANSWERED", code=code)
