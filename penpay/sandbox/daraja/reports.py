"""The reports that change nothing: TransactionStatus and AccountBalance, whose results come later."""

from typing import Any, NamedTuple

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.daraja import fields
from penpay.sandbox.daraja.gate import TOKEN_B2C, TOKEN_STK, Body, Refusal, invalid
from penpay.sandbox.daraja.request import InitiatorRequest
from penpay.sandbox.daraja.results import acknowledgement, result_body, send_result, timeout_body
from penpay.sandbox.facts import Payment, Payout, Reversal
from penpay.sandbox.ids import nairobi_digits, now_epoch_s
from penpay.sandbox.steps import ResultStep, Step
from penpay.sandbox.world import World


class Found(NamedTuple):
    """A transaction as TransactionStatus tells it."""

    receipt: str
    originator_id: str
    conversation_id: str
    status: str
    amount_minor: int
    debit_party: str
    credit_party: str
    reason: str
    begun_epoch_s: float
    ended_epoch_s: float


def public_name(msisdn: str, name: str) -> str:
    """How a receiver is named; nothing is known of who stands behind a number unless the script says so."""
    return f"{msisdn} - {name}" if name else msisdn


def _status(code: str) -> str:
    return {"": "Initiated", "0": "Completed"}.get(code, "Declined")


def _of_payment(payment: Payment, shortcode: str) -> Found:
    payer, payee = f"{payment.msisdn} - CUSTOMER", f"{shortcode} - MERCHANT"
    at = payment.paid_epoch_s
    return Found(payment.receipt, "", "", "Completed", payment.amount_minor, payer, payee, "Pay Bill Online", at, at)


def _of_payout(payout: Payout, shortcode: str) -> Found:
    return Found(
        payout.receipt,
        payout.originator_id,
        payout.conversation_id,
        _status(payout.result_code),
        payout.amount_minor,
        f"{shortcode} - MERCHANT",
        public_name(payout.msisdn, payout.step.receiver_name),
        "Business Payment to Customer via API",
        payout.requested_epoch_s,
        payout.ended_epoch_s,
    )


def _of_reversal(reversal: Reversal, shortcode: str, payer: str) -> Found:
    return Found(
        reversal.reversal_receipt,
        reversal.originator_id,
        reversal.conversation_id,
        _status(reversal.result_code),
        reversal.amount_minor,
        f"{shortcode} - MERCHANT",
        f"{payer} - CUSTOMER",
        "Transaction Reversal",
        reversal.requested_epoch_s,
        reversal.ended_epoch_s,
    )


def find(world: World, config: SandboxConfig, receipt: str, original_id: str) -> Found | None:
    """Look up by receipt, or by either conversation id of an asynchronous request."""
    if receipt and (payment := world.payments.get(receipt)) is not None:
        return _of_payment(payment, config.shortcode)
    for payout in world.payouts.values():
        if receipt == payout.receipt != "" or original_id in (payout.originator_id, payout.conversation_id):
            return _of_payout(payout, config.b2c_shortcode)
    for reversal in world.reversals.values():
        same_id = original_id in (reversal.originator_id, reversal.conversation_id)
        if receipt == reversal.reversal_receipt != "" or same_id:
            original = world.payments.get(reversal.receipt)
            return _of_reversal(reversal, config.shortcode, original.msisdn if original else "")
    return None


