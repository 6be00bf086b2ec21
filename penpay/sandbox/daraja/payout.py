"""B2C v3: a payout to a phone, de-duplicated by the merchant's OriginatorConversationID."""

from datetime import UTC, datetime
from typing import Any

from penpay.sandbox.daraja import fields
from penpay.sandbox.daraja.gate import TOKEN_B2C, Body, Refusal, invalid
from penpay.sandbox.daraja.reports import public_name
from penpay.sandbox.daraja.request import InitiatorRequest
from penpay.sandbox.daraja.results import acknowledgement, result_body, send_result, timeout_body
from penpay.sandbox.facts import Payout, PayoutEnded
from penpay.sandbox.ids import NAIROBI, nairobi_dotted, now_epoch_s
from penpay.sandbox.steps import ResultStep, Step

DUPLICATE = Refusal(500, "500.002.1001", "Duplicate OriginatorConversationID.")

_LEAST_MINOR = 10_00
_MOST_MINOR = 250_000_00
# The business pays by band of the amount (B2C tariff form, August 2023); the last band goes on above 150,000.
_CHARGE_BANDS_KES = ((100, 0), (1_500, 5), (5_000, 9), (20_000, 11), (10**9, 13))


def charge_minor(amount_minor: int) -> int:
    """What one payout costs the business, in cents."""
    return next(fee for most, fee in _CHARGE_BANDS_KES if amount_minor <= most * 100) * 100


class B2cPayment(InitiatorRequest):
    """Accepts each OriginatorConversationID once; a validation failure does not use it up."""

    name = "b2c"
    rules = fields.B2C
    token_error = TOKEN_B2C

    def check(self, body: Body) -> Refusal | None:
        if fields.text_of(body["PartyA"]) != self._config.b2c_shortcode:
            return invalid("PartyA")
        return DUPLICATE if body["OriginatorConversationID"] in self._truth.world.payouts else None

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        assert isinstance(step, ResultStep)
        now = now_epoch_s()
        payout = Payout(
            body["OriginatorConversationID"],
            self._ids.conversation_id(now),
            fields.text_of(body["PartyB"]),
            int(body["Amount"]) * 100,
            body["ResultURL"],
            body["QueueTimeOutURL"],
            now,
            step,
            self._initiator.judge(body["InitiatorName"], body["SecurityCredential"]),
        )
        self._truth.record(payout)
        self.schedule(payout)
        return acknowledgement(payout.conversation_id, payout.originator_id)

    def schedule(self, payout: Payout) -> None:
        """Decide a recorded payout after its delay; also called for open ones after a restart."""
        delay_s = payout.step.delay_s if payout.step.delay_s >= 0 else self._knobs.result_delay_s
        left_s = delay_s - (now_epoch_s() - payout.requested_epoch_s)
        self._postman.after(max(left_s, 0.003), lambda: self._end(payout))

    def _verdict(self, payout: Payout) -> str:
        world, knobs = self._truth.world, self._knobs
        wallet = world.wallet(payout.msisdn)
        rules = (
            (payout.step.result_code, bool(payout.step.result_code)),
            (payout.initiator_code, bool(payout.initiator_code)),
            ("2", payout.amount_minor < _LEAST_MINOR),
            ("3", payout.amount_minor > _MOST_MINOR),
            ("2040", not wallet.registered),
            ("4", 0 < knobs.receiver_daily_minor < self._received_today_minor(payout.msisdn) + payout.amount_minor),
            ("8", 0 < knobs.wallet_max_minor < wallet.balance_minor + payout.amount_minor),
            ("1", world.utility_minor < payout.amount_minor),
        )
        return next((code for code, applies in rules if applies), "0")

    def _received_today_minor(self, msisdn: str) -> int:
        today = datetime.now(UTC).astimezone(NAIROBI).date()
        return sum(
            payout.amount_minor
            for payout in self._truth.world.payouts.values()
            if payout.msisdn == msisdn
            and payout.result_code == "0"
            and datetime.fromtimestamp(payout.ended_epoch_s, NAIROBI).date() == today
        )

    def _end(self, payout: Payout) -> None:
        code = self._verdict(payout)
        # A failed attempt has a transaction id as well: it is no proof of payment.
        charge = charge_minor(payout.amount_minor) if code == "0" else 0
        self._truth.record(PayoutEnded(payout.originator_id, code, self._ids.receipt(), charge, now_epoch_s()))
        self._truth.when_durable(lambda: self._tell(payout))

    def _tell(self, payout: Payout) -> None:
        world = self._truth.world
        parameters: list[tuple[str, Any]] | None = None
        if payout.result_code == "0":
            parameters = [
                ("TransactionAmount", payout.amount_minor / 100),
                ("TransactionReceipt", payout.receipt),
                ("ReceiverPartyPublicName", public_name(payout.msisdn, payout.step.receiver_name)),
                ("TransactionCompletedDateTime", nairobi_dotted(payout.ended_epoch_s)),
                ("B2CUtilityAccountAvailableFunds", world.utility_minor / 100),
                ("B2CWorkingAccountAvailableFunds", 0.0),
                ("B2CRecipientIsRegisteredCustomer", "Y"),
                ("B2CChargesPaidAccountAvailableFunds", world.charges_minor / 100),
            ]
        send_result(
            self._postman,
            "b2c",
            step=payout.step,
            result_url=payout.result_url,
            timeout_url=payout.timeout_url,
            body=result_body(
                code=payout.result_code,
                originator_id=payout.originator_id,
                conversation_id=payout.conversation_id,
                transaction_id=payout.receipt,
                parameters=parameters,
                timeout_url=payout.timeout_url,
                step=payout.step,
            ),
            timeout=timeout_body(payout.originator_id, payout.conversation_id),
        )
