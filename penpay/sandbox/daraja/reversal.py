"""Reversal of a customer's payment."""

from typing import Any

from penpay.sandbox.daraja import fields
from penpay.sandbox.daraja.gate import TOKEN_STK, Body, Refusal, invalid
from penpay.sandbox.daraja.request import InitiatorRequest
from penpay.sandbox.daraja.results import acknowledgement, result_body, send_result, timeout_body
from penpay.sandbox.facts import Reversal, ReversalEnded
from penpay.sandbox.ids import nairobi_digits, now_epoch_s
from penpay.sandbox.steps import ResultStep, Step

ALREADY_REVERSED = "R000001"
ORIGINAL_INVALID = "R000002"


class ReversalRequest(InitiatorRequest):
    """Gives a payment back to whoever paid it, wholly, once."""

    name = "reversal"
    rules = fields.REVERSAL
    token_error = TOKEN_STK

    def check(self, body: Body) -> Refusal | None:
        return None if fields.text_of(body["ReceiverParty"]) == self._config.shortcode else invalid("ReceiverParty")

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        assert isinstance(step, ResultStep)
        now = now_epoch_s()
        reversal = Reversal(
            self._ids.conversation_id(now),
            self._ids.request_id(),
            fields.text_of(body["TransactionID"]),
            int(body["Amount"]) * 100,
            body["ResultURL"],
            body["QueueTimeOutURL"],
            now,
            step,
            self._initiator.judge(body["Initiator"], body["SecurityCredential"]),
        )
        self._truth.record(reversal)
        self.schedule(reversal)
        return acknowledgement(reversal.conversation_id, reversal.originator_id)

    def schedule(self, reversal: Reversal) -> None:
        """Decide a recorded request after its delay; also called for open ones after a restart."""
        delay_s = reversal.step.delay_s if reversal.step.delay_s >= 0 else self._knobs.result_delay_s
        left_s = delay_s - (now_epoch_s() - reversal.requested_epoch_s)
        self._postman.after(max(left_s, 0.003), lambda: self._end(reversal))

    def _verdict(self, reversal: Reversal) -> str:
        if reversal.step.result_code:
            return reversal.step.result_code
        if reversal.initiator_code:
            return reversal.initiator_code
        payment = self._truth.world.payments.get(reversal.receipt)
        if payment is None or payment.amount_minor != reversal.amount_minor:
            return ORIGINAL_INVALID
        if payment.reversed_by:
            return ALREADY_REVERSED
        return "0" if self._truth.world.paybill_minor >= reversal.amount_minor else "1"

    def _end(self, reversal: Reversal) -> None:
        code = self._verdict(reversal)
        payment = self._truth.world.payments.get(reversal.receipt)
        if code == "0" and (payment is None or payment.reversed_by):
            code = ORIGINAL_INVALID if payment is None else ALREADY_REVERSED
        receipt = self._ids.receipt() if code == "0" else ""
        self._truth.record(ReversalEnded(reversal.conversation_id, code, receipt, now_epoch_s()))
        self._truth.when_durable(lambda: self._tell(reversal))

    def _tell(self, reversal: Reversal) -> None:
        parameters: list[tuple[str, Any]] | None = None
        if reversal.result_code == "0":
            kes = self._truth.world.paybill_minor / 100
            payer = self._truth.world.payments[reversal.receipt].msisdn
            parameters = [
                ("DebitAccountBalance", f"Utility Account|KES|{kes:.2f}|{kes:.2f}|0.00|0.00"),
                ("Amount", reversal.amount_minor / 100),
                ("TransCompletedTime", nairobi_digits(reversal.ended_epoch_s)),
                ("OriginalTransactionID", reversal.receipt),
                ("Charge", 0),
                ("CreditPartyPublicName", f"{payer} - CUSTOMER"),
                ("DebitPartyPublicName", f"{self._config.shortcode} - MERCHANT"),
            ]
        send_result(
            self._postman,
            "reversal",
            step=reversal.step,
            result_url=reversal.result_url,
            timeout_url=reversal.timeout_url,
            body=result_body(
                code=reversal.result_code,
                originator_id=reversal.originator_id,
                conversation_id=reversal.conversation_id,
                transaction_id=reversal.reversal_receipt or "0000000000",
                parameters=parameters,
                timeout_url=reversal.timeout_url,
                step=reversal.step,
            ),
            timeout=timeout_body(reversal.originator_id, reversal.conversation_id),
        )