class _Report(InitiatorRequest):
    """The asynchronous frame of both reports."""

    def _verdict(self, body: Body, step: ResultStep) -> tuple[str, str, list[tuple[str, Any]] | None]:
        raise NotImplementedError

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        assert isinstance(step, ResultStep)
        conversation_id, originator_id = self._ids.conversation_id(now_epoch_s()), self._ids.request_id()
        initiator_code = self._initiator.judge(body["Initiator"], body["SecurityCredential"])

        def tell() -> None:
            forced = step.result_code or initiator_code
            code, receipt, parameters = (forced, "", None) if forced else self._verdict(body, step)
            send_result(
                self._postman,
                self.name,
                step=step,
                result_url=body["ResultURL"],
                timeout_url=body["QueueTimeOutURL"],
                body=result_body(
                    code=code,
                    originator_id=originator_id,
                    conversation_id=conversation_id,
                    transaction_id=receipt or "0000000000",
                    parameters=parameters,
                    timeout_url=body["QueueTimeOutURL"],
                    step=step,
                ),
                timeout=timeout_body(originator_id, conversation_id),
            )

        self._postman.after(max(step.delay_s if step.delay_s >= 0 else self._knobs.result_delay_s, 0.003), tell)
        return acknowledgement(conversation_id, originator_id)


class TransactionStatus(_Report):
    """Result code 0 means that the question was answered; the verdict is the TransactionStatus key."""

    name = "status"
    rules = fields.STATUS
    token_error = TOKEN_STK

    def check(self, body: Body) -> Refusal | None:
        if not body.get("TransactionID") and not body.get("OriginalConversationID"):
            return invalid("TransactionID")
        if fields.text_of(body["PartyA"]) not in (self._config.shortcode, self._config.b2c_shortcode):
            return invalid("PartyA")
        return None

    def _verdict(self, body: Body, step: ResultStep) -> tuple[str, str, list[tuple[str, Any]] | None]:
        receipt, original = fields.text_of(body.get("TransactionID", "")), body.get("OriginalConversationID", "")
        found = find(self._truth.world, self._config, receipt, original)
        if found is None or found.begun_epoch_s > now_epoch_s() - self._knobs.status_lag_s:
            return self._knobs.status_not_found_code, "", None
        # DebitPartyName comes twice, the second being the credit party; TransactionReason has no Value.
        return (
            "0",
            self._ids.receipt(),
            [
                ("DebitPartyName", found.debit_party),
                ("DebitPartyName", found.credit_party),
                ("OriginatorConversationID", found.originator_id),
                ("ConversationID", found.conversation_id),
                ("InitiatedTime", nairobi_digits(found.begun_epoch_s)),
                ("FinalisedTime", nairobi_digits(found.ended_epoch_s) if found.ended_epoch_s else ""),
                ("DebitAccountType", "Utility Account"),
                ("DebitPartyCharges", ""),
                ("TransactionReason", None),
                ("ReasonType", found.reason),
                ("TransactionStatus", step.transaction_status or found.status),
                ("Amount", f"{found.amount_minor / 100:.2f}"),
                ("ReceiptNo", found.receipt),
            ],
        )


class AccountBalance(_Report):
    """One packed string per short code: accounts joined by `&`, fields by `|`."""

    name = "balance"
    rules = fields.BALANCE
    token_error = TOKEN_B2C

    def check(self, body: Body) -> Refusal | None:
        codes = (self._config.shortcode, self._config.b2c_shortcode)
        return None if fields.text_of(body["PartyA"]) in codes else invalid("PartyA")

    def _verdict(self, body: Body, step: ResultStep) -> tuple[str, str, list[tuple[str, Any]] | None]:
        del step
        world = self._truth.world
        paybill = fields.text_of(body["PartyA"]) == self._config.shortcode
        accounts = (
            ("Working Account", 0),
            ("Float Account", 0),
            ("Utility Account", world.paybill_minor if paybill else world.utility_minor),
            ("Charges Paid Account", 0 if paybill else world.charges_minor),
            ("Organization Settlement Account", 0),
        )
        packed = "&".join(f"{name}|KES|{_plain(minor)}|{_plain(minor)}|0.00|0.00" for name, minor in accounts)
        return (
            "0",
            self._ids.receipt(),
            [("AccountBalance", packed), ("BOCompletedTime", nairobi_digits(now_epoch_s()))],
        )


def _plain(minor: int) -> str:
    sign, minor = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{minor // 100}.{minor % 100:02d}"
